//! JSON objects of one line, as far as log lines and events need them (RFC 8259).

use std::fmt::Write;

/// An object that is being written.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        push_string(&mut self.0, value);
        self
    }

    pub fn text_if_any(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        // Writing to a String cannot fail.
        write!(self.0, "{value}").ok();
        self
    }

    /// A number in somebody else's words: a JSON number stays one, anything else becomes a string.
    pub fn number_in_words(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) if is_number(value) => {
                self.name(name);
                self.0.push_str(value);
            }
            other => {
                self.text_if_any(name, other);
            }
        }
        self
    }

    pub fn object(&mut self, name: &str, value: Self) -> &mut Self {
        self.name(name);
        self.0.push_str(&value.finish());
        self
    }

    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_string(&mut self.0, name);
        self.0.push(':');
    }
}

/// Digits with at most one point between them; leading zeros are no JSON.
fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

/// Quotes, backslashes and control characters are escaped, nothing else must be.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            control if control.is_control() => {
                write!(text, "\\u{:04x}", u32::from(control)).ok();
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_and_numbers_stay_numbers() {
        let mut inner = Object::new();
        inner.number("n", 7);
        let mut object = Object::new();
        object.text("a", "\"\\\n\u{1}ü").text_if_any("no", None).object("o", inner);
        for (name, value) in [("b", "0.25"), ("c", "12"), ("d", "01"), ("e", "1."), ("f", "-")] {
            object.number_in_words(name, Some(value));
        }
        assert_eq!(
            object.finish(),
            "{\"a\":\"\\\"\\\\\\u000a\\u0001ü\",\"o\":{\"n\":7},\"b\":0.25,\"c\":12,\"d\":\"01\",\
             \"e\":\"1.\",\"f\":\"-\"}"
        );
        assert_eq!(Object::new().finish(), "{}");
    }
}
