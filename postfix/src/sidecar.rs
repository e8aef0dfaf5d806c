//! What relay-init must know of the sidecar: whether its sockets answer.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// A handshake is half a dozen short lines.
const LONGEST_HANDSHAKE: usize = 16 * 1024;
/// Postfix gives up on the same handshake after ten.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects without waiting: a full queue of connections is an error at once, not a hang.
pub fn reach(socket_path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(socket_path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Reads the handshake of the Dovecot authentication protocol, which the server sends unasked.
///
/// A smtpd that starts while this does not work ends with a fatal error, and its port is throttled.
pub fn shake_hands(socket_path: &Path) -> io::Result<()> {
    let mut stream = reach(socket_path)?;
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    while received.len() < LONGEST_HANDSHAKE {
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
    Err(io::Error::new(io::ErrorKind::InvalidData, "no end of the handshake"))
}

/// Postfix needs at least one mechanism before the end.
fn is_complete(received: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> = received.split(|byte| *byte == b'\n').collect();
    // What stands behind the last newline is not a line yet.
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
    fn a_handshake_is_complete_with_a_mechanism_and_its_end() {
        let whole = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t2\nCOOKIE\t0\nDONE\n";
        assert_eq!(handshake_with(whole), Ok(()));
        for answer in [b"".as_slice(), b"VERSION\t1\t2\nDONE\n", b"MECH\tPLAIN\nDONE"] {
            assert_eq!(handshake_with(answer), Err(io::ErrorKind::UnexpectedEof), "{answer:?}");
        }
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(shake_hands(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        // As a sidecar that was killed leaves it.
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(shake_hands(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
