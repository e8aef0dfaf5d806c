//! `relay healthcheck`: asks the running process for `/readyz`. Writes no log line on either side.

pub(super) mod own_tls;

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::failure::{Exit, Failure};
use crate::config::{Config, ProcessEnvironment};
use crate::listener::Endpoint;

/// Docker gives a health check thirty seconds; a ready process answers in a millisecond.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Succeeds when the process says that it is ready.
pub fn run() -> Result<(), Failure> {
    let (endpoint, is_encrypted) = Config::readyz(&ProcessEnvironment)?;
    let answer = match &endpoint {
        Endpoint::Unix(path) => ask_unix(path, is_encrypted),
        Endpoint::Inet(address) => ask_tcp(&reachable(address), is_encrypted),
    };
    let answer = answer.map_err(|error| {
        Failure::new(Exit::Trouble, format!("no answer from {endpoint}: {error}"))
    })?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Trouble, format!("{endpoint} says: {status}")))
    }
}

/// One listens on all addresses, but asks one of them.
fn reachable(address: &str) -> String {
    address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
}

fn ask_tcp(address: &str, is_encrypted: bool) -> io::Result<String> {
    let addresses = address.to_socket_addrs()?;
    let mut last = io::Error::other("the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                return ask(stream, is_encrypted);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask_unix(path: &Path, is_encrypted: bool) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    ask(stream, is_encrypted)
}

fn ask(stream: impl Read + Write, is_encrypted: bool) -> io::Result<String> {
    if is_encrypted { request(own_tls::over(stream)?) } else { request(stream) }
}

fn request(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
