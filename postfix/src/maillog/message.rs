//! Parses what follows the queue id in a line of Postfix's log. Pure and total.

use serde::{Serialize, Serializer};

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
    /// The outcome of a delivery attempt, for one recipient.
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

/// The `name=value` pairs of a line, and what other wordings say in their place.
///
/// In JSON the members have these names and this order, in the log as in events.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delays: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dsn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'a str>,
    /// What the next hop replied, or why a client was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// How far the peer's certificate was checked: `Verified`, `Trusted`, `Untrusted` or `Anonymous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    /// Queue id of the notification that goes to the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub size: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub nrcpt: Option<&'a str>,
}

/// Serialises a number as Postfix prints it: a JSON number if it is a valid one, else a string.
pub fn number<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = text.and_then(|text| text.parse::<serde_json::Number>().ok());
    match number {
        Some(number) => number.serialize(serializer),
        None => text.serialize(serializer),
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
    if let Some((level, rest)) = text.split_once(" TLS connection established ") {
        return read_tls(level, rest, fields);
    }
    for action in ["reject: ", "milter-reject: "] {
        if let Some(rest) = text.strip_prefix(action) {
            read_reject(rest, fields);
            return Kind::Reject;
        }
    }
    read_pairs(text, fields);
    if fields.status.is_some() && fields.to.is_some() {
        Kind::Delivery
    } else if fields.nrcpt.is_some() && fields.from.is_some() {
        Kind::Queued
    } else if fields.client.is_some() {
        Kind::Received
    } else if fields.message_id.is_some() {
        Kind::MessageId
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
                let (status, reason) = whole.split_once(" (").unwrap_or((whole, ""));
                fields.status = Some(status);
                fields.reason = reason.strip_suffix(')').filter(|reason| !reason.is_empty());
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
        "message-id" => &mut fields.message_id,
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
    *field = Some(value);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_json_numbers_where_they_can_be() {
        for (delay, expected) in [
            ("0.25", "{\"delay\":0.25}"),
            ("12", "{\"delay\":12}"),
            ("01", "{\"delay\":\"01\"}"),
            ("1.", "{\"delay\":\"1.\"}"),
            ("-", "{\"delay\":\"-\"}"),
        ] {
            let fields = Fields { delay: Some(delay), ..Fields::default() };
            assert_eq!(serde_json::to_string(&fields).unwrap(), expected);
        }
    }
}
