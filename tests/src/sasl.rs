//! A client of the Dovecot authentication protocol that can also break its rules.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::wait;

const ANSWER: Duration = Duration::from_secs(10);

/// One connection to an authentication server.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects, and says nothing: the server speaks first.
    pub fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Connects and does the handshake as Postfix does it.
    pub fn ready(socket: &Path) -> Result<Self> {
        let mut connection = Self::open(socket)?;
        connection.send("VERSION\t1\t0\nCPID\t4711\n")?;
        connection.handshake()?;
        Ok(connection)
    }

    /// Reads the server's side of the handshake, DONE included.
    pub fn handshake(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let is_last = line == "DONE";
            lines.push(line);
            if is_last {
                return Ok(lines);
            }
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// Reads one line, LF taken off.
    pub fn line(&mut self) -> Result<String> {
        match self.line_or_end()? {
            Some(line) => Ok(line),
            None => bail!("the authentication server ended the connection"),
        }
    }

    /// Reads one line, or nothing when the server ends the connection.
    pub fn line_or_end(&mut self) -> Result<Option<String>> {
        let deadline = Instant::now() + ANSWER;
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            self.stream.set_read_timeout(Some(wait::left(deadline)))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread.extend(chunk.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("waiting for the authentication server"),
            }
        }
    }
}

/// An AUTH line as Postfix sends it for PLAIN, with `secured` and all.
#[must_use]
pub fn plain(id: u32, name: &str, password: &str) -> String {
    let response = BASE64.encode(format!("\0{name}\0{password}"));
    format!(
        "AUTH\t{id}\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=198.51.100.7\tsecured\tresp={response}\n"
    )
}
