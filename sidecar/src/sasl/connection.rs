//! Lines of a peer, read and written with bounds. They hold passwords, so nothing of them is left
//! behind in memory.

use std::io;
use std::pin::Pin;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_util::sync::WaitForCancellationFuture;
use zeroize::{Zeroize, Zeroizing};

use super::protocol::{self, DecodeError};
use crate::listener::{hung_up, write_answer};

/// A full line and its LF.
const BUFFER: usize = protocol::MAX_LINE + 1;
/// What is read at one time: several times a usual line. It is cleared for each line.
const CHUNK: usize = 1024;

#[derive(Debug, Error)]
pub enum ConnectionError {
    #[error("the peer breaks the protocol: {0}")]
    Protocol(#[from] DecodeError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ConnectionError {
    /// Whether the peer only went away, which is nobody's fault.
    pub fn is_hang_up(&self) -> bool {
        matches!(self, Self::Io(error) if hung_up(error))
    }
}

pub struct LineConnection<S> {
    stream: S,
    /// Made at once as large as it may become, with the first bytes: a vector that grows leaves
    /// copies behind, and an idle connection needs none.
    buffer: Zeroizing<Vec<u8>>,
}

impl<S> std::fmt::Debug for LineConnection<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineConnection").field("buffered", &self.buffer.len()).finish()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> LineConnection<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Zeroizing::new(Vec::new()) }
    }

    /// The next line without its LF; `None` when the peer has closed the connection or the process
    /// stops.
    ///
    /// There is no timeout: smtpd keeps its connection for as long as it lives.
    ///
    /// # Errors
    ///
    /// When a line is too long or the connection breaks.
    pub async fn next_line(
        &mut self,
        mut stopped: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ConnectionError> {
        loop {
            if let Some((line, used)) = protocol::next_line(&self.buffer)? {
                let line = Zeroizing::new(line.to_vec());
                self.consume(used);
                return Ok(Some(line));
            }
            let mut chunk = [0; CHUNK];
            // An incomplete line leaves room for one byte at least, or it would be too long.
            let room = BUFFER.saturating_sub(self.buffer.len()).min(CHUNK);
            let space = chunk.get_mut(..room).unwrap_or_default();
            let read = tokio::select! {
                biased;
                read = self.stream.read(space) => read?,
                () = stopped.as_mut() => return Ok(None),
            };
            if read == 0 {
                return Ok(None);
            }
            if self.buffer.capacity() == 0 {
                self.buffer.reserve_exact(BUFFER);
            }
            let read = chunk.get_mut(..read).unwrap_or_default();
            self.buffer.extend_from_slice(read);
            // Only what was read: wiping a whole chunk takes longer than a login that is cached.
            read.zeroize();
        }
    }

    /// Takes bytes off the buffer and wipes what they leave behind.
    fn consume(&mut self, used: usize) {
        let rest = self.buffer.len().saturating_sub(used);
        self.buffer.copy_within(used.., 0);
        if let Some(tail) = self.buffer.get_mut(rest..) {
            tail.zeroize();
        }
        self.buffer.truncate(rest);
    }

    /// Writes lines.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the peer does not read.
    pub async fn write(&mut self, text: &str) -> Result<(), ConnectionError> {
        Ok(write_answer(&mut self.stream, text).await?)
    }
}
