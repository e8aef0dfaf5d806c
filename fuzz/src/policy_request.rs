//! The policy socket's requests.

use relay_sidecar::access::Action;
use relay_sidecar::decision::Stage;
use relay_sidecar::policy::protocol::{self, DecodeError, Request};
use relay_sidecar::policy::rules::{self, Tally};
use relay_sidecar::reply::Reply;

/// The first byte says into which pieces the rest is cut.
pub fn check(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    let piece = usize::from(first) + 1 + stream.len() / 256;
    let requests = requests(stream, stream.len().max(1));
    assert_eq!(requests, self::requests(stream, piece), "pieces of {piece} bytes");
    for lines in &requests.0 {
        if let Ok(request) = protocol::decode(lines) {
            check_question(&request);
            no_second_word(lines, &request);
        }
    }
    answer_is_one_action(&stream[..stream.len().min(512)]);
}

/// The requests of a stream that arrives in pieces, and what ended it early.
fn requests(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let (mut requests, mut buffer) = (Vec::new(), Vec::new());
    for piece in stream.chunks(piece) {
        buffer.extend_from_slice(piece);
        let mut taken = 0;
        loop {
            match protocol::next_request(&buffer[taken..]) {
                Ok(Some((lines, used))) => {
                    requests.push(lines.to_vec());
                    taken += used;
                }
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        buffer.drain(..taken);
    }
    (requests, None)
}

fn check_question(request: &Request<'_>) {
    let question = rules::question(request, &mut Tally::default());
    assert_eq!(question.user.is_none(), request.sasl_username.is_empty());
    assert_eq!(question.tls, !request.encryption_protocol.is_empty());
    if let Some(client) = question.client {
        assert_eq!(client, client.to_canonical());
    }
    match question.stage {
        Stage::Recipient { recipients } => {
            assert_eq!((request.protocol_state, recipients), (b"RCPT".as_slice(), 1));
        }
        Stage::Message { .. } => panic!("policy charges nothing"),
        Stage::Other => assert_ne!(request.protocol_state, b"RCPT"),
    }
}

/// What counts is there once: a second word for it, before or behind, is refused. The order of lines
/// is of no account, and neither is a line that nobody asks for.
fn no_second_word(lines: &[u8], request: &Request<'_>) {
    let names = lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let equals = line.iter().position(|byte| *byte == b'=')?;
        line.get(..=equals)
    });
    // Each costs two more readings of the whole request.
    for name in names.take(24) {
        let again = [name, b"\n"].concat();
        for twice in [[again.as_slice(), lines].concat(), [lines, again.as_slice()].concat()] {
            match protocol::decode(&twice) {
                Ok(same) => {
                    assert_eq!(&same, request);
                    assert!(!COUNTS.contains(&name), "two of {}", String::from_utf8_lossy(name));
                }
                Err(error) => assert!(matches!(error, DecodeError::Twice(_)), "{error}"),
            }
        }
    }
    let reversed: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').rev().collect();
    assert_eq!(protocol::decode(&reversed.join(&b'\n')).as_ref(), Ok(request));
}

/// On which a decision rests.
const COUNTS: [&[u8]; 6] = [
    b"request=",
    b"protocol_state=",
    b"client_address=",
    b"sender=",
    b"sasl_username=",
    b"encryption_protocol=",
];

/// Whatever is in it, an answer is one action, and never one that permits more than DUNNO does.
fn answer_is_one_action(anything: &[u8]) {
    let text = String::from_utf8_lossy(anything);
    let answer = protocol::encode(&Action::Refuse(Reply::permanent(54, "7.1", &text)));
    assert!(answer.starts_with("action=554 5.7.1 ") && answer.ends_with("\n\n"), "{answer:?}");
    assert_eq!(answer.matches('\n').count(), 2, "{answer:?}");
}
