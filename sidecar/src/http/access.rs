//! Who may read the metrics: anybody, or whoever has the token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use zeroize::Zeroizing;

/// `METRICS_TOKEN`, of which only a digest is kept.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;

impl Token {
    /// Takes what can stand in a header.
    ///
    /// # Errors
    ///
    /// Says what a token must look like, and not what was given.
    pub fn parse(text: &Zeroizing<String>) -> Result<Self, String> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || text.len() < SHORTEST {
            return Err(format!(
                "expected at least {SHORTEST} letters, digits or signs without spaces, such as \
                 openssl rand -hex 16 prints"
            ));
        }
        Ok(Self(blake3::hash(text.as_bytes())))
    }

    /// Whether a request has it: `Authorization: Bearer …` (RFC 6750), or as the password of any user in
    /// `Authorization: Basic …` (RFC 7617), which is what a browser asks its user for.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return false };
        let value = value.as_bytes();
        let space = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = value.split_at(space);
        let rest = rest.get(1..).unwrap_or_default();
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            return self.is(rest);
        }
        let Ok(pair) = STANDARD.decode(rest).map(Zeroizing::new) else { return false };
        let colon = pair.iter().position(|byte| *byte == b':');
        let password = colon.and_then(|colon| pair.get(colon + 1..));
        scheme.eq_ignore_ascii_case(b"Basic") && password.is_some_and(|password| self.is(password))
    }

    /// blake3::Hash compares in constant time, and digests have no length to tell.
    fn is(&self, given: &[u8]) -> bool {
        blake3::hash(given) == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn token() -> Token {
        Token::parse(&TOKEN.to_owned().into()).unwrap()
    }

    #[test]
    fn a_token_is_long_printable_and_not_shown() {
        for (text, expected) in [
            (TOKEN, true),
            ("0123456789abcde", false),
            ("0123456789 abcdef", false),
            ("0123456789abcdéf", false),
            ("", false),
        ] {
            let parsed = Token::parse(&text.to_owned().into());
            assert_eq!(parsed.is_ok(), expected, "{text}");
            assert!(text.is_empty() || !format!("{parsed:?}").contains(text), "{parsed:?}");
        }
    }

    #[test]
    fn only_a_header_with_the_whole_token_is_accepted() {
        for (values, expected) in [
            (vec![], false),
            (vec!["Bearer 0123456789abcdef"], true),
            (vec!["bearer 0123456789abcdef"], true),
            // anybody:0123456789abcdef
            (vec!["Basic YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVm"], true),
            (vec!["basic OjAxMjM0NTY3ODlhYmNkZWY="], true),
            (vec!["Basic MDEyMzQ1Njc4OWFiY2RlZg=="], false),
            (vec!["Basic 0123456789abcdef"], false),
            (vec!["Digest YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVm"], false),
            (vec!["Bearer 0123456789abcdeF"], false),
            (vec!["Bearer 0123456789abcdef0"], false),
            (vec!["Bearer 0123456789abcde"], false),
            (vec!["Bearer "], false),
            (vec!["Bearer"], false),
            (vec!["Basic 0123456789abcdef"], false),
            (vec!["0123456789abcdef"], false),
            (vec!["Bearer 0123456789abcdef", "Bearer x"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(token().is_in(&headers), expected, "{values:?}");
        }
    }
}
