//! Reads single variables. All mistakes are collected, so that an operator sees every one of them at
//! the first start.

use std::path::Path;

use super::environment::{Environment, Problem};
use super::secret::{self, Secret};
use super::variables::Variable;

/// Reads variables, and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    pub problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: Vec::new() }
    }

    pub fn is_set(&self, variable: &Variable) -> bool {
        self.environment.get(variable.name).is_some()
            || (variable.secret && self.environment.get(&variable.file_name()).is_some())
    }

    /// Parses the value or the default. `None` if it is wrong, or unset without a default.
    pub fn parse<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let problem = |advice| Problem::new(variable.name, &text, advice);
        parse(&text).map_err(|advice| self.problems.push(problem(advice))).ok()
    }

    /// Parses a value that is not shown if it is wrong, because people write a password into it.
    pub fn parse_unshown<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let problem = |advice| Problem::without_value(variable.name, advice);
        parse(&text).map_err(|advice| self.problems.push(problem(advice))).ok()
    }

    /// Parses the path of a file.
    pub fn parse_path<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let problem = |advice| problem_with_path(variable.name, &text, advice);
        parse(&text).map_err(|advice| self.problems.push(problem(advice))).ok()
    }

    /// Reads a boolean. A wrong one counts as its default, so that later checks still run.
    pub fn boolean(&mut self, variable: &Variable) -> bool {
        let parsed = self.parse(variable, boolean);
        parsed.unwrap_or_else(|| boolean(variable.default).unwrap_or_default())
    }

    /// The value or the default as text; `None` if both are empty.
    pub fn text(&mut self, variable: &Variable) -> Option<String> {
        let Some(value) = self.environment.get(variable.name) else {
            return Some(variable.default.to_owned()).filter(|default| !default.is_empty());
        };
        let text = value.to_str().map(str::to_owned);
        if text.is_none() {
            self.problems.push(Problem::without_value(variable.name, "is not valid UTF-8"));
        }
        text
    }

    /// Reads a secret from the variable itself or from the file that its `_FILE` twin names.
    pub fn secret(&mut self, variable: &Variable) -> Option<Secret> {
        let file_variable = variable.file_name();
        let from_file = self.environment.get(&file_variable).cloned();
        if from_file.is_some() && self.environment.get(variable.name).is_some() {
            let advice = format!("set this or {file_variable}, not both");
            self.problems.push(Problem::without_value(variable.name, advice));
            return None;
        }
        let Some(path) = from_file else {
            return self.text(variable).map(Secret::new);
        };
        match secret::read_file(Path::new(&path)) {
            Ok(secret) => Some(secret),
            Err(advice) => {
                let path = path.to_string_lossy();
                self.problems.push(problem_with_path(&file_variable, &path, advice));
                None
            }
        }
    }
}

/// What does not look like a path may be the key or the password itself, in the wrong variable.
fn problem_with_path(variable: &str, path: &str, advice: String) -> Problem {
    match path.starts_with('/') {
        true => Problem::new(variable, path, advice),
        false => Problem::without_value(variable, advice),
    }
}

/// `true`, `false`, `yes`, `no`, `1` or `0`, in upper or lower case.
fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("must be true or false (yes, no, 1 and 0 work too)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: Variable =
        Variable { name: "THE_PASSWORD", default: "", meaning: "a password", secret: true };

    fn secret_of(pairs: &[(&str, &str)]) -> (Option<Secret>, Vec<String>) {
        let environment = Environment::from(pairs);
        let mut reader = Reader::new(&environment);
        let secret = reader.secret(&PASSWORD);
        (secret, reader.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_secret_is_read_from_its_variable_or_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\n").unwrap();
        let expected = Some(Secret::new("hunter2".to_owned()));
        for pair in [("THE_PASSWORD", "hunter2"), ("THE_PASSWORD_FILE", path.to_str().unwrap())] {
            assert_eq!(secret_of(&[pair]), (expected.clone(), vec![]));
        }
    }

    #[test]
    fn a_secret_in_place_of_its_path_is_not_shown() {
        let (_, problems) = secret_of(&[("THE_PASSWORD_FILE", "hunter2")]);
        assert_eq!(
            problems,
            ["THE_PASSWORD_FILE: cannot read this file: No such file or directory (os error 2)"]
        );
    }

    #[test]
    fn a_secret_set_twice_is_a_mistake_that_does_not_show_it() {
        let (secret, problems) =
            secret_of(&[("THE_PASSWORD", "hunter2"), ("THE_PASSWORD_FILE", "/b")]);
        assert_eq!(secret, None);
        assert_eq!(problems, ["THE_PASSWORD: set this or THE_PASSWORD_FILE, not both"]);
    }
}
