//! How a line of Postfix leaves: as it is, or as JSON; with or without addresses.

use std::time::SystemTime;

use super::line::{self, Line};
use super::redact::Redactor;
use super::store::Entry;
use crate::json::Object;
use crate::settings::LogFormat;

#[derive(Debug)]
pub struct Format {
    pub format: LogFormat,
    pub redactor: Redactor,
}

impl Format {
    /// The bytes that go out for a line, with their newline.
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
                let mut json = to_json(&line::parse(&text), time);
                json.push('\n');
                json.into_bytes()
            }
        }
    }
}

/// The time is when the line came to us, which is at once: Postfix's own has neither year nor zone.
fn to_json(line: &Line<'_>, time: SystemTime) -> String {
    let mut json = Object::new();
    json.text("time", &humantime::format_rfc3339_millis(time).to_string());
    json.text("level", line.level).text("program", "postfix");
    json.text_if_any("service", line.service).number_in_words("pid", line.pid);
    json.text_if_any("queue_id", line.queue_id);
    push_fields(&mut json, line);
    json.text("message", line.message);
    json.finish()
}

/// What stands in a line, under the same names in the log and in events.
pub fn push_fields(json: &mut Object, line: &Line<'_>) {
    let fields = &line.fields;
    for (name, value) in [
        ("client", fields.client),
        ("sasl_username", fields.sasl_username),
        ("message_id", fields.message_id),
        ("from", fields.from),
        ("to", fields.to),
        ("orig_to", fields.orig_to),
        ("relay", fields.relay),
        ("delays", fields.delays),
        ("dsn", fields.dsn),
        ("status", fields.status),
        ("reason", fields.reason),
        ("tls", fields.tls),
        ("notification", fields.notification),
    ] {
        json.text_if_any(name, value);
    }
    for (name, value) in [("delay", fields.delay), ("size", fields.size), ("nrcpt", fields.nrcpt)] {
        json.number_in_words(name, value);
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
    fn what_is_no_line_of_postfix_is_a_message_and_bytes_that_are_no_text_can_be_read() {
        assert_eq!(
            rendered(LogFormat::Json, Redactor::Off, b"fatal: \xff\x1b\n"),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"fatal\",\"program\":\"postfix\",\
             \"message\":\"fatal: \\\\xff\\u001b\"}\n"
        );
    }
}
