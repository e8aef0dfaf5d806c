//! An SMTP reply whose codes cannot disagree.

use std::fmt;

/// A refusal as an SMTP client reads it: `554 5.7.1 text`.
///
/// The first digit of the reply code (RFC 5321 section 4.2.1) and the class of the enhanced status
/// code (RFC 3463 section 2) are one field. Postfix discards a milter reply whose classes differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    class: Class,
    /// The second and third digit of the reply code.
    detail: u8,
    /// Subject and detail of the enhanced status code, such as `7.1`.
    status: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Temporary,
    Permanent,
}

/// Longer text is cut. RFC 5321 section 4.5.3.1.5 allows a reply line of 512 octets, and Postfix
/// puts the recipient's address before our text.
const MAX_TEXT: usize = 200;

impl Reply {
    /// A refusal that the client should not repeat: `5dd 5.x.y`.
    pub fn permanent(detail: u8, status: &'static str, text: &str) -> Self {
        Self { class: Class::Permanent, detail: detail.min(99), status, text: printable(text) }
    }

    /// A refusal that asks the client to come back: `4dd 4.x.y`.
    pub fn temporary(detail: u8, status: &'static str, text: &str) -> Self {
        Self { class: Class::Temporary, detail: detail.min(99), status, text: printable(text) }
    }

    /// The three digits.
    pub fn code(&self) -> String {
        format!("{}{:02}", self.digit(), self.detail)
    }

    /// The enhanced status code, such as `5.7.1`.
    pub fn enhanced_status_code(&self) -> String {
        format!("{}.{}", self.digit(), self.status)
    }

    /// Whether the client should try again later.
    pub fn is_temporary(&self) -> bool {
        self.class == Class::Temporary
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn digit(&self) -> u8 {
        match self.class {
            Class::Temporary => 4,
            Class::Permanent => 5,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code(), self.enhanced_status_code(), self.text)
    }
}

/// Keeps printable ASCII. A line break from a peer would otherwise end the reply and start another.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .take(MAX_TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_both_codes_agree() {
        assert_eq!(Reply::permanent(54, "7.1", "no").to_string(), "554 5.7.1 no");
        assert_eq!(Reply::temporary(50, "7.1", "later").to_string(), "450 4.7.1 later");
        assert_eq!(Reply::temporary(1, "3.0", "later").to_string(), "401 4.3.0 later");
    }

    #[test]
    fn text_from_a_peer_cannot_break_the_line() {
        assert_eq!(Reply::permanent(54, "7.1", "a\r\n250 ok\té").text(), "a??250 ok??");
        assert_eq!(Reply::permanent(54, "7.1", &"x".repeat(500)).text().len(), MAX_TEXT);
    }
}
