//! One line of Postfix's log, taken apart. Pure and total: a line that is not understood has a
//! message and nothing else.
//!
//! `Nov 23 05:10:16 relay postfix/submission/smtpd[123]: 4hLkX53kNtzjk: client=…, sasl_username=…`

use std::borrow::Cow;
use std::fmt::Write;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client connected.
    Connect,
    Disconnect,
    /// A session's TLS, with a client or a next hop.
    Tls,
    /// A client began a message.
    Received,
    MessageId,
    /// A message is in the queue, to be delivered.
    Queued,
    /// What became of one recipient.
    Delivery,
    Removed,
    /// The sender is told that a message was not delivered.
    Bounce,
    /// A client was refused.
    Reject,
    Other,
}

impl Kind {
    pub fn word(self) -> &'static str {
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

/// The parts of a line; those it does not have are `None`.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub kind: Kind,
    /// `info`, or Postfix's own word: `warning`, `error`, `fatal`, `panic`.
    pub level: &'a str,
    /// `smtp`, `submission/smtpd`, …
    pub service: Option<&'a str>,
    pub pid: Option<&'a str>,
    pub queue_id: Option<&'a str>,
    pub fields: Fields<'a>,
    /// Everything behind the name of the service.
    pub message: &'a str,
}

/// What stands in a line as `name=value`, and the words that stand for such.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    pub client: Option<&'a str>,
    pub sasl_username: Option<&'a str>,
    pub message_id: Option<&'a str>,
    pub from: Option<&'a str>,
    pub size: Option<&'a str>,
    pub nrcpt: Option<&'a str>,
    pub to: Option<&'a str>,
    pub orig_to: Option<&'a str>,
    pub relay: Option<&'a str>,
    pub delay: Option<&'a str>,
    pub delays: Option<&'a str>,
    pub dsn: Option<&'a str>,
    pub status: Option<&'a str>,
    /// What the next hop said, or why a client was refused.
    pub reason: Option<&'a str>,
    /// How far TLS was checked: `Verified`, `Trusted`, `Untrusted` or `Anonymous`.
    pub tls: Option<&'a str>,
    /// The message that tells the sender of a bounce.
    pub notification: Option<&'a str>,
}

/// Text of any bytes, without control characters; those that are no UTF-8 are shown as `\xff`.
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len() + 16);
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    // Writing to a String cannot fail.
                    write!(text, "\\x{byte:02x}").ok();
                }
            }
            text.into()
        }
    }
}

/// Whether a line says what became of a recipient; cheaper than to take it apart.
pub fn is_delivery(line: &str) -> bool {
    line.contains(", status=")
}

pub fn parse(line: &str) -> Line<'_> {
    let line = line.trim_end_matches(['\n', '\r']);
    let (service, pid, message) = split_header(line).unwrap_or((None, None, line));
    let (level, text) = split_level(message);
    let (queue_id, text) = split_queue_id(text);
    let mut fields = Fields::default();
    let kind = read_text(text, &mut fields);
    let kind = if service.is_some() { kind } else { Kind::Other };
    Line { kind, level, service, pid, queue_id, fields, message }
}

type Header<'a> = (Option<&'a str>, Option<&'a str>, &'a str);

/// Time, host and program; the host and the programs are ours, so neither holds a blank.
fn split_header(line: &str) -> Option<Header<'_>> {
    let (time, rest) = line.split_at_checked(16)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        3 | 6 | 15 => byte == b' ',
        9 | 12 => byte == b':',
        0..3 => byte.is_ascii_alphabetic(),
        _ => byte.is_ascii_digit() || byte == b' ',
    });
    let (_host, rest) = rest.split_once(' ').filter(|_| is_time)?;
    let (tag, message) = rest.split_once(": ")?;
    let (name, pid) = match tag.strip_suffix(']').and_then(|tag| tag.rsplit_once('[')) {
        Some((name, pid)) => (name, Some(pid)),
        None => (tag, None),
    };
    Some((Some(name.strip_prefix("postfix/").unwrap_or(name)), pid, message))
}

fn split_level(message: &str) -> (&str, &str) {
    match message.split_once(": ") {
        Some((level @ ("warning" | "error" | "fatal" | "panic"), text)) => (level, text),
        _ => ("info", message),
    }
}

fn split_queue_id(text: &str) -> (Option<&str>, &str) {
    match text.split_once(": ") {
        Some(("NOQUEUE", text)) => (None, text),
        Some((id, text)) if is_queue_id(id) => (Some(id), text),
        _ => (None, text),
    }
}

/// Short ones are hexadecimal; long ones (enable_long_queue_ids) have no vowels.
pub fn is_queue_id(text: &str) -> bool {
    let is_short = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F');
    let is_long = |byte: u8| byte.is_ascii_alphanumeric() && !b"AEIOUaeiou".contains(&byte);
    (text.len() >= 6 && text.bytes().all(is_short))
        || (text.len() >= 11 && text.bytes().all(is_long))
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
        // A refused login, say, names a client and a user in running text.
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
            // Always the last; what the next hop said may hold anything.
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

/// Takes `name=value` off the front. A value in angle brackets may hold the separator.
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

/// An address may hold a bracket within quotes: `<"a>, status=sent (x)"@example.org>`.
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
    // Quotes that do not close: as far as the first bracket.
    text.find('>').unwrap_or(text.len())
}

fn is_dsn(word: &str) -> bool {
    let mut parts = word.split('.');
    let mut number = || parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    number() && number() && number() && parts.next().is_none()
}

#[cfg(test)]
mod tests;
