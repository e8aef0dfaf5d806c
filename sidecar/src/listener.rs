//! Sockets that services listen on: `unix:/path` or `inet:host:port`.
//!
//! Guarantee: once bound, a listener never ends because of an accept error. Too few descriptors or
//! a client that hung up early costs a pause, not the service.

mod endpoint;
mod socket;

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::PollSemaphore;

pub use self::endpoint::Endpoint;
use self::socket::{ListeningSocket, Stream};
use crate::labels::Label;
use crate::service::{Service, ServiceMetrics};

/// How long to pause after an accept error. Descriptors come back when sessions end; trying again
/// at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections open at one time, per service. Postfix runs at most 100 processes of each of three
/// smtpd services (`default_process_limit`), and opens one connection per process or session.
pub const MAX_CONNECTIONS: usize = 1024;
/// How long an answer may wait for the peer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The owner and the group, which is Postfix's, may connect, and nobody else.
const SOCKET_MODE: u32 = 0o660;

#[derive(Debug, Error)]
pub enum BindError {
    #[error("{0} is in use by another process")]
    InUse(Endpoint),
    #[error("cannot listen on {endpoint}: {error}")]
    Io { endpoint: Endpoint, error: io::Error },
}

/// A bound socket of one service.
#[derive(Debug)]
pub struct Listener {
    socket: ListeningSocket,
    service: Service,
    metrics: ServiceMetrics,
    permits: PollSemaphore,
    permit: Option<OwnedSemaphorePermit>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Listener {
    /// Binds. A socket file that nobody listens on is replaced in one step, so that a client never
    /// finds none.
    ///
    /// # Errors
    ///
    /// When another process listens there, or the system refuses.
    pub async fn bind(
        endpoint: &Endpoint,
        service: Service,
        metrics: &ServiceMetrics,
    ) -> Result<Self, BindError> {
        let in_use = || BindError::InUse(endpoint.clone());
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => in_use(),
            _ => BindError::Io { endpoint: endpoint.clone(), error },
        };
        let socket = match endpoint {
            Endpoint::Unix(path) if UnixStream::connect(path).await.is_ok() => return Err(in_use()),
            Endpoint::Unix(path) => {
                let socket = bind_unix(path, |path| net::UnixListener::bind(path));
                let socket =
                    socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
                socket.and_then(|socket| ListeningSocket::new(socket.into(), false))
            }
            Endpoint::Inet(address) => {
                let socket = TcpListener::bind(address.as_str()).await;
                let socket = socket.and_then(TcpListener::into_std);
                socket.and_then(|socket| ListeningSocket::new(socket.into(), true))
            }
        };
        let socket = socket.map_err(failed)?;
        let permits = PollSemaphore::new(std::sync::Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        let metrics = metrics.clone();
        Ok(Self { socket, service, metrics, permits, permit: None, pause: None })
    }

    /// The next connection.
    pub async fn accept(&mut self) -> Connection {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Listener::accept`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Connection> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.permit.is_none() {
                self.permit = std::task::ready!(self.permits.poll_acquire(cx));
            }
            match std::task::ready!(self.socket.poll_accept(cx)) {
                Ok(stream) => {
                    let (service, metrics) = (self.service, self.metrics.clone());
                    metrics.accepted.inc(service);
                    metrics.open.inc(service);
                    let open = Open { service, metrics, _permit: self.permit.take() };
                    return Poll::Ready(Connection { stream, _open: open });
                }
                Err(error) => {
                    self.metrics.accept_errors.inc(self.service);
                    tracing::error!(
                        service = self.service.label(),
                        %error,
                        "cannot accept a connection, retrying; is the limit on open files too low?"
                    );
                    self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE)));
                }
            }
        }
    }
}

/// Binds under another name and renames over the old file, so that a peer never finds none.
///
/// # Errors
///
/// When the system refuses.
pub fn bind_unix<S>(path: &Path, bind: impl Fn(&Path) -> io::Result<S>) -> io::Result<S> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    std::fs::rename(&temporary, path)?;
    Ok(socket)
}

/// An accepted connection; it is counted as open until it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    _open: Open,
}

#[derive(Debug)]
struct Open {
    service: Service,
    metrics: ServiceMetrics,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec(self.service);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Writes an answer.
///
/// # Errors
///
/// When the connection breaks, or the peer does not take it for ten seconds: it is gone; Postfix reads at once.
pub async fn write_answer(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    tokio::select! {
        biased;
        written = stream.write_all(text.as_bytes()) => written,
        // Nearly every write is done by now, and has not needed the time.
        () = async { tokio::time::sleep(WRITE_TIMEOUT).await } => {
            Err(io::Error::other("the peer does not take our answer"))
        }
    }
}

/// Whether the peer just went away. Health checks do, and so does an smtpd that ends; neither is
/// worth a log line.
pub fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests;
