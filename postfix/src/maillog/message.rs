//! Parses what follows the queue id in a line of Postfix's log. Pure and total.

use super::fields::Fields;
use crate::queue_id::is_queue_id;

/// What a line reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client connected.
    Connect,
    Disconnect,
    /// TLS was established with a client or a next hop.
    Tls,
    /// A client started to submit a message.
    Received,
    MessageId,
    /// A message entered the active queue.
    Queued,
    /// The outcome of a delivery attempt, for one recipient; or that Postfix gave a message up because
    /// of its age, for all recipients that were left.
    Delivery,
    Removed,
    /// A notification for the sender was created: not delivered, or delayed.
    Bounce,
    /// A client was refused.
    Reject,
    Other,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Tls => "tls",
            Self::Received => "received",
            Self::MessageId => "message_id",
            Self::Queued => "queued",
            Self::Delivery => "delivery",
            Self::Removed => "removed",
            Self::Bounce => "bounce",
            Self::Reject => "reject",
            Self::Other => "other",
        }
    }
}

/// Parses the text after the queue id.
pub fn parse(text: &str) -> (Kind, Fields<'_>) {
    let mut fields = Fields::default();
    let kind = read_text(text, &mut fields);
    (kind, fields)
}

fn read_text<'a>(text: &'a str, fields: &mut Fields<'a>) -> Kind {
    if let Some(client) = text.strip_prefix("connect from ") {
        fields.client = Some(client);
        return Kind::Connect;
    }
    if let Some(rest) = text.strip_prefix("disconnect from ") {
        fields.client = rest.split(' ').next();
        return Kind::Disconnect;
    }
    if text == "removed" {
        return Kind::Removed;
    }
    if let Some((_, id)) = text.split_once(" notification: ").filter(|(_, id)| is_queue_id(id)) {
        fields.notification = Some(id);
        return Kind::Bounce;
    }
    for made in [" TLS connection established ", " TLS connection reused "] {
        if let Some((level, rest)) = text.split_once(made) {
            return read_tls(level, rest, fields);
        }
    }
    for action in ["reject: ", "milter-reject: "] {
        if let Some(rest) = text.strip_prefix(action) {
            read_reject(rest, fields);
            return Kind::Reject;
        }
    }
    // The sender writes the rest of the line, whatever it looks like.
    for field in ["message-id=", "resent-message-id="] {
        if let Some(id) = text.strip_prefix(field) {
            let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
            fields.message_id = Some(inner.unwrap_or(id));
            return Kind::MessageId;
        }
    }
    read_pairs(text, fields);
    let has_expired = matches!(fields.status, Some("expired" | "force-expired"));
    if fields.status.is_some() && fields.to.is_some() || has_expired && fields.from.is_some() {
        Kind::Delivery
    } else if fields.nrcpt.is_some() && fields.from.is_some() {
        Kind::Queued
    } else if fields.client.is_some() {
        Kind::Received
    } else {
        // A failed login, for one, names client and user in running text.
        read_login(text, fields);
        Kind::Other
    }
}

/// `Trusted TLS connection established to host[1.2.3.4]:25: TLSv1.3 with cipher …`
fn read_tls<'a>(level: &'a str, rest: &'a str, fields: &mut Fields<'a>) -> Kind {
    fields.tls = Some(level);
    let peer = |text: &'a str| text.split(": ").next();
    if let Some(relay) = rest.strip_prefix("to ") {
        fields.relay = peer(relay);
    } else if let Some(client) = rest.strip_prefix("from ") {
        fields.client = peer(client);
    }
    Kind::Tls
}

/// `RCPT from host[1.2.3.4]: 554 5.7.1 <bob@example.net>: text; from=<…> to=<…> proto=ESMTP helo=<…>`
fn read_reject<'a>(text: &'a str, fields: &mut Fields<'a>) {
    let (head, pairs) = text.split_once("; ").unwrap_or((text, ""));
    if let Some((stage, reason)) = head.split_once(": ") {
        fields.client = stage.rsplit_once(" from ").map(|(_, client)| client);
        fields.dsn = reason.split(' ').take(2).find(|word| is_dsn(word));
        fields.reason = Some(reason);
    }
    fields.status = Some("reject");
    let mut rest = pairs;
    while let Some((name, value, after)) = next_pair(rest, " ") {
        store(fields, name, value);
        rest = after;
    }
}

fn read_pairs<'a>(text: &'a str, fields: &mut Fields<'a>) {
    let mut rest = text;
    while let Some((name, value, after)) = next_pair(rest, ", ") {
        match name {
            // Always last, and the next hop's reply may contain anything.
            "status" => {
                let whole = rest.strip_prefix("status=").unwrap_or(value);
                let (status, reason) = match whole.split_once(" (") {
                    Some((status, reason)) => (status, reason.strip_suffix(')')),
                    // qmgr: `status=expired, returned to sender`.
                    None => match whole.split_once(", ") {
                        Some((status, reason)) => (status, Some(reason)),
                        None => (whole, None),
                    },
                };
                fields.status = Some(status);
                fields.reason = reason.filter(|reason| !reason.is_empty());
                return;
            }
            // Its sender wrote it, whatever it looks like; with LOG_DETAIL=messages it comes last.
            "message-id" => {
                let whole = rest.strip_prefix("message-id=").unwrap_or(value);
                let inner = whole.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
                fields.message_id = Some(inner.unwrap_or(whole));
                return;
            }
            "nrcpt" => fields.nrcpt = value.split(' ').next(),
            _ => store(fields, name, value),
        }
        rest = after;
    }
}

fn read_login<'a>(text: &'a str, fields: &mut Fields<'a>) {
    if let Some((_, user)) = text.rsplit_once("sasl_username=") {
        fields.sasl_username = Some(user);
        fields.client = text.split(": ").next().filter(|client| client.ends_with(']'));
    }
}

fn store<'a>(fields: &mut Fields<'a>, name: &str, value: &'a str) {
    let field = match name {
        "client" => &mut fields.client,
        "sasl_username" => &mut fields.sasl_username,
        "from" => &mut fields.from,
        "size" => &mut fields.size,
        "to" => &mut fields.to,
        "orig_to" => &mut fields.orig_to,
        "relay" => &mut fields.relay,
        "delay" => &mut fields.delay,
        "delays" => &mut fields.delays,
        "dsn" => &mut fields.dsn,
        _ => return,
    };
    // Postfix writes a name once. If it comes again, somebody else wrote it.
    field.get_or_insert(value);
}

/// Takes `name=value` off the front. A value in angle brackets may contain the separator.
fn next_pair<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (name, rest) = text.split_once('=')?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    if let Some(inner) = rest.strip_prefix('<') {
        let (value, after) = inner.split_at_checked(closing_bracket(inner))?;
        let after = after.strip_prefix('>').unwrap_or(after);
        return Some((name, value, after.strip_prefix(separator).unwrap_or(after)));
    }
    let (value, after) = rest.split_once(separator).unwrap_or((rest, ""));
    Some((name, value, after))
}

/// A quoted local part may contain a bracket: `<"a>, status=sent (x)"@example.org>`.
fn closing_bracket(text: &str) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '>' if !is_quoted => return at,
            _ => {}
        }
    }
    // Unbalanced quotes: take the first bracket after all.
    text.find('>').unwrap_or(text.len())
}

fn is_dsn(word: &str) -> bool {
    let mut parts = word.split('.');
    let mut number = || parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    number() && number() && number() && parts.next().is_none()
}
