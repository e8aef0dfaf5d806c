//! Whether this container has a resolver whose DNSSEC validation can be trusted.
//!
//! DANE depends on the resolver's claim that it validated the answer: a single bit, AD. In an answer
//! from another host anybody on the way can set that bit, and Docker's 127.0.0.11 validates nothing. So
//! the resolver must be on loopback inside this container's network, and set AD for the root zone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Docker's embedded DNS server, which forwards to the host's resolvers.
const DOCKER_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
const DNS_PORT: u16 = 53;
/// Time for all attempts: a resolver that starts together with this container may take a moment.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time for each attempt.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Bits in the third and fourth byte of the header: QR and RCODE (RFC 1035 4.1.1), AD (RFC 4035 3.2.3).
const QR: u8 = 0x80;
const AD: u8 = 0x20;
const RCODE: u8 = 0x0f;
/// Header with AD set, one question and one additional record; question `. IN NS`; EDNS with DO.
const QUERY: &[u8] = &[
    0x52, 0x4c, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, // header
    0, 0, 2, 0, 1, // question
    0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0, // EDNS: 1232 bytes, DO
];

/// Checks that every resolver of this container can be trusted with DNSSEC; `Err` says why not.
///
/// Sends a query to each of them and waits up to three seconds for its answer.
pub fn check_dnssec() -> Result<(), String> {
    validates(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default())
}

fn validates(resolv_conf: &str) -> Result<(), String> {
    let servers = name_servers(resolv_conf);
    if servers.is_empty() {
        return Err(format!("{RESOLV_CONF} names no resolver"));
    }
    for server in servers {
        if !server.is_loopback() || server == DOCKER_DNS {
            return Err(format!(
                "the resolver {server} is not on this container's loopback, so its answers can be \
                 forged on the way"
            ));
        }
        ask(SocketAddr::new(server, DNS_PORT), TIMEOUT)
            .map_err(|why| format!("the resolver {server} {why}"))?;
    }
    Ok(())
}

fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let words = resolv_conf.lines().map(|line| line.split_ascii_whitespace());
    words
        .filter_map(|mut words| {
            (words.next()? == "nameserver").then(|| words.next())??.parse().ok()
        })
        .collect()
}

/// Asks for the name servers of the root zone, as Postfix's own `dnssec_probe` does.
fn ask(server: SocketAddr, timeout: Duration) -> Result<(), String> {
    let deadline = Instant::now() + timeout;
    loop {
        match ask_once(server) {
            Ok(answer) => return check_answer(&answer),
            Err(_) if Instant::now() < deadline => std::thread::sleep(ATTEMPT / 5),
            Err(error) => return Err(format!("does not answer: {error}")),
        }
    }
}

fn ask_once(server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ATTEMPT))?;
    socket.send(QUERY)?;
    let mut answer = vec![0; 1500];
    let size = socket.recv(&mut answer)?;
    answer.truncate(size);
    Ok(answer)
}

fn check_answer(answer: &[u8]) -> Result<(), String> {
    let [first, second, flags, more, ..] = answer else {
        return Err("gives a malformed answer".to_owned());
    };
    if QUERY.get(..2) != Some([*first, *second].as_slice()) || flags & QR == 0 {
        return Err("gives a malformed answer".to_owned());
    }
    match (more & RCODE, more & AD) {
        (0, 0) => Err("does not validate DNSSEC".to_owned()),
        (0, _) => Ok(()),
        (code, _) => Err(format!("answers with DNS error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_resolver_on_loopback_is_trusted() {
        for (text, expected) in [
            ("", "names no resolver"),
            ("search example.org\n# nameserver 127.0.0.1\n", "names no resolver"),
            ("nameserver 192.0.2.53\n", "192.0.2.53 is not on this container's loopback"),
            ("nameserver 127.0.0.11\noptions ndots:0\n", "127.0.0.11 is not on"),
        ] {
            let why = validates(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        let both = name_servers("nameserver 127.0.0.1\nnameserver ::1\nnameserver x\n");
        assert_eq!(both, ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    }

    #[test]
    fn a_resolver_must_set_ad_for_the_root() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        for (flags, expected) in [
            ([0x81, 0xa0], Ok(())),
            ([0x81, 0x80], Err("does not validate DNSSEC")),
            ([0x81, 0xa2], Err("answers with DNS error 2")),
            ([0x01, 0x20], Err("gives a malformed answer")),
        ] {
            let asked = std::thread::spawn(move || ask(address, TIMEOUT));
            let mut query = [0; 512];
            let (size, client) = server.recv_from(&mut query).unwrap();
            let mut answer = query[..size].to_vec();
            answer[2..4].copy_from_slice(&flags);
            server.send_to(&answer, client).unwrap();
            assert_eq!(asked.join().unwrap(), expected.map_err(str::to_owned));
        }
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_not_trusted() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let why = ask(server.local_addr().unwrap(), Duration::ZERO).unwrap_err();
        assert!(why.starts_with("does not answer"), "{why}");
    }
}
