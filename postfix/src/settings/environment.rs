//! The environment as text, and the small readers every setting goes through.
//!
//! All problems are collected, so that an operator sees every mistake of a start at once. An empty
//! value is an unset one, because compose files pass `NAME=` for what is not filled in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::variables::Variable;

/// The variables of a process, or of a test.
#[derive(Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
                .collect(),
        )
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.as_slice().into()
    }
}

#[cfg(test)]
impl From<&[(&str, &str)]> for Environment {
    fn from(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect())
    }
}

/// One mistake in the settings: which variable, what it holds, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    variable: String,
    value: Option<String>,
    advice: String,
}

impl Problem {
    /// A mistake whose value may be shown.
    pub fn new(variable: &str, value: &str, advice: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), value: Some(value.to_owned()), advice: advice.into() }
    }

    /// A mistake of a variable that is unset, or whose value is or may hold a secret.
    pub fn without_value(variable: &str, advice: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), value: None, advice: advice.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            // Escaped, because a value with a newline must not look like two log lines.
            Some(value) => {
                write!(f, "{}={}: {}", self.variable, value.escape_debug(), self.advice)
            }
            None => write!(f, "{}: {}", self.variable, self.advice),
        }
    }
}

/// Text that is wiped when it is dropped and that no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Reads variables and keeps what is wrong with them.
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

    /// The value, or the default, parsed. `None` when it is unset without default or wrong.
    pub fn parse<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(advice) => {
                self.problems.push(Problem::new(variable.name, &text, advice));
                None
            }
        }
    }

    /// A boolean; a wrong one counts as its default, so that the checks that follow go on.
    pub fn boolean(&mut self, variable: &Variable) -> bool {
        let parsed = self.parse(variable, boolean);
        parsed.unwrap_or_else(|| boolean(variable.default).unwrap_or_default())
    }

    /// The value as text, or the default; `None` when both are empty.
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

    /// A secret from the variable itself or from the file its `_FILE` twin names.
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
        match read_secret(Path::new(&path)) {
            Ok(secret) => Some(secret),
            Err(advice) => {
                let path = path.to_string_lossy();
                self.problems.push(Problem::new(&file_variable, &path, advice));
                None
            }
        }
    }
}

/// `true`, `false`, `yes`, `no`, `1`, `0` in any case.
fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("must be true or false (yes, no, 1 and 0 work too)".to_owned()),
    }
}

/// The content of a secret file without the one newline that editors put at its end.
fn read_secret(path: &Path) -> Result<Secret, String> {
    let bytes =
        Zeroizing::new(fs::read(path).map_err(|error| format!("cannot read this file: {error}"))?);
    let text = std::str::from_utf8(&bytes).map_err(|_| "the file is not valid UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("the file is empty; put the secret into it".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: Variable =
        Variable { name: "THE_PASSWORD", default: "", meaning: "a password", secret: true };

    fn secret_in_file(content: &[u8]) -> Result<Option<Secret>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        let environment = Environment::from([("THE_PASSWORD_FILE", path.to_str().unwrap())]);
        let mut reader = Reader::new(&environment);
        let secret = reader.secret(&PASSWORD);
        match reader.problems.first() {
            Some(problem) => Err(problem.advice.clone()),
            None => Ok(secret),
        }
    }

    #[test]
    fn one_newline_at_the_end_of_a_secret_file_is_stripped_and_nothing_else() {
        for (content, expected) in [
            ("pass word", "pass word"),
            ("pass\n", "pass"),
            ("pass\r\n", "pass"),
            ("pass\n\n", "pass\n"),
            (" pass \n", " pass "),
        ] {
            let secret = secret_in_file(content.as_bytes()).unwrap().unwrap();
            assert_eq!(secret.reveal(), expected, "{content:?}");
        }
    }

    #[test]
    fn a_secret_file_that_cannot_be_used_says_why() {
        assert_eq!(secret_in_file(b"\n").unwrap_err(), "the file is empty; put the secret into it");
        assert_eq!(secret_in_file(b"\xff").unwrap_err(), "the file is not valid UTF-8");
    }

    #[test]
    fn a_secret_shows_neither_in_debug_nor_in_a_problem() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "[secret]");
        let environment = Environment::from([("THE_PASSWORD", "a"), ("THE_PASSWORD_FILE", "/b")]);
        let mut reader = Reader::new(&environment);
        assert!(reader.secret(&PASSWORD).is_none());
        assert_eq!(
            reader.problems.first().unwrap().to_string(),
            "THE_PASSWORD: set this or THE_PASSWORD_FILE, not both"
        );
    }

    #[test]
    fn a_value_cannot_forge_a_second_log_line() {
        let problem = Problem::new("A", "x\nrelay-init: info: fine", "is wrong");
        assert_eq!(problem.to_string(), "A=x\\nrelay-init: info: fine: is wrong");
    }
}
