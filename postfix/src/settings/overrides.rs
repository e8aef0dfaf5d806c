//! `POSTFIX_<parameter>` and `POSTFIXMASTER_<service>__<type>__<parameter>`: any Postfix parameter that
//! no other variable sets.
//!
//! Only names and syntax are checked here; whether a value would do harm is for whoever writes Postfix's
//! files to say. A value is one line of main.cf: newlines become spaces, so that Postfix reads
//! exactly what was checked.

use super::environment::{Environment, Problem};
use super::variables::VARIABLES;
use super::{foreign, parameters};

const MAIN: &str = "POSTFIX_";
const MASTER: &str = "POSTFIXMASTER_";
/// Separates the parts of a name, because a variable's name cannot contain a slash.
const SEPARATOR: &str = "__";

/// Names under which people know the ports.
const PORT_NAMES: &[(&str, &str)] =
    &[("smtp", "25"), ("submission", "587"), ("submissions", "465"), ("smtps", "465")];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The name of the variable.
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
    /// ALLOW_UNSAFE_POSTFIX: what would be refused is set, with a warning.
    pub unsafe_allowed: bool,
}

/// Whether a variable sets a parameter of Postfix.
pub fn is_override(name: &str) -> bool {
    name.starts_with(MAIN) || name.starts_with(MASTER)
}

/// Reads every override; `unsafe_allowed` is ALLOW_UNSAFE_POSTFIX.
pub fn read(environment: &Environment, unsafe_allowed: bool) -> (Overrides, Vec<Problem>) {
    let mut overrides = Overrides { unsafe_allowed, ..Overrides::default() };
    let mut problems = Vec::new();
    let is_ours =
        |name: &&str| is_override(name) && !foreign::is_service_link_in(environment, name);
    for variable in environment.names().filter(is_ours) {
        let Some(value) = environment.get(variable) else { continue };
        let Some(value) = value.to_str() else {
            problems.push(Problem::without_value(variable, "is not valid UTF-8"));
            continue;
        };
        if let Err(problem) = overrides.add(variable, value) {
            problems.push(problem);
        }
    }
    (overrides, problems)
}

impl Overrides {
    fn add(&mut self, variable: &str, value: &str) -> Result<(), Problem> {
        let (service, parameter) = parse_name(variable)?;
        let (variable, value) = (variable.to_owned(), value.to_owned());
        let mut set = Override { variable, parameter, value };
        set.value = one_line(&set.value).map_err(|advice| set.problem(advice))?;
        if service.is_some() {
            check_braces(&set.value).map_err(|advice| set.problem(advice))?;
        }
        match service {
            Some(service) => self.services.push(ServiceOverride { service, set }),
            None => self.main.push(set),
        }
        Ok(())
    }
}

impl Override {
    /// A problem with this value, which is only shown if it cannot contain a password: some tables are
    /// written into main.cf itself.
    pub fn problem(&self, advice: impl Into<String>) -> Problem {
        match self.parameter.contains("password")
            || ["static:", "inline:"].iter().any(|table| self.value.contains(table))
        {
            true => Problem::without_value(&self.variable, advice),
            false => Problem::new(&self.variable, &self.value, advice),
        }
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
                let advice = "must name service, type and parameter, like \
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
    // Other images write POSTFIX_MESSAGE_SIZE_LIMIT.
    if service.is_none() && VARIABLES.iter().any(|known| known.name == parameter) {
        let advice = format!("is set by {parameter}; use that instead");
        return Err(Problem::without_value(variable, advice));
    }
    let advice = match parameters::nearest(parameter) {
        Some(nearest) => {
            let prefix = variable.strip_suffix(parameter).unwrap_or_default();
            format!("is not a parameter of this Postfix; did you mean {prefix}{nearest}?")
        }
        None => "is not a parameter of this Postfix; postconf(5) lists them all".to_owned(),
    };
    Err(Problem::without_value(variable, advice))
}

/// Joins the lines of a value with spaces. A value of only spaces sets the parameter to nothing.
fn one_line(value: &str) -> Result<String, String> {
    let joined = value.replace("\r\n", " ").replace(['\n', '\t'], " ");
    if joined.contains(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    Ok(joined.trim().to_owned())
}

/// In master.cf a value is written in braces, which it must not close.
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
        _ => Err("has an unbalanced brace".to_owned()),
    }
}

#[cfg(test)]
mod tests;
