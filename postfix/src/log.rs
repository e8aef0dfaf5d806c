//! relay-init's own log lines, on standard error: `relay-init: warning: text`, or JSON with
//! LOG_FORMAT=json.
//!
//! `docker logs` shows both streams together. Standard output is left to Postfix, whose lines are
//! many.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

/// A line is dropped if standard error does not accept it within this time.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// LOG_FORMAT, which applies to Postfix's lines too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Sets the format. Only the first call counts; lines written before it are text.
pub fn init(format: LogFormat) {
    FORMAT.get_or_init(|| format);
}

pub fn info(text: impl fmt::Display) {
    write(Level::Info, &text.to_string());
}

pub fn warning(text: impl fmt::Display) {
    write(Level::Warning, &text.to_string());
}

pub fn error(text: impl fmt::Display) {
    write(Level::Error, &text.to_string());
}

/// A count with its noun, as in "1 message" or "2 messages".
pub fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}

/// A value as one line of JSON, newline included.
///
/// DEL and the C1 control characters are escaped as well: serde_json leaves them alone, and some
/// terminals act on them.
pub fn json_line(value: &impl Serialize) -> String {
    // Only maps with keys other than strings can fail, and no log line has one.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if character.is_control() {
            // Writing to a String cannot fail.
            write!(line, "\\u{:04x}", u32::from(character)).ok();
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

fn write(level: Level, text: &str) {
    let format = FORMAT.get().copied().unwrap_or_default();
    let line = line(format, level, text, SystemTime::now());
    let stderr = std::io::stderr();
    // Supervision must not hang because nobody reads the log.
    let timeout = Timespec { tv_sec: 0, tv_nsec: WRITE_TIMEOUT.subsec_nanos().into() };
    if poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&timeout)) != Ok(0) {
        // If standard error is gone there is nowhere left to report it.
        stderr.lock().write_all(line.as_bytes()).ok();
    }
}

#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    time: String,
    level: &'a str,
    program: &'a str,
    message: &'a str,
}

fn line(format: LogFormat, level: Level, text: &str, now: SystemTime) -> String {
    let level = level.name();
    match format {
        LogFormat::Text => {
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("relay-init: {level}: {text}\n")
        }
        LogFormat::Json => {
            let time = humantime::format_rfc3339_millis(now).to_string();
            json_line(&JsonLine { time, level, program: "relay-init", message: text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_on_one_line_in_both_formats() {
        let text = "it said \"no\" \\ \n\u{1}\u{7f}\u{9b}ü";
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(
            line(LogFormat::Text, Level::Warning, text, epoch),
            "relay-init: warning: it said \"no\" \\     ü\n"
        );
        assert_eq!(
            line(LogFormat::Json, Level::Error, text, epoch),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"program\":\"relay-init\",\
             \"message\":\"it said \\\"no\\\" \\\\ \\n\\u0001\\u007f\\u009bü\"}\n"
        );
    }
}
