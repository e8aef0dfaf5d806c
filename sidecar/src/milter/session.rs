//! What is known of an SMTP session and of its current message.

use std::net::IpAddr;

use indymilter::ProtoOpts;

use super::rewriting::{Content, Watching};
use crate::access::Verdict;
use crate::access::header_from::AuthorFields;

/// Lives as long as the connection of one SMTP session.
#[derive(Debug)]
pub struct Session {
    /// The protocol options that Postfix and we agreed on: they say after which stages Postfix
    /// waits for an answer.
    pub agreed: ProtoOpts,
    pub watching: Watching,
    pub message: Message,
}

/// Recipients of one message that the log names; their number is counted without end.
const NAMED_RECIPIENTS: usize = 5;

/// Lives from MAIL to the end of the message, or until it is aborted.
#[derive(Debug, Default)]
pub struct Message {
    /// `None` for a client that has hung up already, or that is not on the Internet: it matches no
    /// network.
    pub client: Option<IpAddr>,
    /// The port that the client connected to, for the log.
    pub server_port: String,
    /// As Postfix passes it on; `None` when nobody logged in.
    pub user: Option<Vec<u8>>,
    pub tls: bool,
    /// The envelope sender as the client wrote it, with angle brackets.
    pub sender: Vec<u8>,
    pub recipients: u32,
    /// The first recipients, as the client wrote them.
    pub named_recipients: Vec<Vec<u8>>,
    pub author_fields: AuthorFields,
    pub content: Content,
    /// The permit that was given at the end of the header, when the body is waited for.
    pub permit: Option<Verdict>,
}

impl Session {
    pub fn new(agreed: ProtoOpts, watching: Watching) -> Self {
        Self { agreed, watching, message: Message::default() }
    }
}

impl Message {
    /// The user's name, where one can be read.
    pub fn user_name(&self) -> Option<&str> {
        self.user.as_deref().and_then(|user| std::str::from_utf8(user).ok())
    }

    /// Counts a recipient. Postfix tells of those that it accepted only, because we do not ask for
    /// the others (SMFIP_RCPT_REJ).
    pub fn add_recipient(&mut self, recipient: Option<&[u8]>) {
        self.recipients = self.recipients.saturating_add(1);
        if self.named_recipients.len() < NAMED_RECIPIENTS {
            self.named_recipients.extend(recipient.map(<[u8]>::to_vec));
        }
    }
}
