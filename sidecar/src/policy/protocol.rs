//! The attributes of a policy request, and the action that answers it. Pure.
//!
//! A request is `name=value` lines, ended by an empty line. Values are bytes, since a local part may
//! have any. Unknown names are ignored, because every Postfix release adds some.
//!
//! Refusals: a request with the same name twice is an error. Which of the two counts would be a
//! guess, and somebody may have smuggled in the other.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use thiserror::Error;

use crate::access::Action;

/// Largest request in bytes. The longest values come from SMTP commands of at most 2048 bytes
/// (`line_length_limit`), and four more from a client's certificate.
pub const MAX_REQUEST: usize = 32_768;

/// What we use of a request. An absent attribute is empty, as Postfix sends those it does not know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    pub protocol_state: &'a [u8],
    pub client_address: &'a [u8],
    pub client_port: &'a [u8],
    pub server_port: &'a [u8],
    pub sender: &'a [u8],
    pub recipient: &'a [u8],
    pub queue_id: &'a [u8],
    /// The same for all requests of one message.
    pub instance: &'a [u8],
    pub sasl_username: &'a [u8],
    pub encryption_protocol: &'a [u8],
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("request of more than {MAX_REQUEST} bytes")]
    TooLong,
    #[error("line without \"=\"")]
    NoValue,
    #[error("attribute {0} twice")]
    Twice(&'static str),
    #[error("request= is not smtpd_access_policy")]
    OtherRequest,
}

/// The end of a line, and an empty one.
static EMPTY_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n\n"));

/// Finds the first request. Returns its lines without the empty one, and how many bytes to take
/// off the buffer; `None` when it is not complete yet.
pub fn next_request(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let end = if buffer.starts_with(b"\n") {
        Some((0, 1))
    } else {
        EMPTY_LINE.find(buffer).map(|at| (at + 1, at + 2))
    };
    match end {
        Some((length, used)) if used <= MAX_REQUEST => {
            Ok(buffer.get(..length).map(|lines| (lines, used)))
        }
        None if buffer.len() < MAX_REQUEST => Ok(None),
        Some(_) | None => Err(DecodeError::TooLong),
    }
}

/// Reads the attributes of one request.
pub fn decode(lines: &[u8]) -> Result<Request<'_>, DecodeError> {
    let mut request: &[u8] = b"";
    let mut found = Request::default();
    let mut seen = [false; 11];
    for line in split_lines(lines).filter(|line| !line.is_empty()) {
        // Names are short: a search for more than a few bytes at a time would only have to be prepared.
        let equals = line.iter().position(|byte| *byte == b'=').ok_or(DecodeError::NoValue)?;
        let (name, value) = line.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        let (number, known, place) = match name {
            b"request" => (0, "request", &mut request),
            b"protocol_state" => (1, "protocol_state", &mut found.protocol_state),
            b"client_address" => (2, "client_address", &mut found.client_address),
            b"client_port" => (3, "client_port", &mut found.client_port),
            b"server_port" => (4, "server_port", &mut found.server_port),
            b"sender" => (5, "sender", &mut found.sender),
            b"recipient" => (6, "recipient", &mut found.recipient),
            b"queue_id" => (7, "queue_id", &mut found.queue_id),
            b"sasl_username" => (8, "sasl_username", &mut found.sasl_username),
            b"encryption_protocol" => (9, "encryption_protocol", &mut found.encryption_protocol),
            b"instance" => (10, "instance", &mut found.instance),
            _ => continue,
        };
        if let Some(seen) = seen.get_mut(number) {
            if *seen {
                return Err(DecodeError::Twice(known));
            }
            *seen = true;
        }
        *place = value;
    }
    if request == b"smtpd_access_policy" { Ok(found) } else { Err(DecodeError::OtherRequest) }
}

/// The lines without their ends.
fn split_lines(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if lines.is_empty() {
            return None;
        }
        let (line, rest) = lines.split_at(memchr(b'\n', lines).unwrap_or(lines.len()));
        lines = rest.get(1..).unwrap_or_default();
        Some(line)
    })
}

