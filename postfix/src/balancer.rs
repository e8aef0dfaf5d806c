//! PROXY_PROTOCOL_FROM: the ports for load balancers that say whom they bring along.
//!
//! Postfix believes a PROXY header whoever sends it. So these ports are not Postfix's: relay-init accepts here, closes
//! what does not come from one of those addresses before a byte is read or said, reads the header itself, and hands the
//! connection to an smtpd behind a socket in Postfix's private folder, with a header of its own. There is no other way to
//! that smtpd. Whoever the header names is judged as if it had come by itself.
//!
//! A connection costs two threads that copy, for as long as it lasts.

mod copy;
pub mod header;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use ipnet::IpNet;

use crate::log;
use crate::network::gateways;
use crate::queue::directory::QUEUE_DIRECTORY;
use crate::settings::Protocols;
use header::Header;

/// The ports, and the port of Postfix's that each stands for.
pub const PORTS: [(u16, u16); 3] = [(10025, 25), (10587, 587), (10465, 465)];
/// Connections at a time, on all three ports together. Postfix runs no more smtpd processes for each than this.
const MAX_CONNECTIONS: usize = 200;
/// For the header: a balancer sends it at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A thread that copies needs little.
const STACK: usize = 128 << 10;
/// Refusals are logged so often at most.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// The service in master.cf behind a port; master makes its socket.
pub fn service(port: u16) -> String {
    format!("proxy-{port}")
}

/// The port that a service in master.cf is for.
pub fn port_of_service(name: &str) -> Option<u16> {
    name.strip_prefix("proxy-")?.parse().ok()
}

/// Listens, and serves until the process ends.
///
/// # Errors
///
/// When a port is in use, or the system has no thread to give.
pub fn start(from: &[IpNet], protocols: Protocols, ports: &[u16]) -> anyhow::Result<()> {
    let count = Arc::new(AtomicUsize::new(0));
    for &port in ports {
        let listener = bind(port, protocols)
            .with_context(|| format!("cannot listen on port {port} for PROXY_PROTOCOL_FROM"))?;
        let door = Door { port, from: from.to_vec(), count: Arc::clone(&count) };
        spawn("balancer", move || door.serve(&listener)).context("cannot start a thread")?;
    }
    Ok(())
}

