//! What DNS has to say of a key: the record to publish. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::{Algorithm, BadKey, NamedKey};
use super::names::record_name;

/// Longest string in a TXT record in bytes (RFC 1035 section 3.3.14). Longer values are several
/// strings, which readers join without anything between.
const MAX_STRING: usize = 255;

/// A record, in both ways that people enter one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The full name, without a dot at its end.
    pub name: String,
    /// The value as one piece, for a web form.
    pub value: String,
}

impl Record {
    /// # Errors
    ///
    /// When the private key cannot be read.
    pub fn of(key: &NamedKey) -> Result<Self, BadKey> {
        let algorithm = Algorithm::from(key.record.algorithm);
        let public = STANDARD.encode(key.record.private.public(algorithm)?);
        Ok(Self {
            name: record_name(&key.domain, &key.selector),
            value: format!("v=DKIM1; k={}; p={public}", algorithm.key_type()),
        })
    }

    /// A line for a zone file (RFC 1035 section 5.1).
    pub fn zone_line(&self) -> String {
        txt_line(&self.name, &self.value)
    }
}

/// A TXT record as a line for a zone file (RFC 1035 section 5.1). The value is plain ASCII without quotes.
pub fn txt_line(name: &str, value: &str) -> String {
    let mut line = format!("{name}. IN TXT (");
    for string in strings(value) {
        line.push_str(&format!(" \"{string}\""));
    }
    line.push_str(" )");
    line
}

/// The value cut as DNS wants it. It is plain ASCII.
fn strings(value: &str) -> impl Iterator<Item = &str> {
    let ends = (0..value.len()).step_by(MAX_STRING);
    ends.filter_map(|start| value.get(start..value.len().min(start + MAX_STRING)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::key_file;

    fn named(selector: &str, file: &str) -> NamedKey {
        let record = key_file::parse(file.as_bytes()).unwrap().into_record(0);
        NamedKey {
            domain: "example.org".parse().unwrap(),
            selector: selector.parse().unwrap(),
            record,
        }
    }

    /// `UPDATE_GOLDEN=1` rewrites the file; the values are those that opendkim-genkey and OpenSSL
    /// give for the same keys.
    #[test]
    fn the_records_of_known_keys_are_those_of_the_golden_file() {
        let rsa = named("s1", include_str!("testdata/openssl-pkcs8-rsa.pem"));
        let ed = named("s2", include_str!("testdata/openssl-pkcs8-ed25519.pem"));
        let mut text = String::new();
        for key in [rsa, ed] {
            let record = Record::of(&key).unwrap();
            text += &format!("{}\n{}\n{}\n\n", record.zone_line(), record.name, record.value);
        }
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dkim/testdata/records.expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(golden).unwrap());
    }

    #[test]
    fn a_long_value_is_cut_into_strings_that_join_to_it_again() {
        for length in [0, 1, 254, 255, 256, 510, 511, 800] {
            let value = "x".repeat(length);
            let cut: Vec<&str> = strings(&value).collect();
            assert_eq!(cut.concat(), value);
            assert!(cut.iter().all(|string| (1..=255).contains(&string.len())), "{length}");
        }
    }
}
