//! POSTFIX_<parameter> and POSTFIXMASTER_<service>__<type>__<parameter>: what no variable of ours is for.
//!
//! They come last, behind everything that is rendered. A value is one line of main.cf, whatever is
//! in it: newlines become spaces, so that Postfix reads exactly what was checked here.

use super::environment::{Environment, Problem};
use super::{parameters, variables};
use crate::configuration::guard::{self, Objection};

const MAIN: &str = "POSTFIX_";
const MASTER: &str = "POSTFIXMASTER_";
/// Between the parts of a name, because a variable's name can hold no slash.
const SEPARATOR: &str = "__";

/// Names that people know the ports by.
const PORT_NAMES: &[(&str, &str)] =
    &[("smtp", "25"), ("submission", "587"), ("submissions", "465"), ("smtps", "465")];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// As the operator wrote it.
    pub variable: String,
    pub parameter: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOverride {
    /// Name and type as in master.cf, like `587` and `inet`.
    pub service: (String, String),
    pub set: Override,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub main: Vec<Override>,
    pub services: Vec<ServiceOverride>,
    /// What an operator should know of at each start, or insists on.
    pub warnings: Vec<String>,
}

/// Whether a name is read here, and nowhere else.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(MAIN) || name.starts_with(MASTER)
}

/// Reads every override; `unsafe_allowed` is ALLOW_UNSAFE_POSTFIX.
pub fn read(environment: &Environment, unsafe_allowed: bool) -> (Overrides, Vec<Problem>) {
    let mut overrides = Overrides::default();
    let mut problems = Vec::new();
    let ours = |name: &&str| is_ours(name) && !variables::is_service_link(environment, name);
    for variable in environment.names().filter(ours) {
        let Some(value) = environment.get(variable) else { continue };
        let Some(value) = value.to_str() else {
            problems.push(Problem::without_value(variable, "is not valid UTF-8"));
            continue;
        };
        if let Err(problem) = overrides.add(variable, value, unsafe_allowed) {
            problems.push(problem);
        }
    }
    (overrides, problems)
}

impl Overrides {
    fn add(&mut self, variable: &str, value: &str, unsafe_allowed: bool) -> Result<(), Problem> {
        let (service, parameter) = parse_name(variable)?;
        let problem = |advice: String| shown(variable, &parameter, value, advice);
        let value = one_line(value).map_err(problem)?;
        if service.is_some() {
            check_braces(&value).map_err(problem)?;
        }
        match (guard::objection(&parameter, &value, service.is_some()), unsafe_allowed) {
            (None, _) => {}
            (Some(Objection::Notable(effect)), _) => {
                self.warnings.push(problem(effect.to_owned()).to_string());
            }
            (Some(Objection::Ours(variable)), false) => return Err(problem(use_ours(variable))),
            (Some(Objection::Harm(harm)), false) => {
                let advice = format!("{harm} (ALLOW_UNSAFE_POSTFIX=true sets it all the same)");
                return Err(problem(advice));
            }
            (Some(Objection::Ours(variable)), true) => self.insisted(&problem(use_ours(variable))),
            (Some(Objection::Harm(harm)), true) => self.insisted(&problem(harm)),
        }
        let set = Override { variable: variable.to_owned(), parameter, value };
        match service {
            Some(service) => self.services.push(ServiceOverride { service, set }),
            None => self.main.push(set),
        }
        Ok(())
    }

    fn insisted(&mut self, problem: &Problem) {
        self.warnings.push(format!("{problem}; ALLOW_UNSAFE_POSTFIX lets it be"));
    }
}

fn use_ours(variable: &str) -> String {
    format!("is set by {variable} here: use that")
}

/// A password may stand in a table that is written into main.cf itself.
fn shown(variable: &str, parameter: &str, value: &str, advice: String) -> Problem {
    match parameter.contains("password") || value.contains("static:") {
        true => Problem::without_value(variable, advice),
        false => Problem::new(variable, value, advice),
    }
}

type Service = Option<(String, String)>;

fn parse_name(variable: &str) -> Result<(Service, String), Problem> {
    let (service, parameter) = match variable.strip_prefix(MASTER) {
        None => (None, variable.strip_prefix(MAIN).unwrap_or_default()),
        Some(rest) => {
            let mut parts = rest.splitn(3, SEPARATOR);
            let (Some(name), Some(kind), Some(parameter)) =
                (parts.next(), parts.next(), parts.next())
            else {
                let advice = "names no parameter; write it like \
                              POSTFIXMASTER_587__inet__smtpd_client_connection_rate_limit";
                return Err(Problem::without_value(variable, advice));
            };
            let port = PORT_NAMES.iter().find(|(known, _)| *known == name && kind == "inet");
            let name = port.map_or(name, |(_, port)| port);
            (Some((name.to_owned(), kind.to_owned())), parameter)
        }
    };
    if parameters::exists(parameter) {
        return Ok((service, parameter.to_owned()));
    }
    // As other images write it: POSTFIX_MESSAGE_SIZE_LIMIT.
    let lower = parameter.to_ascii_lowercase();
    if let Some(Objection::Ours(ours)) = guard::objection(&lower, "", service.is_some()) {
        return Err(Problem::without_value(variable, use_ours(ours)));
    }
    let advice = match parameters::nearest(parameter) {
        Some(nearest) => {
            let front = variable.strip_suffix(parameter).unwrap_or_default();
            format!("is no parameter of this Postfix; did you mean {front}{nearest}?")
        }
        None => "is no parameter of this Postfix; postconf(5) lists them all".to_owned(),
    };
    Err(Problem::without_value(variable, advice))
}

/// Lines of a value joined by spaces. A value of nothing but spaces sets a parameter empty.
fn one_line(value: &str) -> Result<String, String> {
    let joined = value.replace("\r\n", " ").replace(['\n', '\t'], " ");
    if joined.contains(char::is_control) {
        return Err("holds a control character".to_owned());
    }
    Ok(joined.trim().to_owned())
}

/// In master.cf a value stands in braces, which it must not close.
fn check_braces(value: &str) -> Result<(), String> {
    let mut depth = 0_i32;
    for character in value.chars() {
        depth += match character {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth < 0 {
            break;
        }
    }
    match depth {
        0 => Ok(()),
        _ => Err("has a brace without its other half".to_owned()),
    }
}

#[cfg(test)]
mod tests;
