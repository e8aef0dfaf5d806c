//! Our own log lines, on standard error: `relay-init: warning: text`, or JSON with LOG_FORMAT=json.
//!
//! Docker shows standard error and standard output together. Postfix's lines, which are many, have
//! standard output to themselves.

use std::fmt;
use std::io::Write;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::settings::LogFormat;

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

#[derive(Debug, Clone, Copy)]
enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Sets the format, once, before the first line.
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

fn write(level: Level, text: &str) {
    let format = FORMAT.get().copied().unwrap_or_default();
    let line = line(format, level, text, SystemTime::now());
    // Nobody can be told that standard error is gone, and the work goes on without it.
    std::io::stderr().lock().write_all(line.as_bytes()).ok();
}

fn line(format: LogFormat, level: Level, text: &str, now: SystemTime) -> String {
    let level = level.word();
    match format {
        LogFormat::Text => {
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("relay-init: {level}: {text}\n")
        }
        LogFormat::Json => {
            let time = humantime::format_rfc3339_millis(now);
            let text = json_string(text);
            format!(
                "{{\"time\":\"{time}\",\"level\":\"{level}\",\"program\":\"relay-init\",\
                 \"message\":{text}}}\n"
            )
        }
    }
}

/// RFC 8259 7: quotes, backslashes and control characters are escaped, nothing else must be.
fn json_string(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    escaped.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            control if control.is_control() => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => escaped.push(other),
        }
    }
    escaped.push('"');
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_in_both_formats() {
        let text = "it said \"no\" \\ \n\u{1}ü";
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(
            line(LogFormat::Text, Level::Warning, text, epoch),
            "relay-init: warning: it said \"no\" \\   ü\n"
        );
        assert_eq!(
            line(LogFormat::Json, Level::Error, text, epoch),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"program\":\"relay-init\",\
             \"message\":\"it said \\\"no\\\" \\\\ \\u000a\\u0001ü\"}\n"
        );
    }
}
