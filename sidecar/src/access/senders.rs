//! Which addresses somebody may send as. Pure.
//!
//! Domains are compared as A-labels in lower case, and local parts in lower case too: RFC 5321
//! section 2.4 lets a server tell `Alice` from `alice`, but none does. Subdomains and `alice+tag`
//! are different addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address in the form in which addresses are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    local: String,
    domain: String,
}

impl Address {
    /// Reads `local@domain` without quotes and angle brackets, as Postfix's policy client writes
    /// it. `None` when it cannot be compared safely.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        if local.is_empty() || text.chars().any(char::is_control) {
            return None;
        }
        Some(Self { local: local.to_lowercase(), domain: canonical_domain(domain)? })
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// A domain in lower-case A-labels, so that `bücher.example` and `xn--bcher-kva.example` are one.
pub fn canonical_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii(domain).ok()?;
    let valid = !ascii.is_empty()
        && ascii.len() <= 255
        && ascii.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
    valid.then_some(ascii)
}

/// An envelope sender as Postfix tells it. It is read only for those who may not send as anybody, which few are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldSender<'a> {
    /// The value of the policy attribute `sender`.
    Policy(&'a [u8]),
    /// The first argument of MAIL as the milter gets it.
    Milter(&'a [u8]),
}

impl ToldSender<'_> {
    pub fn read(self) -> EnvelopeSender {
        match self {
            Self::Policy(value) => EnvelopeSender::from_policy(value),
            Self::Milter(argument) => EnvelopeSender::from_milter(argument),
        }
    }
}

/// An envelope sender, as far as it matters who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeSender {
    /// The null sender, `<>`: a bounce.
    Null,
    Address(Address),
    /// Neither; kept for the text of the refusal.
    Unreadable(String),
}

impl EnvelopeSender {
    /// Reads the value of the policy attribute `sender`.
    pub fn from_policy(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        if text.is_empty() {
            return Self::Null;
        }
        Address::parse(&text).map_or_else(|| Self::Unreadable(text.into_owned()), Self::Address)
    }

    /// Reads the first argument of MAIL as the milter gets it: in angle brackets, with a quoted
    /// local part where one is needed.
    pub fn from_milter(argument: &[u8]) -> Self {
        let text = String::from_utf8_lossy(argument);
        let path = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(&text);
        match path.strip_prefix('"').and_then(|rest| rest.rsplit_once("\"@")) {
            Some((quoted, domain)) => {
                let unquoted = format!("{}@{domain}", unescape(quoted));
                Self::from_policy(unquoted.as_bytes())
            }
            None => Self::from_policy(path.as_bytes()),
        }
    }
}

impl fmt::Display for EnvelopeSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
            Self::Unreadable(text) => write!(f, "<{text}>"),
        }
    }
}

/// Removes the backslashes of quoted-pairs (RFC 5321 section 4.1.2).
fn unescape(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

/// An address, or all addresses of a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SenderPattern {
    Address(Address),
    Domain(String),
}

impl SenderPattern {
    /// The domain of all addresses that fit.
    pub fn domain(&self) -> &str {
        match self {
            Self::Address(address) => address.domain(),
            Self::Domain(domain) => domain,
        }
    }
}

impl FromStr for SenderPattern {
    type Err = String;

    /// Reads `alice@example.org` or `*@example.org`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is not a sender: write alice@example.org, or *@example.org for a domain"
            )
        };
        let (local, domain) = text.rsplit_once('@').ok_or_else(expected)?;
        if local == "*" {
            return canonical_domain(domain).map(Self::Domain).ok_or_else(expected);
        }
        if local.chars().any(|c| c.is_whitespace() || "*<>,;:\"()".contains(c)) {
            return Err(expected());
        }
        Address::parse(text).map(Self::Address).ok_or_else(expected)
    }
}

impl fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Domain(domain) => write!(f, "*@{domain}"),
        }
    }
}

impl TryFrom<String> for SenderPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SenderPattern> for String {
    fn from(pattern: SenderPattern) -> Self {
        pattern.to_string()
    }
}

/// Whether one of the patterns covers this address. An empty list covers every address.
pub fn may_send_as(patterns: &[SenderPattern], address: &Address) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| match pattern {
            SenderPattern::Address(allowed) => allowed == address,
            SenderPattern::Domain(domain) => *domain == address.domain,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_patterns_and_addresses() {
        let cases = [
            ("alice@example.org", "alice@example.org", true),
            ("alice@example.org", "Alice@EXAMPLE.org", true),
            ("Alice@Example.ORG", "alice@example.org", true),
            ("alice@example.org", "bob@example.org", false),
            ("alice@example.org", "alice+tag@example.org", false),
            ("alice@example.org", "alice@sub.example.org", false),
            ("alice@example.org", "alice@example.org.evil.test", false),
            ("*@example.org", "anybody@example.org", true),
            ("*@example.org", "anybody@sub.example.org", false),
            ("*@example.org", "anybody@notexample.org", false),
            ("*@example.org", "victim@evil.test@example.org", true),
            ("*@bücher.example", "x@xn--bcher-kva.example", true),
            ("*@xn--bcher-kva.example", "x@BÜCHER.example", true),
            ("*@example.org", "x@ｅxample.org", true),
        ];
        for (pattern, address, expected) in cases {
            let patterns = [pattern.parse().unwrap()];
            let address = Address::parse(address).unwrap();
            assert_eq!(may_send_as(&patterns, &address), expected, "{pattern} {address}");
        }
        assert!(may_send_as(&[], &Address::parse("any@one.test").unwrap()));
    }

    #[test]
    fn senders_that_are_none() {
        for text in [
            "",
            "alice",
            "@example.org",
            "alice@",
            "alice@exa mple.org",
            "*",
            "*@",
            "a*@example.org",
            "<alice@example.org>",
            "a b@example.org",
            "alice@example..org",
            "alice@[192.0.2.1]",
        ] {
            assert!(text.parse::<SenderPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_stored_as_it_is_written() {
        for text in ["alice@example.org", "*@example.org"] {
            let pattern: SenderPattern = text.parse().unwrap();
            let json = serde_json::to_string(&pattern).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<SenderPattern>(&json).unwrap(), pattern);
        }
    }

    #[test]
    fn policy_and_milter_see_the_same_envelope_sender() {
        let cases = [
            ("alice@example.org", "<alice@example.org>"),
            ("we ird@example.org", "<\"we ird\"@example.org>"),
            ("a\"b@example.org", "<\"a\\\"b\"@example.org>"),
            ("", "<>"),
        ];
        for (policy, milter) in cases {
            let from_policy = EnvelopeSender::from_policy(policy.as_bytes());
            assert_eq!(EnvelopeSender::from_milter(milter.as_bytes()), from_policy, "{milter}");
            assert!(!matches!(from_policy, EnvelopeSender::Unreadable(_)), "{policy}");
        }
        for unreadable in ["alice", "alice@", "a\x01@example.org", "alice@[192.0.2.1]"] {
            let sender = EnvelopeSender::from_policy(unreadable.as_bytes());
            assert!(matches!(sender, EnvelopeSender::Unreadable(_)), "{unreadable}");
        }
    }
}
