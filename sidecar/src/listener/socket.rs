//! Sockets that are told no more than they want to know.
//!
//! tokio's own streams ask epoll about reading and writing at once. Linux says that there is room to write each time a peer
//! has read an answer, so every answer would wake this process once more for nothing, and Postfix would pay for waking it.
//! Here a stream asks about reading, and about room only while a write waits for it. That is a tenth of all system calls.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown, sockopt,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Asks for one kind of event.
#[expect(
    deprecated,
    reason = "it is sound for an OwnedFd, which is one open descriptor all its life; what replaces it is unsafe"
)]
fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, interest)
}

/// A listening socket.
#[derive(Debug)]
pub struct ListeningSocket {
    socket: AsyncFd<OwnedFd>,
    is_tcp: bool,
}

impl ListeningSocket {
    /// Takes over a socket that listens and does not block.
    ///
    /// # Errors
    ///
    /// When the system cannot watch it.
    pub fn new(socket: OwnedFd, is_tcp: bool) -> io::Result<Self> {
        Ok(Self { socket: watch(socket, Interest::READABLE)?, is_tcp })
    }

    /// The next connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match accept_with(ready.get_inner(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => return Poll::Ready(self.stream(socket)),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn stream(&self, socket: OwnedFd) -> io::Result<Stream> {
        if self.is_tcp {
            // Without it each answer waits 40 ms for the peer's delayed acknowledgement. It cannot fail on a connected TCP
            // socket, and is only about speed.
            sockopt::set_tcp_nodelay(&socket, true).ok();
        }
        Stream::new(socket)
    }
}

/// A connected stream socket.
#[derive(Debug)]
pub struct Stream {
    socket: AsyncFd<OwnedFd>,
    /// Whether nothing has been read yet.
    is_new: bool,
    /// A second descriptor of it, while a write waits for room.
    room: Option<AsyncFd<OwnedFd>>,
}

impl Stream {
    /// Takes over a socket that is connected and does not block.
    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: watch(socket, Interest::READABLE)?, is_new: true, room: None })
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = match self.room.take() {
            Some(room) => room,
            None => {
                let socket = self.socket.get_ref().try_clone()?;
                watch(socket, Interest::WRITABLE)?
            }
        };
        // Whether there is room is seen by writing. Forgotten before that, it cannot be missed when it comes after it.
        let ready = self.room.insert(room).poll_write_ready(cx);
        ready.map_ok(|mut ready| ready.clear_ready())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Who connects speaks at once, and has mostly done so before epoll can tell.
        if std::mem::take(&mut self.is_new)
            && let Ok((_, read)) = recv(&self.socket, buf.initialize_unfilled(), RecvFlags::empty())
        {
            buf.advance(read);
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            let size = space.len();
            match recv(ready.get_inner(), space, RecvFlags::empty()) {
                Ok((_, read)) => {
                    // Less than there was space for was all there is (epoll(7), question 9).
                    if 0 < read && read < size {
                        ready.clear_ready();
                    }
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match send(&this.socket, buf, SendFlags::NOSIGNAL) {
                Ok(written) => {
                    this.room = None;
                    return Poll::Ready(Ok(written));
                }
                Err(Errno::AGAIN) => ready!(this.poll_room(cx))?,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(&self.socket, Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    fn pair() -> (Stream, Stream) {
        let (one, other) = UnixStream::pair().unwrap();
        let stream = |socket: UnixStream| {
            socket.set_nonblocking(true).unwrap();
            Stream::new(socket.into()).unwrap()
        };
        (stream(one), stream(other))
    }

    #[tokio::test]
    async fn what_is_written_is_read_even_when_the_peer_reads_slowly() {
        let (mut one, mut other) = pair();
        // Many times what the kernel holds, so that writes wait for room again and again.
        let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            one.write_all(&sent).await.unwrap();
            one.shutdown().await.unwrap();
            let mut answer = [0; 2];
            one.read_exact(&mut answer).await.unwrap();
            (answer, one.room.is_none())
        });
        let mut received = Vec::new();
        let mut piece = vec![0; 100_001];
        loop {
            tokio::task::yield_now().await;
            match other.read(&mut piece).await.unwrap() {
                0 => break,
                read => received.extend_from_slice(&piece[..read]),
            }
        }
        assert!(received == expected, "{} bytes came", received.len());
        other.write_all(b"ok").await.unwrap();
        assert_eq!(writing.await.unwrap(), (*b"ok", true));
    }

    #[tokio::test]
    async fn a_write_without_room_waits_and_ends_when_the_peer_goes_away() {
        let (mut one, other) = pair();
        let block = vec![0; 1 << 20];
        let waited = timeout(Duration::from_millis(50), one.write_all(&block)).await;
        assert!(waited.is_err(), "nobody reads");
        drop(other);
        assert!(timeout(Duration::from_secs(5), one.write_all(&block)).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_peer_that_reads_an_answer_wakes_nobody() {
        const ROUNDS: u64 = 50;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut stream = Stream::new(ours.into()).unwrap();
        let peer = std::thread::spawn(move || {
            let mut answer = [0];
            for _ in 0..ROUNDS {
                theirs.write_all(b"?").unwrap();
                theirs.read_exact(&mut answer).unwrap();
                // Long enough to be woken for nothing.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = metrics.worker_park_count(0);
        let mut question = [0];
        while stream.read(&mut question).await.unwrap() > 0 {
            stream.write_all(b"!").await.unwrap();
        }
        peer.join().unwrap();
        let parked = metrics.worker_park_count(0) - before;
        assert!(parked < ROUNDS + ROUNDS / 2, "slept {parked} times for {ROUNDS} questions");
    }
}