fn bind(port: u16, protocols: Protocols) -> io::Result<TcpListener> {
    let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    match protocols {
        Protocols::Ipv4 => TcpListener::bind(v4),
        // Takes IPv4 as well, where there is IPv6 at all.
        Protocols::All | Protocols::Ipv6 => {
            let v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
            TcpListener::bind(v6).or_else(|_| TcpListener::bind(v4))
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}

/// One of the ports.
struct Door {
    port: u16,
    from: Vec<IpNet>,
    count: Arc<AtomicUsize>,
}

/// A place among the connections, free again when this is gone.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Option<Self> {
        let free = |count| (count < MAX_CONNECTIONS).then_some(count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    fn serve(self, listener: &TcpListener) {
        let mut complaint = Complaint::default();
        loop {
            let (stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    complaint.say(&format!("port {}: cannot accept: {error}", self.port));
                    // As with too many open files, it is the same a moment later.
                    thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            let peer = peer.ip().to_canonical();
            if let Err(why) = self.admits(peer, gateways::untrusted_addresses) {
                complaint.say(&format!("port {}: {peer} {why}; closed", self.port));
                continue;
            }
            let Some(place) = Place::take(&self.count) else {
                complaint
                    .say(&format!("port {}: {MAX_CONNECTIONS} connections already", self.port));
                continue;
            };
            let port = self.port;
            let handed = spawn("balanced", move || {
                let _place = place;
                if let Err(error) = hand_over(stream, port) {
                    log::warning(format_args!("port {port}: a connection from {peer}: {error}"));
                }
            });
            if let Err(error) = handed {
                complaint.say(&format!("port {}: no thread: {error}", self.port));
            }
        }
    }

    /// Whether this is a balancer. A gateway never is, whatever the setting says: any stranger may seem to come from it.
    fn admits(
        &self,
        peer: IpAddr,
        untrusted: impl FnOnce() -> io::Result<BTreeSet<IpAddr>>,
    ) -> Result<(), &'static str> {
        if !self.from.iter().any(|network| network.contains(&peer)) {
            return Err("is not in PROXY_PROTOCOL_FROM");
        }
        let untrusted = untrusted().map_err(|_| "cannot be told from a gateway")?;
        // This container's own addresses are in there, too; loopback is not.
        match untrusted.contains(&peer) {
            true => Err("is the container's gateway, and anybody may be behind that"),
            false => Ok(()),
        }
    }
}

/// Reads the header, and copies between the balancer and an smtpd until both have ended.
fn hand_over(mut stream: TcpStream, port: u16) -> io::Result<()> {
    stream.set_read_timeout(Some(HEADER_TIMEOUT))?;
    let deadline = Instant::now() + HEADER_TIMEOUT;
    let (client, server) = match header::read(&mut stream, deadline)? {
        Header::Client { client, server } => (client, server),
        Header::None => {
            // A health check of the balancer's own, or a client without an address: there is nobody to judge.
            stream.write_all(b"421 4.3.2 no client address in the PROXY header\r\n")?;
            return Ok(());
        }
    };
    stream.set_read_timeout(None)?;
    stream.set_nodelay(true)?;
    let socket = PathBuf::from(QUEUE_DIRECTORY).join("private").join(service(port));
    let mut smtpd = UnixStream::connect(&socket)
        .map_err(|error| io::Error::other(format!("Postfix does not take it: {error}")))?;
    smtpd.write_all(header::line(client, server).as_bytes())?;
    let (from_client, to_smtpd) = (stream.try_clone()?, smtpd.try_clone()?);
    spawn("balanced", move || copy::all(from_client, to_smtpd))?;
    copy::all(smtpd.try_clone()?, stream.try_clone()?);
    // smtpd has ended: what the client still sends is read by nobody.
    stream.shutdown(Shutdown::Both).ok();
    smtpd.shutdown(Shutdown::Both).ok();
    Ok(())
}

/// A warning a second at most, with how many it stands for.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    fn say(&mut self, text: &str) {
        if self.last.is_some_and(|last| last.elapsed() < LOG_PAUSE) {
            self.unsaid += 1;
            return;
        }
        match self.unsaid {
            0 => log::warning(text),
            unsaid => log::warning(format_args!("{text} (and {unsaid} more like this)")),
        }
        (self.last, self.unsaid) = (Some(Instant::now()), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_balancers_are_admitted() {
        let from = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let door = Door { port: 10025, from, count: Arc::default() };
        for (peer, expected) in [
            ("10.1.2.3", true),
            ("fd00::1", true),
            ("11.0.0.1", false),
            ("127.0.0.1", false),
            ("2001:db8::1", false),
            // A gateway, in a network of the setting.
            ("10.0.0.1", false),
        ] {
            let untrusted = || Ok(BTreeSet::from([IpAddr::from([10, 0, 0, 1])]));
            let admitted = door.admits(peer.parse().unwrap(), untrusted);
            assert_eq!(admitted.is_ok(), expected, "{peer}");
        }
        let unknown = || Err(io::Error::other("no such file"));
        assert!(door.admits("10.1.2.3".parse().unwrap(), unknown).is_err());
    }

    #[test]
    fn there_are_so_many_places_and_each_is_free_again() {
        let count = Arc::default();
        let places: Vec<_> = (0..MAX_CONNECTIONS).map(|_| Place::take(&count).unwrap()).collect();
        assert!(Place::take(&count).is_none());
        drop(places);
        assert!(Place::take(&count).is_some());
    }

    #[test]
    fn a_service_and_its_port_name_each_other() {
        for (port, _) in PORTS {
            assert_eq!(port_of_service(&service(port)), Some(port));
        }
        assert_eq!(port_of_service("25"), None);
    }
}
