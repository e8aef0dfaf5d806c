//! What was noted of an SMTP session and of its current message.

use std::net::IpAddr;

use indymilter::ProtoOpts;

use crate::access::header_from::AuthorFields;

/// Lives as long as the connection of one SMTP session.
#[derive(Debug)]
pub struct Session {
    /// The protocol options that Postfix and we agreed on: they say after which stages Postfix
    /// waits for an answer.
    pub agreed: ProtoOpts,
    pub client: Option<IpAddr>,
    /// The port that the client connected to, for the log.
    pub server_port: String,
    pub message: Message,
}

/// Lives from MAIL to the end of the message, or to its abort.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// As Postfix passed it on; `None` when nobody logged in.
    pub user: Option<Vec<u8>>,
    pub tls: bool,
    /// The envelope sender as the client wrote it, with angle brackets.
    pub sender: Vec<u8>,
    pub recipients: u32,
    pub author_fields: AuthorFields,
}

impl Session {
    pub fn new(agreed: ProtoOpts) -> Self {
        Self { agreed, client: None, server_port: String::new(), message: Message::default() }
    }
}
