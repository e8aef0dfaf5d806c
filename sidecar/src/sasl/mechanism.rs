//! PLAIN (RFC 4616) and LOGIN, step by step. Pure: bytes in, the next step out.

use zeroize::Zeroizing;

use crate::password::Password;

/// Longest authentication identity in bytes that is looked at (RFC 4616 allows 255 characters).
const MAX_IDENTITY: usize = crate::user_name::MAX_NAME;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
}

impl Mechanism {
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Postfix passes the name on as the SMTP client typed it.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| name.eq_ignore_ascii_case(mechanism.name().as_bytes()))
    }
}

/// An exchange that waits for the client's next response.
#[derive(Debug)]
pub enum Exchange {
    Plain,
    LoginName,
    LoginPassword { authentication_identity: Vec<u8> },
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, and resume with the response.
    Challenge(&'static [u8], Exchange),
    /// The client has said everything: check it.
    Verify(Credentials),
    /// The response is not a message of this mechanism.
    Malformed,
}

/// What the client claims.
#[derive(Debug)]
pub struct Credentials {
    /// Whose password it is (authcid).
    pub authentication_identity: Vec<u8>,
    /// Who to act as (authzid); empty when the client did not say.
    pub authorization_identity: Vec<u8>,
    pub password: Password,
}

/// Begins an exchange. The initial response is decoded already.
pub fn start(mechanism: Mechanism, initial_response: Option<&[u8]>) -> Step {
    match (mechanism, initial_response) {
        (Mechanism::Plain, None) => Step::Challenge(b"", Exchange::Plain),
        (Mechanism::Plain, Some(response)) => plain(response),
        // The prompts are exactly these; some clients compare them.
        (Mechanism::Login, None) => Step::Challenge(b"Username:", Exchange::LoginName),
        (Mechanism::Login, Some(name)) => login_name(name),
    }
}

/// Goes on with the client's response, decoded already.
pub fn resume(exchange: Exchange, response: &[u8]) -> Step {
    match exchange {
        Exchange::Plain => plain(response),
        Exchange::LoginName => login_name(response),
        Exchange::LoginPassword { authentication_identity } => {
            if response.is_empty() || response.contains(&0) {
                return Step::Malformed;
            }
            Step::Verify(Credentials {
                authentication_identity,
                authorization_identity: Vec::new(),
                password: Password::received(response),
            })
        }
    }
}

/// `message = [authzid] NUL authcid NUL passwd`, each of at least one character but the authzid
/// (RFC 4616 section 2).
fn plain(message: &[u8]) -> Step {
    let mut parts = message.split(|byte| *byte == 0);
    let (Some(authorization), Some(authentication), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Step::Malformed;
    };
    if !is_identity(authentication) || authorization.len() > MAX_IDENTITY || password.is_empty() {
        return Step::Malformed;
    }
    Step::Verify(Credentials {
        authentication_identity: authentication.to_vec(),
        authorization_identity: authorization.to_vec(),
        password: Password::received(password),
    })
}

fn login_name(name: &[u8]) -> Step {
    if !is_identity(name) || name.contains(&0) {
        return Step::Malformed;
    }
    let exchange = Exchange::LoginPassword { authentication_identity: name.to_vec() };
    Step::Challenge(b"Password:", exchange)
}

fn is_identity(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= MAX_IDENTITY
}

/// Decodes base64 strictly (RFC 4648 section 4: alphabet, padding, no spaces, no stray bits). A
/// lone `=` is SASL's way of writing an empty response (RFC 4954 section 4).
pub fn decode_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    use base64::Engine as _;
    if text == b"=" {
        return Some(Zeroizing::new(Vec::new()));
    }
    // Into a buffer that is wiped even when the text turns out to be wrong half way.
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = base64::engine::general_purpose::STANDARD.decode_slice(text, &mut decoded).ok()?;
    decoded.truncate(length);
    Some(decoded)
}

/// Encodes a challenge.
pub fn encode_base64(challenge: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// authzid, authcid, password
    type Parts<T> = (T, T, T);

    fn verified(step: Step) -> Option<Parts<Vec<u8>>> {
        match step {
            Step::Verify(credentials) => Some((
                credentials.authorization_identity,
                credentials.authentication_identity,
                credentials.password.as_bytes().to_vec(),
            )),
            Step::Challenge(..) | Step::Malformed => None,
        }
    }

    #[test]
    fn plain_messages() {
        let long = [b"\0".as_slice(), &[b'a'; 256], b"\0pw"].concat();
        let cases: [(&[u8], Option<Parts<&str>>); 12] = [
            (b"\0alice\0secret", Some(("", "alice", "secret"))),
            (b"alice\0alice\0secret", Some(("alice", "alice", "secret"))),
            (b"bob\0alice\0secret", Some(("bob", "alice", "secret"))),
            (b"\0alice\0 secret ", Some(("", "alice", " secret "))),
            (b"", None),
            (b"\0alice", None),
            (b"alice\0secret", None),
            (b"\0alice\0", None),
            (b"\0\0secret", None),
            (b"\0alice\0sec\0ret", None),
            (b"\0\0", None),
            (&long, None),
        ];
        for (message, expected) in cases {
            let expected = expected.map(|(authz, authc, password)| {
                (authz.as_bytes().to_vec(), authc.as_bytes().to_vec(), password.as_bytes().to_vec())
            });
            assert_eq!(verified(start(Mechanism::Plain, Some(message))), expected, "{message:?}");
            assert_eq!(verified(resume(Exchange::Plain, message)), expected, "{message:?}");
        }
    }

    #[test]
    fn login_asks_for_the_name_and_then_the_password() {
        let Step::Challenge(prompt, exchange) = start(Mechanism::Login, None) else { panic!() };
        assert_eq!(prompt, b"Username:");
        let Step::Challenge(prompt, exchange) = resume(exchange, b"alice") else { panic!() };
        assert_eq!(prompt, b"Password:");
        let expected = (Vec::new(), b"alice".to_vec(), b"secret".to_vec());
        assert_eq!(verified(resume(exchange, b"secret")), Some(expected));
    }

    #[test]
    fn login_with_the_name_in_the_initial_response_asks_only_for_the_password() {
        let Step::Challenge(prompt, _) = start(Mechanism::Login, Some(b"alice")) else { panic!() };
        assert_eq!(prompt, b"Password:");
    }

    #[test]
    fn login_refuses_what_is_no_name_or_no_password() {
        for name in [b"".as_slice(), b"a\0b", &[b'a'; 256]] {
            assert!(matches!(start(Mechanism::Login, Some(name)), Step::Malformed), "{name:?}");
        }
        for password in [b"".as_slice(), b"a\0b"] {
            let exchange = Exchange::LoginPassword { authentication_identity: b"alice".to_vec() };
            assert!(matches!(resume(exchange, password), Step::Malformed), "{password:?}");
        }
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode_base64(b"=").unwrap().as_slice(), b"");
        assert_eq!(decode_base64(b"").unwrap().as_slice(), b"");
        assert_eq!(decode_base64(b"AGEAYg==").unwrap().as_slice(), b"\0a\0b");
        for text in ["AGEAYg", "AGEAYg=", "AGEA Yg==", "AGEAYh==", "====", "A", "AGEAYg==x"] {
            assert!(decode_base64(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn mechanisms_are_found_in_any_case() {
        assert_eq!(Mechanism::by_name(b"plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::by_name(b"LoGiN"), Some(Mechanism::Login));
        assert_eq!(Mechanism::by_name(b"CRAM-MD5"), None);
        assert_eq!(Mechanism::by_name(b""), None);
    }
}
