//! A message to send, and what a relay may add to it.

use anyhow::{Context, Result, ensure};

/// A complete message: it has a Date and a Message-ID, so that no relay has a reason to add one, and all
/// that tends to get lost on the way: dots, empty lines, blanks at the end, 8-bit text, a long line.
#[must_use]
pub fn message(subject: &str) -> Vec<u8> {
    let longest = "x".repeat(998);
    format!(
        "Date: Mon, 23 Nov 2026 08:00:00 +0100\r\n\
         From: Alice <alice@example.org>\r\n\
         To: Bob <bob@example.net>\r\n\
         Message-ID: <{subject}@example.org>\r\n\
         Subject: {subject}\r\n\
         X-Folded: one\r\n\ttwo\r\n   three\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         .\r\n..\r\n.dot\r\n\r\n\r\nGrüße \t \r\n{longest}\r\nFrom here\r\n\r\n"
    )
    .into_bytes()
}

/// Splits what arrived into the first header, which has to be `Received`, and the rest.
pub fn split_received(data: &[u8]) -> Result<(String, Vec<u8>)> {
    let mut end = 0;
    for line in data.split_inclusive(|&byte| byte == b'\n') {
        let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
        if end > 0 && !is_folded {
            break;
        }
        end += line.len();
    }
    let (header, rest) = data.split_at_checked(end).context("an empty message")?;
    let header = String::from_utf8_lossy(header).into_owned();
    ensure!(header.starts_with("Received: "), "the first header is {header:?}");
    Ok((header, rest.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_received_header_is_split_off() {
        let (header, rest) = split_received(b"Received: a\r\n\tb\r\nDate: c\r\n").unwrap();
        assert_eq!(header, "Received: a\r\n\tb\r\n");
        assert_eq!(rest, b"Date: c\r\n");
        assert!(split_received(b"Date: c\r\n").is_err());
    }
}
