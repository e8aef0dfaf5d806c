//! A connection that asks in lines and reads an answer up to a mark, with as little work as possible.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relay_tests::wait;

/// Longer than anything that is measured takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Lines {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Lines {
    pub fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        Ok(Self { stream, buffer: vec![0; 8192] })
    }

    /// Opens a connection to a SASL server, and does the handshake as Postfix does it.
    pub fn sasl(socket: &Path) -> Result<Self> {
        let mut lines = Self::open(socket)?;
        lines.ask(b"VERSION\t1\t0\nCPID\t4711\n", b"DONE\n")?;
        Ok(lines)
    }

    /// Writes, and reads until the answer ends with `end`.
    pub fn ask(&mut self, question: &[u8], end: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(question)?;
        let mut answer = Vec::new();
        while !answer.ends_with(end) {
            wait::readable(&self.stream, PATIENCE)?;
            let size = self.stream.read(&mut self.buffer)?;
            ensure!(size > 0, "the server ended the connection after {answer:?}");
            answer.extend(self.buffer.iter().take(size));
        }
        Ok(answer)
    }
}
