//! `relay-init render --explain`: main.cf and master.cf with the source of each line.

use super::main_cf::MainCf;
use super::master_cf::MasterCf;
use super::source::{Parameter, Source};
use crate::settings::environment::Environment;
use crate::settings::variables::Variable;

/// One line per parameter, followed by its source.
pub fn main_cf(cf: &MainCf, environment: &Environment) -> String {
    let mut text = String::new();
    for section in &cf.sections {
        text.push_str(&format!("\n# {}\n", section.title));
        for parameter in &section.parameters {
            let line = one_line(parameter, " = ");
            text.push_str(&with_source(&line, &parameter.source, environment));
        }
    }
    text
}

/// One line per service and per parameter, each followed by its source.
pub fn master_cf(cf: &MasterCf, environment: &Environment) -> String {
    let mut text = String::new();
    for service in &cf.services {
        text.push_str(&with_source(&service.line(), &service.source, environment));
        for parameter in &service.parameters {
            let line = format!("    -o {}", one_line(parameter, "="));
            text.push_str(&with_source(&line, &parameter.source, environment));
        }
    }
    text
}

fn describe(source: &Source, environment: &Environment) -> String {
    match source {
        Source::Fixed => "fixed by the relay".to_owned(),
        Source::Override(variable) => variable.clone(),
        Source::Variables(variables) => {
            let set: Vec<String> =
                variables.iter().filter_map(|variable| set_name(variable, environment)).collect();
            let names = variables.iter().map(|variable| variable.name);
            match set.is_empty() {
                true => format!("default of {}", names.collect::<Vec<_>>().join(", ")),
                false => set.join(", "),
            }
        }
    }
}

/// The name of a variable if it is set, or of its `_FILE` twin if that is.
fn set_name(variable: &Variable, environment: &Environment) -> Option<String> {
    let file = variable.file_name();
    if environment.get(variable.name).is_some() {
        return Some(variable.name.to_owned());
    }
    (variable.secret && environment.get(&file).is_some()).then_some(file)
}

fn one_line(Parameter { name, value, .. }: &Parameter, equals: &str) -> String {
    let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    format!("{name}{equals}{value}")
}

/// Sources are aligned in one column, except after longer lines.
fn with_source(line: &str, source: &Source, environment: &Environment) -> String {
    format!("{line:<64} # {}\n", describe(source, environment))
}

#[cfg(test)]
mod tests;
