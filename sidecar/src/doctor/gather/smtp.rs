//! A few words of SMTP, as a client that never sends a message.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::LOOKUP;
use crate::doctor::facts::{Greeting, NoGreeting};

/// For a connection, and for each reply: Postfix's own postscreen greets after six seconds, but not on ports that send
/// mail out, and a receiver that makes clients wait is up.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes of a line (RFC 5321 section 4.5.3.1.5 has 512), and lines of a reply.
const LONGEST_LINE: u64 = 2_000;
const MOST_LINES: usize = 60;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A conversation.
#[derive(Debug)]
pub struct Talk<S> {
    stream: BufReader<S>,
}

/// A reply: its code and the text of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    pub fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }

    pub fn is_good(&self) -> bool {
        (200..400).contains(&self.code)
    }
}

/// Connects, and says why not.
pub async fn connect(address: IpAddr, port: u16) -> Result<TcpStream, NoGreeting> {
    match timeout(PATIENCE, TcpStream::connect((address, port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(NoGreeting::NoConnection(format!("{address} port {port}: {error}"))),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            Err(NoGreeting::NoConnection(format!(
                "{address} port {port}: no connection within {seconds} seconds"
            )))
        }
    }
}

/// Connects to a port of Postfix's container. Docker's own names are in the system's resolver, and not in DNS.
pub async fn connect_to(postfix: &str, port: u16) -> Result<TcpStream, NoGreeting> {
    let unknown = |why: &str| {
        NoGreeting::NoAddress(format!(
            "{postfix} cannot be looked up ({why}): --at HOST names Postfix's container"
        ))
    };
    let found = timeout(LOOKUP, lookup_host((postfix, port))).await;
    let found = found.map_err(|_| unknown("no answer"))?;
    let mut found = found.map_err(|error| unknown(&error.to_string()))?;
    let address = found.next().ok_or_else(|| unknown("no address"))?;
    connect(address.ip(), port).await
}

impl<S: Stream> Talk<S> {
    pub fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// For what comes after STARTTLS. Bytes that came before TLS are no part of it.
    pub fn into_inner(self) -> S {
        self.stream.into_inner()
    }

    pub async fn reply(&mut self) -> io::Result<Reply> {
        timeout(PATIENCE, self.read_reply())
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no reply")))
    }

    async fn read_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let mut line = Vec::new();
            (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
            let (line, is_last) = read_line(&line)?;
            lines.push(line);
            if is_last {
                let (code, _) = lines.first().cloned().unwrap_or_default();
                return Ok(Reply {
                    code,
                    lines: lines.into_iter().map(|(_, text)| text).collect(),
                });
            }
        }
        Err(io::Error::other("a reply without an end"))
    }

    pub async fn say(&mut self, command: &str) -> io::Result<Reply> {
        let line = format!("{command}\r\n");
        self.stream.get_mut().write_all(line.as_bytes()).await?;
        self.stream.get_mut().flush().await?;
        self.reply().await
    }

    /// Greets; `None` when the greeting has to be awaited first.
    pub async fn ehlo(&mut self, host: &str, greeting: Option<&Reply>) -> io::Result<Greeting> {
        let reply = self.say(&format!("EHLO {host}")).await?;
        if !reply.is_good() {
            return Err(io::Error::other(reply.text()));
        }
        let first = reply.lines.first().map_or("", String::as_str);
        let extensions = reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        let said = greeting.map(Reply::text).unwrap_or_default();
        Ok(Greeting { reply: said, seen: seen(first), extensions })
    }

    /// Says goodbye, and waits for nothing.
    pub async fn quit(&mut self) {
        let goodbye = self.stream.get_mut().write_all(b"QUIT\r\n");
        // Whoever has hung up needs no goodbye.
        drop(timeout(PATIENCE, goodbye).await);
    }
}

/// Code and text of a line, and whether it is the last of its reply (RFC 5321 section 4.2).
fn read_line(line: &[u8]) -> io::Result<((u16, String), bool)> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    let nonsense = || match text {
        "" => io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended"),
        _ => io::Error::other("it does not speak SMTP"),
    };
    let code = text.get(..3).and_then(|code| code.parse().ok()).ok_or_else(nonsense)?;
    let is_last = !text.get(3..).unwrap_or_default().starts_with('-');
    Ok(((code, text.get(4..).unwrap_or_default().to_owned()), is_last))
}

/// The client's address in the first line of an answer to EHLO: `at your service, [192.0.2.1]`.
fn seen(line: &str) -> Option<IpAddr> {
    let mut candidates = line.split(['[', ']', '(', ')', ' ', ',']);
    candidates.find_map(|word| {
        let word = word.strip_prefix("IPv6:").unwrap_or(word);
        word.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    })
}

/// The greeting of a server, and a conversation that goes on after it.
pub async fn greet<S: Stream>(stream: S, host: &str) -> Result<(Greeting, Talk<S>), NoGreeting> {
    let silent = |error: io::Error| NoGreeting::NoConnection(error.to_string());
    let mut talk = Talk::new(stream);
    let reply = talk.reply().await.map_err(silent)?;
    if reply.code != 220 {
        return Err(NoGreeting::Refused(reply.text()));
    }
    match talk.ehlo(host, Some(&reply)).await {
        Ok(greeting) => Ok((greeting, talk)),
        Err(error) if error.kind() == io::ErrorKind::Other => {
            Err(NoGreeting::Refused(error.to_string()))
        }
        Err(error) => Err(silent(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_greeting_tells_the_address_that_a_receiver_saw() {
        for (answer, expected) in [
            ("mx.example.net at your service, [192.0.2.1]", Some("192.0.2.1")),
            (
                "mx.example.net Hello relay.example.org [192.0.2.1], pleased to meet you",
                Some("192.0.2.1"),
            ),
            ("mx.example.net Hello (2001:db8::1)", Some("2001:db8::1")),
            ("mx.example.net [IPv6:2001:db8::1]", Some("2001:db8::1")),
            ("mx.example.net", None),
        ] {
            let script = format!("220 mx ESMTP\r\n250-{answer}\r\n250-starttls\r\n250 SIZE 10\r\n");
            let stream = tokio_test_stream(script.as_bytes());
            let (greeting, _) = greet(stream, "relay.example.org").await.unwrap();
            assert_eq!(greeting.seen, expected.map(|text| text.parse().unwrap()), "{answer}");
            assert!(
                greeting.offers("STARTTLS") && greeting.offers("SIZE") && !greeting.offers("AUTH")
            );
        }
    }

    #[tokio::test]
    async fn refusals_and_nonsense_are_told_apart() {
        for (script, expected) in [
            ("554 5.7.1 go away\r\n", Err(NoGreeting::Refused("554 5.7.1 go away".to_owned()))),
            (
                "220 mx\r\n550-no\r\n550 never\r\n",
                Err(NoGreeting::Refused("550 no never".to_owned())),
            ),
            ("SSH-2.0-x\r\n", Err(NoGreeting::NoConnection("it does not speak SMTP".to_owned()))),
            ("", Err(NoGreeting::NoConnection("the connection ended".to_owned()))),
        ] {
            let stream = tokio_test_stream(script.as_bytes());
            let greeted = greet(stream, "relay.example.org").await.map(|(greeting, _)| greeting);
            assert_eq!(greeted, expected, "{script}");
        }
    }

    /// What a server says, whatever it is told.
    fn tokio_test_stream(script: &[u8]) -> impl Stream {
        tokio::io::join(io::Cursor::new(script.to_vec()), tokio::io::sink())
    }
}
