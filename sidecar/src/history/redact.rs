//! `LOG_REDACT` for what the sidecar remembers. Pure.
//!
//! Both of its values mask here: a hash that is the same as in Postfix's log needs relay-init's key.

/// Masks the local part of every address in a text but its first character, as Postfix's log does.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, from_at) = rest.split_at(at);
        let start = before.rfind(is_delimiter).map_or(0, |position| {
            position
                + before.get(position..).and_then(|d| d.chars().next()).map_or(1, char::len_utf8)
        });
        let (other, local) = before.split_at(start);
        masked.push_str(other);
        masked.extend(local.chars().next());
        masked.push_str("***@");
        rest = from_at.get(1..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>' | ',' | '=' | '(' | ')' | ':' | ';' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_are_masked_wherever_they_stand() {
        for (text, expected) in [
            ("alice@example.org", "a***@example.org"),
            ("a@b,carol@d", "a***@b,c***@d"),
            ("550 5.1.1 <bob@example.net>: unknown", "550 5.1.1 <b***@example.net>: unknown"),
            ("nobody here", "nobody here"),
            ("élan@x", "é***@x"),
            ("a***@example.org", "a***@example.org"),
            ("@", "***@"),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }
}
