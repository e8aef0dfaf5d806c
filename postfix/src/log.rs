//! Our own log lines, on standard error: `relay-init: warning: text`, or JSON with LOG_FORMAT=json.
//!
//! Docker shows standard error and standard output together. Postfix's lines, which are many, have
//! standard output to themselves.

use std::fmt;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::json::Object;
use crate::settings::LogFormat;

/// A line that standard error does not take by then is dropped.
const PATIENCE: Duration = Duration::from_millis(200);

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
    let error_output = std::io::stderr();
    // Whoever writes this looks after Postfix, and must not stand still because nobody reads.
    let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    if poll(&mut [PollFd::new(&error_output, PollFlags::OUT)], Some(&patience)) != Ok(0) {
        // Nobody can be told that standard error is gone, and the work goes on without it.
        error_output.lock().write_all(line.as_bytes()).ok();
    }
}

fn line(format: LogFormat, level: Level, text: &str, now: SystemTime) -> String {
    let level = level.word();
    match format {
        LogFormat::Text => {
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("relay-init: {level}: {text}\n")
        }
        LogFormat::Json => {
            let mut json = Object::new();
            json.text("time", &humantime::format_rfc3339_millis(now).to_string());
            json.text("level", level).text("program", "relay-init").text("message", text);
            format!("{}\n", json.finish())
        }
    }
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
