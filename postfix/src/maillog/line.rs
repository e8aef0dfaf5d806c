//! Parses one line of Postfix's log. Pure and total: a line that is not understood has a message and
//! nothing else.
//!
//! `Nov 23 05:10:16 relay postfix/submission/smtpd[123]: 4hLkX53kNtzjk: client=…, sasl_username=…`

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;

use super::fields::{Fields, number};
use super::message::{self, Kind};
use crate::queue_id::is_queue_id;

/// The parts of a line; `None` for those it does not have.
///
/// In JSON, in the log as in events, it is what tells where the line is from, and its fields.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    #[serde(skip)]
    pub kind: Kind,
    /// `info`, or the word Postfix puts there: `warning`, `error`, `fatal`, `panic`.
    #[serde(skip)]
    pub level: &'a str,
    /// `smtp`, `submission/smtpd`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub pid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<&'a str>,
    #[serde(flatten)]
    pub fields: Fields<'a>,
    /// Everything after the name of the service.
    #[serde(skip)]
    pub message: &'a str,
}

/// Bytes as text; those that are not UTF-8 are shown as `\xff`.
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

/// Whether a line reports the outcome for a recipient; cheaper than parsing it.
pub fn is_delivery(line: &str) -> bool {
    line.contains(", status=")
}

pub fn parse(line: &str) -> Line<'_> {
    let line = line.trim_end_matches(['\n', '\r']);
    let (service, pid, message) = split_header(line).unwrap_or((None, None, line));
    let (level, text) = split_level(message);
    let (queue_id, text) = split_queue_id(text);
    let (kind, fields) = message::parse(text);
    let kind =
        if service.is_some_and(|service| may_report(service, kind)) { kind } else { Kind::Other };
    Line { kind, level, service, pid, queue_id, fields, message }
}

/// Whether a service reports such a thing. Those that receive mail quote what strangers send, and could
/// be made to write what looks like a delivery.
fn may_report(service: &str, kind: Kind) -> bool {
    let program = service.rsplit('/').next().unwrap_or(service);
    match kind {
        Kind::Delivery | Kind::Queued | Kind::Removed | Kind::Bounce => {
            !matches!(program, "smtpd" | "cleanup" | "pickup" | "trivial-rewrite" | "anvil")
        }
        _ => true,
    }
}

type Header<'a> = (Option<&'a str>, Option<&'a str>, &'a str);

/// Splits off time, host and program. Host and program names are ours and contain no space.
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

#[cfg(test)]
mod tests;
