//! The sidecar's socket for alerts: a JSON object a line, an empty line after the last, and then how many of them are
//! done with as our answer.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::sidecar;

/// Bytes of all mails together.
const MAX_BYTES: u64 = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);

/// The words of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mail {
    pub subject: String,
    pub text: String,
}

/// Asks what there is, and answers how much of it `send` has done.
pub fn sidecar(socket: &Path, send: impl FnOnce(&[Mail]) -> usize) -> io::Result<()> {
    let stream = sidecar::reach(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mails = read(&mut BufReader::new((&stream).take(MAX_BYTES)))?;
    let done = send(&mails);
    (&stream).write_all(format!("{done}\n").as_bytes())
}

fn read(lines: &mut impl io::BufRead) -> io::Result<Vec<Mail>> {
    let mut mails = Vec::new();
    for line in lines.lines() {
        let line = line?;
        if line.is_empty() {
            return Ok(mails);
        }
        mails.push(serde_json::from_str(&line)?);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_end_with_an_empty_line() {
        let mail = |subject: &str| Mail { subject: subject.to_owned(), text: "b".to_owned() };
        let lines =
            "{\"subject\":\"a\",\"text\":\"b\"}\n{\"subject\":\"c\",\"text\":\"b\",\"new\":1}\n\n";
        assert_eq!(read(&mut lines.as_bytes()).unwrap(), [mail("a"), mail("c")]);
        assert_eq!(read(&mut "\n".as_bytes()).unwrap(), []);
        for broken in ["", "{\"subject\":\"a\",\"text\":\"b\"}\n", "{}\n\n", "\u{0}\n\n"] {
            assert!(read(&mut broken.as_bytes()).is_err(), "{broken:?}");
        }
    }
}