/// The answer on the wire. Never empty: Postfix reads an empty action as OK.
pub fn encode(action: &Action) -> Cow<'static, str> {
    match action {
        Action::Permit => Cow::Borrowed("action=DUNNO\n\n"),
        Action::Refuse(reply) => Cow::Owned(format!("action={reply}\n\n")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reply::Reply;

    const POSTFIX_3_10: &[u8] = b"request=smtpd_access_policy\nprotocol_state=RCPT\n\
        protocol_name=ESMTP\nclient_address=203.0.113.9\nclient_name=unknown\nclient_port=40000\n\
        reverse_client_name=unknown\nserver_address=192.0.2.1\nserver_port=587\nhelo_name=home\n\
        sender=alice@example.org\nrecipient=we ird=q@example.com\nrecipient_count=0\nqueue_id=\n\
        instance=1a.2b.3c.0\nsize=0\netrn_domain=\nstress=\nsasl_method=PLAIN\n\
        sasl_username=alice\nsasl_sender=\nencryption_protocol=TLSv1.3\n\n";

    #[test]
    fn the_request_that_postfix_sends_is_read() {
        let (lines, used) = next_request(POSTFIX_3_10).unwrap().unwrap();
        assert_eq!(used, POSTFIX_3_10.len());
        let expected = Request {
            protocol_state: b"RCPT",
            client_address: b"203.0.113.9",
            client_port: b"40000",
            server_port: b"587",
            sender: b"alice@example.org",
            recipient: b"we ird=q@example.com",
            queue_id: b"",
            instance: b"1a.2b.3c.0",
            sasl_username: b"alice",
            encryption_protocol: b"TLSv1.3",
        };
        assert_eq!(decode(lines).unwrap(), expected);
    }

    #[test]
    fn requests_that_are_not_answered() {
        let cases: [(&[u8], DecodeError); 5] = [
            (b"client_address=192.0.2.1\n", DecodeError::OtherRequest),
            (b"request=junk\n", DecodeError::OtherRequest),
            (b"request=smtpd_access_policy\nnonsense\n", DecodeError::NoValue),
            (
                b"request=smtpd_access_policy\nsasl_username=\nsasl_username=root\n",
                DecodeError::Twice("sasl_username"),
            ),
            (b"", DecodeError::OtherRequest),
        ];
        for (lines, expected) in cases {
            assert_eq!(decode(lines).unwrap_err(), expected, "{}", String::from_utf8_lossy(lines));
        }
        assert_eq!(next_request(&vec![b'x'; MAX_REQUEST]), Err(DecodeError::TooLong));
    }

    #[test]
    fn an_answer_is_never_empty_and_never_ok() {
        assert_eq!(encode(&Action::Permit), "action=DUNNO\n\n");
        let refusal = Action::Refuse(Reply::permanent(54, "7.1", "no\n\naction=OK"));
        assert_eq!(encode(&refusal), "action=554 5.7.1 no??action=OK\n\n");
    }

    proptest! {
        #[test]
        fn decoding_never_panics(lines in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _any_answer = decode(&lines);
        }

        #[test]
        fn what_was_asked_is_what_is_read(values in proptest::collection::vec("[^\n]{0,40}", 5)) {
            let text = format!(
                "request=smtpd_access_policy\nsender={}\nunknown={}\nrecipient={}\n\
                 sasl_username={}\nclient_address={}\n\n",
                values[0], values[1], values[2], values[3], values[4],
            );
            let (lines, used) = next_request(text.as_bytes()).unwrap().unwrap();
            let expected = Request {
                sender: values[0].as_bytes(),
                recipient: values[2].as_bytes(),
                sasl_username: values[3].as_bytes(),
                client_address: values[4].as_bytes(),
                ..Request::default()
            };
            prop_assert_eq!(decode(lines).unwrap(), expected);
            prop_assert_eq!(used, text.len());
        }

        #[test]
        fn a_request_is_complete_only_with_its_empty_line(cut in 0..POSTFIX_3_10.len()) {
            prop_assert_eq!(next_request(&POSTFIX_3_10[..cut]).unwrap(), None);
        }
    }
}
