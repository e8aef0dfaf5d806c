//! What a policy request asks. Pure.

use super::protocol::Request;
use crate::access::header_from::NOT_SENT;
use crate::access::senders::ToldSender;
use crate::addresses;
use crate::decision::{Question, Stage};

/// Counts the recipients of the message that a connection is asked about: Postfix tells their
/// number only at DATA. A message to more recipients than a limit has room for is then cut at RCPT
/// and the client sends the rest later; at end of message it would be refused as a whole, again
/// each time it comes back.
#[derive(Debug, Default)]
pub struct Tally {
    instance: Vec<u8>,
    permitted: u32,
}

impl Tally {
    /// How many recipients the message has with this one.
    pub fn with_one_more(&mut self, instance: &[u8]) -> u32 {
        if self.instance != instance {
            *self = Self { instance: instance.to_vec(), permitted: 0 };
        }
        self.permitted.saturating_add(1)
    }

    /// Counts this recipient as permitted.
    pub fn permitted(&mut self) {
        self.permitted = self.permitted.saturating_add(1);
    }
}

/// Reads the question out of a request.
pub fn question<'a>(request: &Request<'a>, tally: &mut Tally) -> Question<'a> {
    Question {
        client: addresses::parse(request.client_address),
        user: Some(request.sasl_username).filter(|name| !name.is_empty()),
        tls: !request.encryption_protocol.is_empty(),
        sender: ToldSender::Policy(request.sender),
        authors: &NOT_SENT,
        stage: match request.protocol_state {
            b"RCPT" => Stage::Recipient { recipients: tally.with_one_more(request.instance) },
            _ => Stage::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_attributes_are_absent_facts() {
        let request = Request { client_address: b"192.0.2.1", ..Request::default() };
        let question = question(&request, &mut Tally::default());
        assert_eq!((question.user, question.tls), (None, false));
        assert_eq!((question.sender, question.stage), (ToldSender::Policy(b""), Stage::Other));
    }

    #[test]
    fn recipients_are_tallied_by_message() {
        let mut tally = Tally::default();
        for (instance, expected) in [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3), ("a", 1)] {
            let request = Request {
                protocol_state: b"RCPT",
                instance: instance.as_bytes(),
                ..Request::default()
            };
            let stage = question(&request, &mut tally).stage;
            assert_eq!(stage, Stage::Recipient { recipients: expected });
            tally.permitted();
        }
        assert_eq!(tally.with_one_more(b"a"), 2);
        assert_eq!(tally.with_one_more(b"a"), 2, "one that was refused does not count");
    }
}
