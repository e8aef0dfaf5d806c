//! How a line of Postfix is written: as it is or as JSON, with or without addresses.

use std::time::SystemTime;

use serde::Serialize;

use super::line::{self, Line};
use super::redact::Redactor;
use super::store::Entry;
use crate::log::{LogFormat, json_line};

#[derive(Debug)]
pub struct Format {
    pub format: LogFormat,
    pub redactor: Redactor,
}

impl Format {
    /// The bytes to write for a line, newline included.
    pub fn render(&self, entry: Entry) -> Vec<u8> {
        let Entry { time, line } = entry;
        let mut line = self.redactor.apply(line);
        match self.format {
            LogFormat::Text => {
                if !line.ends_with(b"\n") {
                    line.push(b'\n');
                }
                line
            }
            LogFormat::Json => {
                let text = line::printable(&line);
                json_line(&JsonLine::new(&line::parse(&text), time)).into_bytes()
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    /// When the line reached us, which is at once. Postfix's own time stamp has neither year nor
    /// time zone.
    time: String,
    level: &'a str,
    program: &'static str,
    #[serde(flatten)]
    line: &'a Line<'a>,
    message: &'a str,
}

impl<'a> JsonLine<'a> {
    fn new(line: &'a Line<'a>, time: SystemTime) -> Self {
        Self {
            time: humantime::format_rfc3339_millis(time).to_string(),
            level: line.level,
            program: "postfix",
            line,
            message: line.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "Nov 23 05:10:16 relay postfix/smtp[7]: 4hLkX53kNtzjk: to=<bob@example.net>, \
                        relay=mx[192.0.2.1]:25, delay=0.5, delays=0.1/0/0.2/0.2, dsn=2.0.0, \
                        status=sent (250 \"ok\")\n";

    fn rendered(format: LogFormat, redactor: Redactor, line: &[u8]) -> String {
        let entry = Entry { time: SystemTime::UNIX_EPOCH, line: line.to_vec() };
        String::from_utf8(Format { format, redactor }.render(entry)).unwrap()
    }

    #[test]
    fn text_is_what_postfix_wrote() {
        assert_eq!(rendered(LogFormat::Text, Redactor::Off, LINE.as_bytes()), LINE);
        assert_eq!(rendered(LogFormat::Text, Redactor::Off, b"no end"), "no end\n");
    }

    #[test]
    fn json_has_the_fields_and_the_message() {
        assert_eq!(
            rendered(LogFormat::Json, Redactor::Mask, LINE.as_bytes()),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"program\":\"postfix\",\
             \"service\":\"smtp\",\"pid\":7,\"queue_id\":\"4hLkX53kNtzjk\",\"to\":\"b***@example.net\",\
             \"relay\":\"mx[192.0.2.1]:25\",\"delays\":\"0.1/0/0.2/0.2\",\"dsn\":\"2.0.0\",\
             \"status\":\"sent\",\"reason\":\"250 \\\"ok\\\"\",\"delay\":0.5,\"message\":\
             \"4hLkX53kNtzjk: to=<b***@example.net>, relay=mx[192.0.2.1]:25, delay=0.5, \
             delays=0.1/0/0.2/0.2, dsn=2.0.0, status=sent (250 \\\"ok\\\")\"}\n"
        );
    }

    #[test]
    fn a_line_postfix_did_not_write_is_a_message_and_its_bytes_are_readable() {
        assert_eq!(
            rendered(LogFormat::Json, Redactor::Off, b"fatal: \xff\x1b\n"),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"fatal\",\"program\":\"postfix\",\
             \"message\":\"fatal: \\\\xff\\u001b\"}\n"
        );
    }
}
