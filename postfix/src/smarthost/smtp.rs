//! A few words of SMTP, as a client. Bounded.

use std::io::{self, Read, Write};

use crate::printable;

/// Bytes of a line (RFC 5321 4.5.3.1.5 has 512), and lines of a reply.
const LONGEST_LINE: usize = 2_000;
const MOST_LINES: usize = 60;

/// A conversation.
pub struct Talk<S> {
    stream: S,
}

/// A reply: its code and the text of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// On one line, made safe for a terminal.
    pub fn text(&self) -> String {
        printable::line(&format!("{} {}", self.code, self.lines.join(" ")))
    }

    /// The mechanisms that an answer to EHLO offers, in capital letters (RFC 4954 3).
    pub fn mechanisms(&self) -> Vec<String> {
        let of_line = |line: &String| {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']);
            let is_auth = words.next() == Some("AUTH");
            is_auth.then(|| words.map(str::to_owned).collect::<Vec<_>>())
        };
        self.lines.iter().filter_map(of_line).flatten().collect()
    }
}

impl<S: Read + Write> Talk<S> {
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    pub fn ehlo(&mut self, hostname: &str) -> io::Result<Reply> {
        let reply = self.say(&format!("EHLO {hostname}"))?;
        wanted(250, reply)
    }

    pub fn expect(&mut self, code: u16) -> io::Result<Reply> {
        let reply = self.reply()?;
        wanted(code, reply)
    }

    pub fn say(&mut self, command: &str) -> io::Result<Reply> {
        self.stream.write_all(command.as_bytes())?;
        self.stream.write_all(b"\r\n")?;
        self.stream.flush()?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| io::Error::other("does not speak SMTP"))?;
            let is_last = !line.get(3..).unwrap_or_default().starts_with('-');
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
        Err(io::Error::other("its reply has no end"))
    }

    /// Byte by byte: what follows a reply may be TLS, and a reply is short.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            if line.len() >= LONGEST_LINE {
                return Err(io::Error::other("its reply is too long"));
            }
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(io::Error::other("hangs up")),
                Ok(_) => line.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

fn wanted(code: u16, reply: Reply) -> io::Result<Reply> {
    if reply.code == code {
        return Ok(reply);
    }
    Err(io::Error::other(reply.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says this, whatever it is told.
    struct Script(io::Cursor<&'static str>);

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn talk(script: &'static str) -> Talk<Script> {
        Talk::new(Script(io::Cursor::new(script)))
    }

    #[test]
    fn mechanisms_are_read_from_both_spellings() {
        let reply = talk("250-mx\r\n250-auth plain LOGIN\r\n250-AUTH=CRAM-MD5\r\n250 AUTHOR X\r\n")
            .ehlo("x")
            .unwrap();
        assert_eq!(reply.mechanisms(), ["PLAIN", "LOGIN", "CRAM-MD5"]);
    }

    #[test]
    fn refusals_and_nonsense_end_it() {
        for (script, expected) in [
            ("554 go away\r\n", "554 go away"),
            ("", "hangs up"),
            ("SSH-2.0\r\n", "does not speak SMTP"),
            ("220", "hangs up"),
        ] {
            let error = talk(script).expect(220).unwrap_err();
            assert_eq!(error.to_string(), expected, "{script}");
        }
    }
}
