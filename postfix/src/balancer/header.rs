//! The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt). Pure but for reading; bounded.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// Longest header of version 1 (section 2.1), its line end included.
const MAX_LINE: usize = 107;
/// Section 2.2: how version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes behind the fixed part of version 2: addresses, and extensions that nobody reads here.
const MAX_BLOCK: usize = 2_048;

/// Whom a balancer brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    Client {
        client: SocketAddr,
        server: SocketAddr,
    },
    /// The balancer speaks for itself, or does not know.
    None,
}

/// Reads a header and not a byte more: what follows is the client's.
///
/// # Errors
///
/// When it is none, or not there in time.
pub fn read(stream: &mut impl Read, deadline: Instant) -> io::Result<Header> {
    let mut start = [0; SIGNATURE.len()];
    fill(stream, &mut start, deadline)?;
    if start == *SIGNATURE {
        return read_second(stream, deadline);
    }
    if !start.starts_with(b"PROXY ") {
        return Err(nonsense());
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_LINE {
            return Err(nonsense());
        }
        let mut byte = [0];
        fill(stream, &mut byte, deadline)?;
        line.extend(byte);
    }
    first(&line).ok_or_else(nonsense)
}

fn nonsense() -> io::Error {
    io::Error::other("it does not begin with a PROXY header: is send-proxy set at the balancer?")
}

/// A slow sender cannot draw it out: each read has the stream's timeout, and all of them this deadline.
fn fill(stream: &mut impl Read, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut rest = buffer;
    while !rest.is_empty() {
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no PROXY header in time"));
        }
        match stream.read(rest) {
            Ok(0) => return Err(io::Error::other("it ended before its PROXY header did")),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Version 1: `PROXY TCP4 client server client-port server-port`.
fn first(line: &[u8]) -> Option<Header> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = text.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Header::None);
    }
    let mut next = || words.next();
    let (client, server): (IpAddr, IpAddr) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let (client_port, server_port) = (port(next()?)?, port(next()?)?);
    let is_v4 = match family {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let fits = client.is_ipv4() == is_v4 && server.is_ipv4() == is_v4 && next().is_none();
    let header = known(SocketAddr::new(client, client_port), SocketAddr::new(server, server_port));
    fits.then_some(header).flatten()
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Version 2, behind its signature.
fn read_second(stream: &mut impl Read, deadline: Instant) -> io::Result<Header> {
    let mut fixed = [0; 4];
    fill(stream, &mut fixed, deadline)?;
    let [command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BLOCK {
        return Err(nonsense());
    }
    let mut block = vec![0; length];
    fill(stream, &mut block, deadline)?;
    match (command, family) {
        // LOCAL: the balancer's own.
        (0x20, _) => Ok(Header::None),
        (0x21, 0x11) => second_v4(&block).ok_or_else(nonsense),
        (0x21, 0x21) => second_v6(&block).ok_or_else(nonsense),
        // Unix sockets, datagrams, or unspecified.
        (0x21, _) => Ok(Header::None),
        _ => Err(nonsense()),
    }
}

fn second_v4(block: &[u8]) -> Option<Header> {
    let (client, rest) = block.split_first_chunk::<4>()?;
    let (server, rest) = rest.split_first_chunk::<4>()?;
    let (client, server) = (Ipv4Addr::from(*client), Ipv4Addr::from(*server));
    with_ports(client.into(), server.into(), rest)
}

fn second_v6(block: &[u8]) -> Option<Header> {
    let (client, rest) = block.split_first_chunk::<16>()?;
    let (server, rest) = rest.split_first_chunk::<16>()?;
    let (client, server) = (Ipv6Addr::from(*client), Ipv6Addr::from(*server));
    with_ports(client.into(), server.into(), rest)
}

fn with_ports(client: IpAddr, server: IpAddr, rest: &[u8]) -> Option<Header> {
    let (client_port, rest) = rest.split_first_chunk::<2>()?;
    let (server_port, _extensions) = rest.split_first_chunk::<2>()?;
    let port = |bytes: &[u8; 2]| u16::from_be_bytes(*bytes);
    known(SocketAddr::new(client, port(client_port)), SocketAddr::new(server, port(server_port)))
}

/// A client that can be one. Nobody comes from loopback over a network, and it may be in ALLOWED_NETWORKS.
fn known(client: SocketAddr, server: SocketAddr) -> Option<Header> {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (client, server) = (canonical(client), canonical(server));
    let ip = client.ip();
    let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let impossible = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_broadcast;
    (!impossible).then_some(Header::Client { client, server })
}

/// The header for smtpd. Both addresses are of one family there, whatever they were.
pub fn line(client: SocketAddr, server: SocketAddr) -> String {
    let (family, server_ip) = match (client.ip(), server.ip()) {
        (IpAddr::V4(_), IpAddr::V4(ip)) => ("TCP4", IpAddr::V4(ip)),
        (IpAddr::V4(_), IpAddr::V6(_)) => ("TCP4", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        (IpAddr::V6(_), IpAddr::V6(ip)) => ("TCP6", IpAddr::V6(ip)),
        (IpAddr::V6(_), IpAddr::V4(_)) => ("TCP6", IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    format!("PROXY {family} {} {server_ip} {} {}\r\n", client.ip(), client.port(), server.port())
}

#[cfg(test)]
mod tests;
