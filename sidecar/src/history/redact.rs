//! LOG_REDACT for what is kept in memory: masks or hashes the local parts of addresses.
//!
//! relay-init does the same to Postfix's log. Its key is on the queue's volume, which this container
//! does not have; so the codes of `hash` are others here, and change with every start. Who searches for
//! an address finds it all the same, because it is hashed before it is compared.

/// LOG_REDACT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redaction {
    #[default]
    None,
    Mask,
    Hash,
}

impl Redaction {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "mask" => Some(Self::Mask),
            "hash" => Some(Self::Hash),
            _ => None,
        }
    }
}

/// Hexadecimal digits of a hash that are shown.
const SHOWN_OF_HASH: usize = 16;
/// What stands in place of a local part.
const MASK: &[u8] = b"***";

pub enum Redactor {
    Off,
    Mask,
    Hash([u8; 32]),
}

// The key would allow to guess at addresses.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    pub fn new(redaction: Redaction) -> std::io::Result<Self> {
        Ok(match redaction {
            Redaction::None => Self::Off,
            Redaction::Mask => Self::Mask,
            Redaction::Hash => {
                let mut key = [0; 32];
                getrandom::fill(&mut key)
                    .map_err(|error| std::io::Error::other(error.to_string()))?;
                Self::Hash(key)
            }
        })
    }

    pub fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    /// Every address in running text. Rather too much is taken for a local part than too little: with
    /// quotes or brackets before the `@`, everything from the first of them on.
    pub fn text(&self, text: &str) -> String {
        if self.is_off() {
            return text.to_owned();
        }
        let text = text.as_bytes();
        let mut result = Vec::with_capacity(text.len() + SHOWN_OF_HASH);
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == b'@') {
            let (before, domain) = rest.split_at(at);
            // The last `@` before something that ends a domain belongs to the same address.
            let start = start_of_local_part(before);
            let (kept, local) = before.split_at(start);
            let end = domain.iter().skip(1).position(|byte| !is_of_a_domain(*byte));
            let (domain, after) = domain.split_at(end.map_or(domain.len(), |end| end + 1));
            result.extend_from_slice(kept);
            if !local.is_empty() {
                self.replace(local, domain, &mut result);
            }
            result.extend_from_slice(domain);
            rest = after;
        }
        result.extend_from_slice(rest);
        // Only whole characters are taken out, so that what is left is text.
        String::from_utf8_lossy(&result).into_owned()
    }

    /// Appends what takes the place of a local part. `domain` starts with its `@`.
    fn replace(&self, local: &[u8], domain: &[u8], result: &mut Vec<u8>) {
        match self {
            Self::Off => result.extend_from_slice(local),
            Self::Mask => {
                // The first letter of a one-letter local part would be all of it.
                let first = local.first().filter(|first| first.is_ascii_alphanumeric());
                result.extend(first.filter(|_| local.len() > 1 && local.iter().all(is_atom)));
                result.extend_from_slice(MASK);
            }
            Self::Hash(key) => {
                let address = [local, domain].concat().to_ascii_lowercase();
                let hash = blake3::keyed_hash(key, &address).to_hex();
                result.extend_from_slice(hash.as_bytes().get(..SHOWN_OF_HASH).unwrap_or_default());
            }
        }
    }
}

/// The offset of the local part at the end of a text.
fn start_of_local_part(before: &[u8]) -> usize {
    if before.last() == Some(&b'"') {
        return before.iter().position(|byte| *byte == b'"').unwrap_or_default();
    }
    let bracket = before.iter().rposition(|byte| matches!(byte, b'<' | b'>'));
    if let Some(bracket) = bracket.filter(|bracket| before.get(*bracket) == Some(&b'<')) {
        return bracket + 1;
    }
    before.iter().rposition(|byte| !is_atom(byte)).map_or(0, |at| at + 1)
}

/// What may be in a local part without quotes (RFC 5321 section 4.1.2), a dot and UTF-8 included.
fn is_atom(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".!#$%&'*+-/=?^_`{|}~".contains(byte)
}

fn is_of_a_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-.[]:_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_are_masked_in_addresses_and_in_text() {
        for (text, expected) in [
            ("alice@example.org", "a***@example.org"),
            ("a@b,carol@d", "***@b,c***@d"),
            ("a@example.org", "***@example.org"),
            ("\"a b\"@example.org", "***@example.org"),
            ("<bob jones@example.org> bob", "<***@example.org> bob"),
            ("to=<bob@example.net>, x", "to=<b***@example.net>, x"),
            ("élan@x", "***@x"),
            ("a***@example.org", "a***@example.org"),
            ("nobody here", "nobody here"),
            ("@example.org", "@example.org"),
            ("", ""),
            (
                "550 5.1.1 <bob@example.net>: no such user bob@example.net, see carol@example.com.",
                "550 5.1.1 <b***@example.net>: no such user b***@example.net, see c***@example.com.",
            ),
            ("550 <\"bob jones\"@example.net> unknown", "550 <***@example.net> unknown"),
            ("550 \"bob jones\"@example.net unknown", "550 ***@example.net unknown"),
            ("250 2.0.0 Ok: queued as 4hLkX53kNtzjk", "250 2.0.0 Ok: queued as 4hLkX53kNtzjk"),
            ("a@b@c", "***@b@c"),
        ] {
            assert_eq!(Redactor::Mask.text(text), expected);
            assert_eq!(Redactor::Off.text(text), text);
        }
    }

    #[test]
    fn a_hash_is_the_same_for_the_same_address_and_needs_the_key() {
        let (one, other) = (Redactor::Hash([1; 32]), Redactor::Hash([2; 32]));
        let text = one.text("Alice@example.org");
        assert_eq!(text, one.text("alice@example.org"));
        assert_ne!(text, other.text("alice@example.org"));
        assert!(text.ends_with("@example.org") && !text.contains("lice"), "{text}");
    }
}
