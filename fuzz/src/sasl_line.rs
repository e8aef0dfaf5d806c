//! The login socket's lines, and the mechanisms without a session around them.

use relay_sidecar::password::{MAX_PASSWORD, Password};
use relay_sidecar::sasl::mechanism::{
    Credentials, Exchange, Mechanism, Step, decode_base64, encode_base64, resume, start,
};
use relay_sidecar::sasl::protocol::{self, Command, DecodeError, FailCode, Reply};
use relay_sidecar::user_name::UserName;

/// The first byte says into which pieces the rest is cut.
pub fn check(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    // Small pieces of a long stream would only take long.
    let piece = usize::from(first) + 1 + stream.len() / 256;
    let lines = lines(stream, stream.len().max(1));
    assert_eq!(lines, self::lines(stream, piece), "pieces of {piece} bytes");
    let mut exchange = None;
    for line in &lines.0 {
        exchange = follow(line, exchange);
    }
    replies_are_one_line(&stream[..stream.len().min(512)]);
}

/// The lines of a stream that arrives in pieces, and what ended it early.
fn lines(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let (mut lines, mut buffer) = (Vec::new(), Vec::new());
    for piece in stream.chunks(piece) {
        buffer.extend_from_slice(piece);
        let mut taken = 0;
        loop {
            match protocol::next_line(&buffer[taken..]) {
                Ok(Some((line, used))) => {
                    lines.push(line.to_vec());
                    taken += used;
                }
                Ok(None) => break,
                Err(error) => return (lines, Some(error)),
            }
        }
        buffer.drain(..taken);
    }
    (lines, None)
}

/// Takes one line as a session with one exchange would.
fn follow(line: &[u8], exchange: Option<Exchange>) -> Option<Exchange> {
    let step = match protocol::decode(line) {
        Ok(Command::Auth(auth)) => {
            let mechanism = Mechanism::by_name(auth.mechanism)?;
            match auth.initial_response {
                None => start(mechanism, None),
                Some(response) => start(mechanism, Some(&decoded(response)?)),
            }
        }
        Ok(Command::Cont { response, .. }) => resume(exchange?, &decoded(response)?),
        Ok(_) | Err(_) => return exchange,
    };
    match step {
        Step::Challenge(_, exchange) => Some(exchange),
        Step::Verify(credentials) => {
            credentials_are_whole(&credentials);
            None
        }
        Step::Malformed => None,
    }
}

/// Base64 has one spelling.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let bytes = decode_base64(text)?;
    assert!(text == b"=" || encode_base64(&bytes).as_bytes() == text);
    Some(bytes.to_vec())
}

fn credentials_are_whole(credentials: &Credentials) {
    let (name, other) = (&credentials.authentication_identity, &credentials.authorization_identity);
    assert!(!name.is_empty() && !name.contains(&0) && !other.contains(&0));
    assert!(!credentials.password.as_bytes().is_empty());
    // What is stored at creation is what each login is mapped to.
    let password = credentials.password.as_bytes();
    if password.len() <= MAX_PASSWORD {
        assert_eq!(Password::received(password).as_bytes(), password, "the password is stable");
    }
    if let Some(name) = std::str::from_utf8(name).ok().and_then(|text| UserName::parse(text).ok()) {
        assert_eq!(UserName::parse(name.as_str()).as_ref(), Ok(&name), "the name is stable");
        assert!(!name.as_str().contains(|c: char| c.is_control() || c.is_whitespace()));
    }
}

/// Whatever is in it, a reply is one line with the fields that were meant.
fn replies_are_one_line(anything: &[u8]) {
    let text = String::from_utf8_lossy(anything);
    let replies = [
        (Reply::Ok { id: 1, user: &text }, 2),
        (Reply::Fail { id: 1, user: None, code: None, reason: &text }, 2),
        (Reply::Fail { id: 1, user: Some(&text), code: Some(FailCode::TempFail), reason: "" }, 5),
    ];
    for (reply, tabs) in replies {
        let line = protocol::encode(&reply);
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
        assert_eq!(line.matches('\t').count(), tabs, "{line:?}");
    }
}
