//! Sockets that services listen on: `unix:/path` or `inet:host:port`.
//!
//! Guarantee: once bound, a listener never ends because of an accept error. Too few descriptors or
//! a client that hung up early costs a pause, not the service.

mod socket;

use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::PollSemaphore;

use self::socket::{ListeningSocket, Stream};
use crate::labels::Label;
use crate::service::{Service, ServiceMetrics};

/// How long to pause after an accept error. Descriptors come back when sessions end; trying again
/// at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections open at one time, per service. Postfix runs at most 100 processes of each of three
/// smtpd services (`default_process_limit`), and opens one connection per process or session.
pub const MAX_CONNECTIONS: usize = 1024;
/// The owner and the group, which is Postfix's, may connect, and nobody else.
const SOCKET_MODE: u32 = 0o660;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// `host:port`; an IPv6 host stands in brackets.
    Inet(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inet(address) => write!(f, "inet:{address}"),
        }
    }
}

impl Endpoint {
    /// Whether only this machine (or container) can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Inet(address) => {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host);
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost"
                    || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    /// Reads `unix:/path` or `inet:host:port`.
    ///
    /// # Errors
    ///
    /// Says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // sun_path has 108 bytes with the final NUL (unix(7)), and binding adds a suffix.
            return if path.starts_with('/') && path.len() <= 96 {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err("a socket's path is absolute and has at most 96 bytes".to_owned())
            };
        }
        let expected = "expected unix:/path or inet:host:port";
        let address = text.strip_prefix("inet:").ok_or(expected)?;
        let (host, port) = address.rsplit_once(':').ok_or(expected)?;
        let host_is_valid = if let Some(inner) = host.strip_prefix('[') {
            inner.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
        } else {
            !host.is_empty() && !host.contains(':')
        };
        if host_is_valid && port.parse::<u16>().is_ok_and(|port| port != 0) {
            Ok(Self::Inet(address.to_owned()))
        } else {
            Err(expected.to_owned())
        }
    }
}

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

/// Whether the peer just went away. Health checks do, and so does an smtpd that ends; neither is
/// worth a log line.
pub fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests;
