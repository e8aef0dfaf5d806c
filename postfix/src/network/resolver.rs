//! Whether this container has a resolver whose word on DNSSEC can be taken.
//!
//! DANE rests on the resolver's claim that it has checked the signatures, one bit in its answer. On
//! the way from another host, or from Docker's 127.0.0.11, which checks nothing, anybody may set that
//! bit. So the resolver has to be on loopback of this network, and has to claim it for the root.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::configuration::main_cf::Surroundings;
use crate::log;
use crate::settings::Settings;
use crate::settings::tls_level::TlsLevel;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Docker's own, which forwards to wherever the host asks.
const DOCKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
const DNS_PORT: u16 = 53;
/// A resolver that starts beside this container may take a moment.
const PATIENCE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(500);
/// The bits of the answer's third and fourth byte (RFC 1035 4.1.1, RFC 4035 3.2.3).
const IS_ANSWER: u8 = 0x80;
const IS_AUTHENTIC: u8 = 0x20;
const ERROR_BITS: u8 = 0x0f;
/// Header with the AD bit set, one question and one additional record; `.` NS IN; EDNS with DO.
const QUERY: &[u8] = &[
    0x52, 0x4c, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, // header
    0, 0, 2, 0, 1, // question
    0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0, // EDNS: 1232 bytes, DO
];

/// Fills in what only matters for the settings that ask for it.
pub fn look(settings: &Settings, surroundings: &mut Surroundings) {
    let hops = &settings.next_hops;
    let level = hops.main.as_ref().map(|hop| hop.level).or(hops.level);
    if level.is_none() || level.is_some_and(TlsLevel::needs_dnssec) {
        let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        let finding = validates(&text);
        surroundings.validating_resolver = finding.is_ok();
        report(level, finding);
    }
}

fn report(level: Option<TlsLevel>, finding: Result<(), String>) {
    match (level, finding) {
        (None, Ok(())) => {
            log::info("the resolver checks DNSSEC; delivering with DANE where possible")
        }
        (None, Err(why)) => {
            log::info(format_args!("delivering with TLS where it is offered, without DANE: {why}"))
        }
        (Some(_), Ok(())) => {}
        (Some(level), Err(why)) => log::warning(format_args!(
            "RELAYHOST_TLS_LEVEL={level} is worth no more than the resolver: {why}"
        )),
    }
}

/// `Err` says why not.
fn validates(resolv_conf: &str) -> Result<(), String> {
    let servers = name_servers(resolv_conf);
    if servers.is_empty() {
        return Err(format!("{RESOLV_CONF} names no resolver"));
    }
    for server in servers {
        if !server.is_loopback() || server == DOCKER {
            return Err(format!(
                "the resolver {server} is not one on this container's loopback, and its answers can \
                 be forged on the way"
            ));
        }
        ask(SocketAddr::new(server, DNS_PORT), PATIENCE)
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

/// Asks for the name servers of the root, as Postfix's own `dnssec_probe` does.
fn ask(server: SocketAddr, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        match ask_once(server) {
            Ok(answer) => return judge(&answer),
            Err(_) if Instant::now() < deadline => std::thread::sleep(RETRY / 5),
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
    socket.set_read_timeout(Some(RETRY))?;
    socket.send(QUERY)?;
    let mut answer = vec![0; 1500];
    let size = socket.recv(&mut answer)?;
    answer.truncate(size);
    Ok(answer)
}

fn judge(answer: &[u8]) -> Result<(), String> {
    let [first, second, flags, more, ..] = answer else {
        return Err("gives no answer that can be read".to_owned());
    };
    if QUERY.get(..2) != Some([*first, *second].as_slice()) || flags & IS_ANSWER == 0 {
        return Err("gives no answer that can be read".to_owned());
    }
    match (more & ERROR_BITS, more & IS_AUTHENTIC) {
        (0, 0) => Err("does not check DNSSEC".to_owned()),
        (0, _) => Ok(()),
        (code, _) => Err(format!("answers with error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_resolver_on_loopback_is_believed() {
        for (text, expected) in [
            ("", "names no resolver"),
            ("search example.org\n# nameserver 127.0.0.1\n", "names no resolver"),
            ("nameserver 192.0.2.53\n", "192.0.2.53 is not one on this container's loopback"),
            ("nameserver 127.0.0.11\noptions ndots:0\n", "127.0.0.11 is not one"),
        ] {
            let why = validates(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        let both = name_servers("nameserver 127.0.0.1\nnameserver ::1\nnameserver x\n");
        assert_eq!(both, ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    }

    #[test]
    fn it_must_say_that_the_root_is_authentic() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        for (flags, expected) in [
            ([0x81, 0xa0], Ok(())),
            ([0x81, 0x80], Err("does not check DNSSEC")),
            ([0x81, 0xa2], Err("answers with error 2")),
            ([0x01, 0x20], Err("gives no answer that can be read")),
        ] {
            let asked = std::thread::spawn(move || ask(address, PATIENCE));
            let mut query = [0; 512];
            let (size, client) = server.recv_from(&mut query).unwrap();
            let mut answer = query[..size].to_vec();
            answer[2..4].copy_from_slice(&flags);
            server.send_to(&answer, client).unwrap();
            assert_eq!(asked.join().unwrap(), expected.map_err(str::to_owned));
        }
    }

    #[test]
    fn silence_is_no_yes() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let why = ask(server.local_addr().unwrap(), Duration::ZERO).unwrap_err();
        assert!(why.starts_with("does not answer"), "{why}");
    }
}
