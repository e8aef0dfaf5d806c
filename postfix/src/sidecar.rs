//! The sidecar, as relay-init sees it: where its sockets are and whether they answer.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The sidecar's sockets, on the volume that both containers share.
pub const SASL_SOCKET: &str = "/run/relay/sasl.sock";
pub const POLICY_SOCKET: &str = "/run/relay/policy.sock";
pub const MILTER_SOCKET: &str = "/run/relay/milter.sock";
pub const EVENTS_SOCKET: &str = "/run/relay/events.sock";
/// Where it is asked for alerts that are to go by mail.
pub const ALERTS_SOCKET: &str = "/run/relay/alerts.sock";

/// Bytes of the longest handshake accepted; a real one is half a dozen short lines.
const MAX_HANDSHAKE: usize = 16 * 1024;
/// Postfix itself gives the same handshake ten seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects without waiting: a full backlog is an error at once, not a hang.
pub fn reach(socket_path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(socket_path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Reads the handshake of the Dovecot authentication protocol, in which the server speaks first.
///
/// An smtpd that starts while this fails exits with a fatal error, and master throttles its port.
pub fn shake_hands(socket_path: &Path) -> io::Result<()> {
    let mut stream = reach(socket_path)?;
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    while received.len() < MAX_HANDSHAKE {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.extend(chunk.iter().take(count));
        if is_complete(&received) {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake does not end"))
}

/// Postfix needs at least one mechanism before DONE.
fn is_complete(received: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> = received.split(|byte| *byte == b'\n').collect();
    // What follows the last newline is not a complete line yet.
    lines.pop();
    let has_mechanism = lines.iter().any(|line| line.starts_with(b"MECH\t"));
    has_mechanism && lines.contains(&b"DONE".as_slice())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    fn handshake_with(answer: &'static [u8]) -> Result<(), io::ErrorKind> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
        });
        let result = shake_hands(&path).map_err(|error| error.kind());
        server.join().unwrap();
        result
    }

    #[test]
    fn a_handshake_is_complete_with_a_mechanism_and_done() {
        let whole = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t2\nCOOKIE\t0\nDONE\n";
        assert_eq!(handshake_with(whole), Ok(()));
        for answer in [b"".as_slice(), b"VERSION\t1\t2\nDONE\n", b"MECH\tPLAIN\nDONE"] {
            assert_eq!(handshake_with(answer), Err(io::ErrorKind::UnexpectedEof), "{answer:?}");
        }
    }

    #[test]
    fn a_missing_or_stale_socket_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(shake_hands(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        // What a killed sidecar leaves behind.
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(shake_hands(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
