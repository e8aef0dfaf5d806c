//! An alert as a message (RFC 5322), in ASCII and short lines, so that every next hop takes it. Pure.

use super::ask::Mail;
use crate::settings::alert_mail::Recipients;

/// Characters of the subject and of the text.
const LONGEST_SUBJECT: usize = 200;
const LONGEST_TEXT: usize = 4_000;
/// Columns of a line of the text (RFC 5322 section 2.1.1).
const WIDTH: usize = 76;

/// A mail, and what goes around it.
#[derive(Debug)]
pub struct Letter<'a> {
    pub mail: &'a Mail,
    pub recipients: &'a Recipients,
    /// `RELAY_MYHOSTNAME`.
    pub hostname: &'a str,
}

impl Letter<'_> {
    /// The lines of the message, without line ends. Postfix adds Date and Message-ID.
    pub fn lines(&self) -> Vec<String> {
        let Self { mail, recipients, hostname } = self;
        let subject: String = ascii(&mail.subject).chars().take(LONGEST_SUBJECT).collect();
        let mut lines = vec![
            format!("From: relay <mailer-daemon@{hostname}>"),
            format!("To: {}", recipients.0.join(",\n\t")),
            format!("Subject: {subject}"),
            // RFC 3834 section 5: no vacation notice answers it.
            "Auto-Submitted: auto-generated".to_owned(),
            "MIME-Version: 1.0".to_owned(),
            "Content-Type: text/plain; charset=us-ascii".to_owned(),
            String::new(),
        ];
        let text: String = mail.text.chars().take(LONGEST_TEXT).collect();
        lines.extend(text.lines().flat_map(|line| wrapped(&ascii(line))));
        // The list of recipients is folded.
        lines.iter().flat_map(|line| line.split('\n')).map(str::to_owned).collect()
    }
}

/// Text of others as ASCII: everything else is escaped, line breaks included.
pub fn ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// Breaks a line at blanks; a longer word stays whole, up to what a line may have.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let pieces: Vec<String> = word
            .chars()
            .collect::<Vec<_>>()
            .chunks(900)
            .map(|piece| piece.iter().collect())
            .collect();
        for piece in pieces {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(&piece),
                Some(line) if line.len() + 1 + piece.len() <= WIDTH => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_words_are_the_header_is_ours_and_lines_are_short() {
        let mail = Mail {
            subject: "x\r\nBcc: everybody@example.com\u{e9}".to_owned(),
            text: format!("one\ntwo {}\r\n.\n{}", "word ".repeat(40), "x".repeat(3_000)),
        };
        let recipients = Recipients(vec!["a@example.net".to_owned(), "b@example.net".to_owned()]);
        let letter = Letter { mail: &mail, recipients: &recipients, hostname: "relay.example.org" };
        let lines = letter.lines();
        assert_eq!(
            lines[..9],
            [
                "From: relay <mailer-daemon@relay.example.org>",
                "To: a@example.net,",
                "\tb@example.net",
                "Subject: x\\r\\nBcc: everybody@example.com\\u{e9}",
                "Auto-Submitted: auto-generated",
                "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=us-ascii",
                "",
                "one",
            ]
        );
        assert!(lines.iter().all(|line| line.len() <= 998 && line.is_ascii()));
        assert!(lines[9..12].iter().all(|line| line.len() <= WIDTH), "{lines:?}");
    }
}
