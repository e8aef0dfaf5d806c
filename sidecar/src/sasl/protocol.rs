//! The lines of the Dovecot authentication protocol. Pure: bytes in, values out.
//!
//! A line ends with LF, and its fields are separated by TABs. Postfix speaks version 1.0: it neither
//! escapes nor unescapes, reads only `user=` and `reason=` of a final reply, and never sends
//! CANCEL. Dovecot's own clients speak 1.2 and later.
//!
//! A line that breaks the protocol is an error and ends the connection. Anything an SMTP client can
//! cause, such as a malformed response or an unknown mechanism, is not.

use std::fmt::Write as _;

use thiserror::Error;

/// Longest line in bytes without the LF: Dovecot's AUTH_CLIENT_MAX_LINE_LENGTH. Postfix sends up
/// to 12,288 bytes of response (`smtpd_sasl_response_limit`).
pub const MAX_LINE: usize = 16_384;

/// Longest reason in characters. Postfix passes it on to the SMTP client in one reply line.
const MAX_REASON: usize = 200;

/// A line from the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    Version {
        major: u32,
        minor: u32,
    },
    /// The peer's process id, which is ignored.
    Cpid,
    Auth(Auth<'a>),
    Cont {
        id: u32,
        response: &'a [u8],
    },
    Cancel {
        id: u32,
    },
    /// A command of a later version: ignored, as the protocol demands.
    Unknown,
}

/// The AUTH command, which begins an exchange.
#[derive(Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    pub id: u32,
    /// As the SMTP client sent it, in upper or lower case.
    pub mechanism: &'a [u8],
    /// Whether the mail server vouches for TLS.
    pub secured: bool,
    pub remote_address: Option<&'a [u8]>,
    /// The value of `resp=`, still in base64.
    pub initial_response: Option<&'a [u8]>,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("the request id is not a number from 1 to 4294967295")]
    BadId,
    #[error("AUTH without mechanism or service")]
    IncompleteAuth,
    #[error("bad VERSION line")]
    BadVersion,
    #[error("protocol version {0} is not supported; this server speaks version 1")]
    WrongVersion(u32),
}

/// Returns the first line without its LF, and how many bytes to remove from the buffer; `None` while
/// the line is incomplete.
pub fn next_line(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    match buffer.iter().position(|byte| *byte == b'\n') {
        Some(end) if end <= MAX_LINE => Ok(buffer.get(..end).map(|line| (line, end + 1))),
        None if buffer.len() <= MAX_LINE => Ok(None),
        Some(_) | None => Err(DecodeError::TooLong),
    }
}

/// Reads one line.
pub fn decode(line: &[u8]) -> Result<Command<'_>, DecodeError> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let command = fields.next().unwrap_or_default();
    match command {
        b"VERSION" => decode_version(fields.next(), fields.next()),
        b"CPID" => Ok(Command::Cpid),
        b"AUTH" => decode_auth(fields),
        b"CONT" => {
            let id = decode_id(fields.next())?;
            Ok(Command::Cont { id, response: fields.next().unwrap_or_default() })
        }
        b"CANCEL" => Ok(Command::Cancel { id: decode_id(fields.next())? }),
        _ => Ok(Command::Unknown),
    }
}

fn decode_version<'a>(
    major: Option<&[u8]>,
    minor: Option<&[u8]>,
) -> Result<Command<'a>, DecodeError> {
    let major = major.and_then(number).ok_or(DecodeError::BadVersion)?;
    let minor = minor.and_then(number).ok_or(DecodeError::BadVersion)?;
    if major == 1 {
        Ok(Command::Version { major, minor })
    } else {
        Err(DecodeError::WrongVersion(major))
    }
}

fn decode_auth<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Result<Command<'a>, DecodeError> {
    let id = decode_id(fields.next())?;
    let mechanism = fields.next().filter(|name| !name.is_empty());
    let mechanism = mechanism.ok_or(DecodeError::IncompleteAuth)?;
    let mut auth =
        Auth { id, mechanism, secured: false, remote_address: None, initial_response: None };
    let mut has_service = false;
    for field in fields {
        if let Some(response) = field.strip_prefix(b"resp=") {
            // resp= is the last field by definition.
            auth.initial_response = Some(response);
            break;
        } else if field == b"secured" || field.starts_with(b"secured=") {
            auth.secured = true;
        } else if let Some(address) = field.strip_prefix(b"rip=") {
            auth.remote_address = Some(address).filter(|address| !address.is_empty());
        } else if field.starts_with(b"service=") || field.starts_with(b"protocol=") {
            has_service = true;
        }
    }
    if has_service { Ok(Command::Auth(auth)) } else { Err(DecodeError::IncompleteAuth) }
}

fn decode_id(field: Option<&[u8]>) -> Result<u32, DecodeError> {
    field.and_then(number).filter(|id| *id > 0).ok_or(DecodeError::BadId)
}

/// Decimal digits only: `u32::from_str` would also take a plus sign.
fn number(field: &[u8]) -> Option<u32> {
    if !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// A line to the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A challenge, already in base64; it may be empty.
    Cont {
        id: u32,
        challenge: &'a str,
    },
    Ok {
        id: u32,
        user: &'a str,
    },
    Fail {
        id: u32,
        user: Option<&'a str>,
        code: Option<FailCode>,
        reason: &'a str,
    },
}

/// Why an exchange failed, for clients of version 1.1 and later. Postfix ignores it: to Postfix
/// every FAIL is a permanent 535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailCode {
    TempFail,
    InvalidBase64,
}

/// The handshake, sent as soon as a client connects.
///
/// An SPID line before the first MECH line makes Postfix complain of a "wrong auth socket". Dovecot's
/// clients require COOKIE, and some older clients say nothing until the handshake is complete.
pub fn handshake(process_id: u32, connection_id: u64, cookie: [u8; 16]) -> String {
    let mut text = String::from("VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\n");
    // Writing to a String cannot fail.
    let _infallible = write!(text, "SPID\t{process_id}\nCUID\t{connection_id}\nCOOKIE\t");
    for byte in cookie {
        let _infallible = write!(text, "{byte:02x}");
    }
    text.push_str("\nDONE\n");
    text
}

/// Writes one reply line. Ids are never zero-padded, because Postfix would read them as octal.
pub fn encode(reply: &Reply<'_>) -> String {
    let mut line = String::new();
    let _infallible = match reply {
        Reply::Cont { id, challenge } => write!(line, "CONT\t{id}\t{challenge}"),
        Reply::Ok { id, user } => write!(line, "OK\t{id}\tuser={}", field(user)),
        Reply::Fail { id, .. } => write!(line, "FAIL\t{id}"),
    };
    if let Reply::Fail { user, code, reason, .. } = reply {
        if let Some(user) = user {
            line.push_str("\tuser=");
            line.push_str(&field(user));
        }
        if let Some(code) = code {
            line.push_str(match code {
                FailCode::TempFail => "\ttemp\tcode=temp_fail",
                FailCode::InvalidBase64 => "\tcode=invalid_base64",
            });
        }
        line.push_str("\treason=");
        line.extend(field(reason).chars().take(MAX_REASON));
    }
    line.push('\n');
    line
}

/// Postfix does not unescape, so nothing that would need escaping may be sent. Names and reasons never
/// contain such characters; this is the last line of defence.
fn field(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
