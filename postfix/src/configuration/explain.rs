//! Where each line of main.cf and master.cf comes from: `relay-init render --explain`.

use crate::configuration::main_cf::{MainCf, Parameter};
use crate::configuration::master_cf::MasterCf;
use crate::settings::Environment;
use crate::settings::variables::Variable;

/// Who decided a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This relay; no variable changes it, but for a POSTFIX_ one.
    Fixed,
    Variables(Vec<&'static Variable>),
    /// A POSTFIX_ or POSTFIXMASTER_ variable.
    Override(String),
}

impl Source {
    fn describe(&self, environment: &Environment) -> String {
        match self {
            Self::Fixed => "always so".to_owned(),
            Self::Override(variable) => variable.clone(),
            Self::Variables(variables) => {
                let set: Vec<String> = variables
                    .iter()
                    .filter_map(|variable| set_name(variable, environment))
                    .collect();
                let names = variables.iter().map(|variable| variable.name);
                match set.is_empty() {
                    true => format!("default of {}", names.collect::<Vec<_>>().join(", ")),
                    false => set.join(", "),
                }
            }
        }
    }
}

/// The name of a variable that is set, or of its file.
fn set_name(variable: &Variable, environment: &Environment) -> Option<String> {
    let file = variable.file_name();
    if environment.get(variable.name).is_some() {
        return Some(variable.name.to_owned());
    }
    (variable.secret && environment.get(&file).is_some()).then_some(file)
}

/// One line for each parameter, and its source behind it.
pub fn main_cf(cf: &MainCf, environment: &Environment) -> String {
    let mut text = String::new();
    for section in &cf.sections {
        text.push_str(&format!("\n# {}\n", section.title));
        for parameter in &section.parameters {
            let line = one_line(parameter, " = ");
            text.push_str(&with_source(&line, &parameter.from, environment));
        }
    }
    text
}

pub fn master_cf(cf: &MasterCf, environment: &Environment) -> String {
    let mut text = String::new();
    for service in &cf.services {
        text.push_str(&with_source(&service.line(), &service.from, environment));
        for parameter in &service.parameters {
            let line = format!("    -o {}", one_line(parameter, "="));
            text.push_str(&with_source(&line, &parameter.from, environment));
        }
    }
    text
}

fn one_line(Parameter { name, value, .. }: &Parameter, equals: &str) -> String {
    let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    format!("{name}{equals}{value}")
}

/// Sources stand in one column, as far as lines are no longer.
fn with_source(line: &str, source: &Source, environment: &Environment) -> String {
    format!("{line:<64} # {}\n", source.describe(environment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn explained(pairs: &[(&str, &str)]) -> String {
        let environment = Environment::from(pairs);
        let settings = settings::load(&environment).unwrap();
        let main_cf = main_cf(
            &crate::configuration::main_cf::build(
                &settings,
                &crate::configuration::main_cf::Surroundings::default(),
            ),
            &environment,
        );
        main_cf + &master_cf(&crate::configuration::master_cf::build(&settings), &environment)
    }

    /// The source that stands behind a line.
    fn source<'a>(text: &'a str, line: &str) -> &'a str {
        let found = text.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        found.rsplit_once(" # ").unwrap().1
    }

    #[test]
    fn every_line_says_where_it_comes_from() {
        let text = explained(&[
            ("RELAY_MYHOSTNAME", "relay.example.org"),
            ("RELAYHOST", "smtp.example.net"),
            ("POSTFIX_smtpd_banner", "hello"),
            ("POSTFIXMASTER_587__inet__smtpd_banner", "hi"),
        ]);
        for (line, expected) in [
            ("myhostname = relay.example.org", "RELAY_MYHOSTNAME"),
            ("mydomain = example.org", "RELAY_MYHOSTNAME"),
            ("mynetworks = 127.0.0.0/8 [::1]/128", "default of ALLOWED_NETWORKS, TRUST_GATEWAY"),
            ("smtp_tls_security_level = may", "RELAYHOST"),
            ("notify_classes = ", "always so"),
            ("smtpd_banner = hello", "POSTFIX_smtpd_banner"),
            ("    -o smtpd_banner=hi", "POSTFIXMASTER_587__inet__smtpd_banner"),
            ("    -o smtpd_sasl_auth_enable=yes", "default of ENABLE_SASL"),
            ("465       inet", "default of ENABLE_TLS"),
        ] {
            assert_eq!(source(&text, line), expected, "{line}");
        }
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(line.contains(" # "), "{line}");
        }
    }
}
