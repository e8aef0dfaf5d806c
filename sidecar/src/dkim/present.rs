//! The signatures that a message bears already: whose they are, and which fields they cover. Pure.

use std::collections::BTreeSet;

use crate::access::senders::canonical_domain;

/// Signatures that are read; more than these on one message are somebody's game.
const MAX_SIGNATURES: usize = 32;
/// Names of covered fields that are kept.
const MAX_COVERED: usize = 1_000;

/// What the signatures of one message say, collected as its fields arrive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PresentSignatures {
    domains: BTreeSet<String>,
    /// In lower case.
    covered: BTreeSet<String>,
    count: usize,
    /// Whether some of it was not kept.
    overflow: bool,
}

impl PresentSignatures {
    /// Reads a field, if it is a signature.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = name.trim_ascii();
        let of_author = name.eq_ignore_ascii_case(b"DKIM-Signature");
        // A seal of ARC (RFC 8617 section 4.1.2) covers fields, too, and speaks for no author.
        if !of_author && !name.eq_ignore_ascii_case(b"ARC-Message-Signature") {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.count > MAX_SIGNATURES {
            self.overflow = true;
            return;
        }
        let value = String::from_utf8_lossy(value);
        if of_author {
            self.domains.extend(tag(&value, "d").and_then(|domain| canonical_domain(&domain)));
        }
        let covered = tag(&value, "h").unwrap_or_default();
        for name in covered.split(':').map(str::to_ascii_lowercase) {
            if self.covered.len() < MAX_COVERED {
                self.covered.insert(name);
            } else {
                self.overflow |= !self.covered.contains(&name);
            }
        }
    }

    /// Whether one of them is of this domain.
    pub fn is_of(&self, domain: &str) -> bool {
        self.domains.contains(domain)
    }

    /// Whether a change to a field of this name would break one of them.
    pub fn cover(&self, name: &str) -> bool {
        self.overflow || self.covered.contains(&name.to_ascii_lowercase())
    }
}

/// The value of a tag (RFC 6376 section 3.2), without the blanks that may stand anywhere in those
/// that are read here.
pub fn tag(list: &str, name: &str) -> Option<String> {
    list.split(';').find_map(|entry| {
        let (tag, value) = entry.split_once('=')?;
        (tag.trim() == name).then(|| value.split_whitespace().collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str)]) -> PresentSignatures {
        let mut signatures = PresentSignatures::default();
        for (name, value) in fields {
            signatures.add(name.as_bytes(), value.as_bytes());
        }
        signatures
    }

    #[test]
    fn whose_a_signature_is_and_what_it_covers() {
        let signatures = of(&[(
            "dkim-signature ",
            " v=1; a=rsa-sha256; d=Example.ORG;\n\ts=s1; h=From : Subject:\n\tX-Mailer; b=xx=",
        )]);
        assert!(signatures.is_of("example.org"));
        assert!(!signatures.is_of("org") && !signatures.is_of("sub.example.org"));
        for (name, covered) in [("from", true), ("x-mailer", true), ("User-Agent", false)] {
            assert_eq!(signatures.cover(name), covered, "{name}");
        }
    }

    #[test]
    fn a_seal_of_arc_covers_fields_and_is_nobodys_signature() {
        let signatures = of(&[("ARC-Message-Signature", "i=1; d=example.org; h=from:x-mailer")]);
        assert!(!signatures.is_of("example.org") && signatures.cover("X-Mailer"));
    }

    #[test]
    fn what_is_no_signature_says_nothing() {
        let signatures = of(&[
            ("X-DKIM-Signature", "d=example.org; h=from"),
            ("DKIM-Signature", "d=; h"),
            ("DKIM-Signature", "dd=example.org; h=\u{fffd}"),
        ]);
        assert!(!signatures.is_of("example.org") && !signatures.cover("from"));
    }

    #[test]
    fn of_too_many_signatures_everything_counts_as_covered() {
        let one = ("DKIM-Signature", "d=a.example; h=from");
        assert!(!of(&[one; MAX_SIGNATURES]).cover("x-mailer"));
        assert!(of(&[one; MAX_SIGNATURES + 1]).cover("x-mailer"));
        let long = "from:".repeat(10) + &(0..2_000).map(|n| format!("x{n}:")).collect::<String>();
        assert!(of(&[("DKIM-Signature", &format!("h={long}"))]).cover("x-mailer"));
    }
}
