//! Reads one variable at a time and collects what is wrong with it.

use std::str::FromStr;

use super::{Environment, variables};
use crate::listener::Endpoint;

/// Reads variables, and keeps what is wrong with them.
pub struct Reader<'a, E> {
    pub environment: &'a E,
    pub mistakes: Vec<String>,
    /// What works, but an operator should know.
    pub warnings: Vec<String>,
}

impl<'a, E: Environment> Reader<'a, E> {
    pub fn new(environment: &'a E) -> Self {
        Self { environment, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// A value of a type whose parser says what is wrong with a text.
    pub fn parsed<T: FromStr<Err = String>>(&mut self, name: &str) -> Option<T> {
        let value = self.value_or_default(name);
        value.parse().map_err(|mistake| self.mistakes.push(format!("{name}: {mistake}"))).ok()
    }

    /// The value of a variable; an empty one counts as unset.
    pub fn value(&self, name: &str) -> Option<String> {
        self.environment.get(name).filter(|value| !value.is_empty())
    }

    pub fn value_or_default(&self, name: &str) -> String {
        self.value(name).unwrap_or_else(|| variables::default(name).to_owned())
    }

    pub fn wrong(&mut self, name: &str, value: &str, expected: &str) {
        self.mistakes.push(format!("{name}={value:?}: {expected}"));
    }

    pub fn boolean(&mut self, name: &str) -> bool {
        let value = self.value_or_default(name);
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => true,
            "false" | "no" | "0" => false,
            _ => {
                self.wrong(name, &value, "expected true or false");
                false
            }
        }
    }

    pub fn number(&mut self, name: &str, least: u32, most: u32) -> Option<u32> {
        let value = self.value_or_default(name);
        let number = value.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(name, &value, &format!("expected a number from {least} to {most}"));
        }
        number
    }

    pub fn endpoint(&mut self, name: &str) -> Option<Endpoint> {
        let value = self.value_or_default(name);
        Endpoint::parse(&value).map_err(|expected| self.wrong(name, &value, &expected)).ok()
    }

    /// What does not look like a path may be the secret itself, in the wrong variable.
    fn wrong_path(&mut self, name: &str, path: &str, expected: &str) {
        if path.starts_with('/') {
            self.wrong(name, path, expected);
        } else {
            self.mistakes.push(format!("{name}: expected an absolute path of a file"));
        }
    }

    /// A secret from its variable or from the file that its `_FILE` twin names. One newline at the
    /// end of the file is removed, because editors and `echo` put it there; nothing else.
    pub fn secret(&mut self, name: &str) -> Option<zeroize::Zeroizing<String>> {
        let twin = format!("{name}_FILE");
        match (self.value(name), self.value(&twin)) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.mistakes.push(format!("{name} and {twin} are both set: keep only one"));
                None
            }
            (Some(value), None) => Some(value.into()),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let text = zeroize::Zeroizing::new(text);
                    let line = text.strip_suffix('\n').unwrap_or(&text);
                    if line.is_empty() {
                        self.wrong_path(&twin, &path, "the file is empty");
                        return None;
                    }
                    Some(line.to_owned().into())
                }
                Err(error) => {
                    self.wrong_path(&twin, &path, &format!("cannot read this file: {error}"));
                    None
                }
            },
        }
    }
}
