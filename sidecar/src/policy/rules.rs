//! What a policy request says, as facts. Pure.

use std::net::IpAddr;

use super::protocol::Request;
use crate::access::senders::EnvelopeSender;

/// What the request says, before the database is asked how the user stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// `None` for "unknown" and for anything else that is no address.
    pub client: Option<IpAddr>,
    /// The name that Postfix got from our own OK reply.
    pub user: Option<&'a [u8]>,
    pub tls: bool,
    pub sender: EnvelopeSender,
    pub stage: Stage,
}

/// What Postfix asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// One recipient.
    Recipient,
    /// The whole message before its content, with so many accepted recipients. Only here is a
    /// message counted: later a milter may still refuse it, earlier the recipients are not known,
    /// and a bare `<postmaster>` is asked about nowhere else.
    Data { recipients: u32 },
    /// Any other stage, at which nothing is counted.
    Other,
}

/// Counts the recipients of the message that a connection is asked about: Postfix says how many
/// there are only at DATA. A message to more recipients than a limit has room for is then cut at
/// RCPT, and the client sends the rest later; at DATA the whole message would be refused, and
/// again each time it comes back.
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

    /// Notes that this recipient was permitted.
    pub fn permitted(&mut self) {
        self.permitted = self.permitted.saturating_add(1);
    }
}

/// Reads the claim out of a request.
pub fn claim<'a>(request: &Request<'a>) -> Claim<'a> {
    Claim {
        client: address(request.client_address),
        user: Some(request.sasl_username).filter(|name| !name.is_empty()),
        tls: !request.encryption_protocol.is_empty(),
        sender: EnvelopeSender::from_policy(request.sender),
        stage: match request.protocol_state {
            b"RCPT" => Stage::Recipient,
            b"DATA" => Stage::Data { recipients: count(request.recipient_count) },
            _ => Stage::Other,
        },
    }
}

/// A message has a recipient at least; a count that cannot be read is one.
fn count(text: &[u8]) -> u32 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

/// An address as Postfix writes it, unmapped.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unmapped_and_unknown_is_none() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
            ("192.0.2.1 ", None),
        ] {
            assert_eq!(address(text.as_bytes()), expected.map(|a| a.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn empty_attributes_are_absent_facts() {
        let request = Request { client_address: b"192.0.2.1", ..Request::default() };
        let claim = claim(&request);
        assert_eq!((claim.user, claim.tls), (None, false));
        assert_eq!((claim.sender, claim.stage), (EnvelopeSender::Null, Stage::Other));
    }

    #[test]
    fn a_message_is_counted_at_data_with_its_recipients() {
        for (count, expected) in [("3", 3), ("0", 1), ("", 1), ("x", 1), ("-1", 1)] {
            let request = Request {
                protocol_state: b"DATA",
                recipient_count: count.as_bytes(),
                ..Request::default()
            };
            assert_eq!(claim(&request).stage, Stage::Data { recipients: expected }, "{count}");
        }
    }

    #[test]
    fn recipients_are_tallied_by_message() {
        let mut tally = Tally::default();
        for (instance, expected) in [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3), ("a", 1)] {
            assert_eq!(tally.with_one_more(instance.as_bytes()), expected);
            tally.permitted();
        }
        assert_eq!(tally.with_one_more(b"a"), 2);
        assert_eq!(tally.with_one_more(b"a"), 2, "one that was refused does not count");
    }
}
