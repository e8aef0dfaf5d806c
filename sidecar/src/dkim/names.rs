//! Domains and selectors, as they are stored, signed and asked for. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::access::senders::canonical_domain;

/// A domain in lower-case A-labels, short enough for the name of a DKIM record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// The part of a record's name that tells one key of a domain from another (RFC 6376 section 3.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector(String);

/// Longest name in DNS, in characters (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
/// Longest label in DNS.
const MAX_LABEL: usize = 63;
/// What stands between selector and domain (RFC 6376 section 3.6.2.1).
const BETWEEN: &str = "._domainkey.";
/// Room that every domain leaves for the selectors that we make.
const OUR_SELECTORS: usize = 20;

impl Domain {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain and its parents, the nearest first, those of one label left out: nobody has a key
    /// for `org`.
    pub fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, parent)| parent))
            .filter(|name| name.contains('.'))
    }
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not a domain: write example.org");
        let name = canonical_domain(text).ok_or_else(expected)?;
        let fits = name.len() + BETWEEN.len() + OUR_SELECTORS <= MAX_NAME;
        let labels_fit = name.split('.').all(|label| label.len() <= MAX_LABEL);
        (fits && labels_fit && name.contains('.')).then_some(Self(name)).ok_or_else(expected)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            (1..=MAX_LABEL).contains(&bytes.len())
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= MAX_LABEL && text.split('.').all(is_label) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!("{text:?} is not a selector: use letters, digits and hyphens, such as s1"))
        }
    }
}

impl Selector {
    /// A selector of ours: what its key is for, the day, and a number where there was one before.
    pub fn of_ours(kind: &'static str, day: u32, number: u32) -> Self {
        match number {
            1 => Self(format!("{kind}-{day}")),
            number => Self(format!("{kind}-{day}-{number}")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a key's record, without a dot at its end.
pub fn record_name(domain: &Domain, selector: &Selector) -> String {
    format!("{selector}{BETWEEN}{domain}")
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}
text_type!(Domain);
text_type!(Selector);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_compared_as_a_labels_in_lower_case() {
        for (text, expected) in
            [("Example.ORG", "example.org"), ("bücher.example", "xn--bcher-kva.example")]
        {
            assert_eq!(text.parse::<Domain>().unwrap().as_str(), expected);
        }
        let long = format!("{}.org", "a.".repeat(120));
        for text in ["", "org", "exa mple.org", "example..org", "[192.0.2.1]", &long] {
            assert!(text.parse::<Domain>().is_err(), "{text}");
        }
    }

    #[test]
    fn selectors_are_labels_of_dns() {
        for text in ["s1", "S1", "rsa-20261125", "a.b", "_x"] {
            assert!(text.parse::<Selector>().is_ok(), "{text}");
        }
        let long = "s".repeat(64);
        for text in ["", ".", "a.", "-a", "a-", "a b", "a;b", "ä", &long] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_domain_is_followed_by_its_parents() {
        let names: Vec<_> = Domain::with_parents("a.b.example.org").collect();
        assert_eq!(names, ["a.b.example.org", "b.example.org", "example.org"]);
        assert_eq!(Domain::with_parents("org").count(), 0);
    }
}
