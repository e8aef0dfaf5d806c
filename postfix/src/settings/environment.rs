//! The environment as text, and a mistake in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// The environment variables of this process, or of a test.
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

    /// The value of a variable. An empty one counts as unset, because compose files pass `NAME=` for
    /// what was not filled in.
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

/// One mistake in the settings: which variable, its value, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    variable: String,
    value: Option<String>,
    advice: String,
}

impl Problem {
    /// A mistake in a value that may be shown.
    pub fn new(variable: &str, value: &str, advice: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), value: Some(value.to_owned()), advice: advice.into() }
    }

    /// A mistake in a variable that is unset, or whose value is or may contain a secret.
    pub fn without_value(variable: &str, advice: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), value: None, advice: advice.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            // Escaped, so that a value with a newline cannot look like two log lines.
            Some(value) => {
                write!(f, "{}={}: {}", self.variable, value.escape_debug(), self.advice)
            }
            None => write!(f, "{}: {}", self.variable, self.advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_forge_a_second_log_line() {
        let problem = Problem::new("A", "x\nrelay-init: info: fine", "is wrong");
        assert_eq!(problem.to_string(), "A=x\\nrelay-init: info: fine: is wrong");
    }
}
