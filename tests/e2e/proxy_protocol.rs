//! Behind a load balancer a client is who it is, and nobody else can say that he is somebody.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::namespace::Namespace;
use relay_tests::process::Process;
use relay_tests::relay::Relay;
use relay_tests::requirements::program;
use relay_tests::sink::Sink;
use relay_tests::smtp::{Client, Mechanism, connect};
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";
/// The balancer's side towards the relay, and the relay's towards the balancer.
const BALANCER: &str = "10.0.9.5";
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);
/// Where clients find the balancer: on ports of this hundred for version 1, and of the next for version 2.
const FRONT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
const VERSIONS: [(u16, &str); 2] = [(1_000, "send-proxy"), (2_000, "send-proxy-v2")];
/// Somebody who never logged in.
const GUESSER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8));
const PORTS: [(u16, u16); 3] = [(25, 10_025), (587, 10_587), (465, 10_465)];
const BOB: &[&str] = &["bob@example.net"];

/// HAProxy in a network of its own, into which any client can be bound.
struct Balancer {
    namespace: Namespace,
    _haproxy: Process,
}

impl Balancer {
    fn start(lab: &Lab) -> Result<Self> {
        let namespace = Namespace::new()?;
        lab.namespace.cable("10.0.9.9/24", &namespace, "10.0.9.5/24")?;
        namespace
            .ip("address add 192.0.2.99/32 dev lo\nroute add local 203.0.113.0/24 dev lo\n\
             route add local 198.51.100.0/24 dev lo\n")?;
        let mut config =
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
                .to_owned();
        for (base, option) in VERSIONS {
            for (port, behind) in PORTS {
                let front = base + port;
                config += &format!(
                    "listen p{front}\n bind 192.0.2.99:{front}\n server relay {BEHIND}:{behind} {option}\n"
                );
            }
        }
        let file = lab.evidence.directory()?.join("haproxy.cfg");
        std::fs::write(&file, config)?;
        let mut command = namespace.command(&program("/usr/sbin/haproxy")?.to_string_lossy());
        command.args(["-db", "-f"]).arg(&file);
        let haproxy = Process::spawn(&mut command, &lab.evidence.log("haproxy.log")?)?;
        let listens = || namespace.listens(2_465).ok()?.then_some(());
        wait::until("HAProxy to listen", wait::A_WHILE, listens)?;
        Ok(Self { namespace, _haproxy: haproxy })
    }

    fn connect(&self, from: IpAddr, port: u16) -> Result<Client> {
        let mut client = Client::connect(&self.namespace, from, SocketAddr::new(FRONT, port))?;
        if port % 1_000 == 465 {
            client.handshake()?;
        }
        client.reply()?.expect(220)?;
        client.ehlo()?;
        if port % 1_000 == 587 {
            client.starttls()?;
        }
        Ok(client)
    }

    /// What the relay answers to bytes that come from the balancer's own address.
    fn raw(&self, port: u16, bytes: &[u8]) -> Result<String> {
        said(&self.namespace, BALANCER.parse()?, SocketAddr::new(BEHIND.into(), port), bytes)
    }
}

/// Sends bytes, and returns all that is said until the other side hangs up.
fn said(namespace: &Namespace, from: IpAddr, to: SocketAddr, bytes: &[u8]) -> Result<String> {
    let mut stream: TcpStream = namespace.enter(|| connect(from, to).context("connecting"))?;
    stream.set_read_timeout(Some(wait::A_WHILE))?;
    // Whoever is refused may find the connection closed already.
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(String::from_utf8(answer)?)
}

fn with_a_balancer(test: impl FnOnce(&Relay<'_>, &Balancer, &Sink) -> Result<()>) -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let balancer = Balancer::start(lab)?;
        let relay = lab
            .relay()
            .env("RELAYHOST", SINK_RELAYHOST)
            .env("ALLOWED_NETWORKS", &format!("127.0.0.0/8 {HOME_NETWORK}"))
            .env("PROXY_PROTOCOL_FROM", BALANCER)
            .env("LOGIN_FAILURES_ADDRESS", "3/hour")
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        test(&relay, &balancer, &sink)
    })
}

#[test]
fn clients_are_judged_and_logged_by_their_own_address() -> Result<()> {
    with_a_balancer(|relay, balancer, sink| {
        let mut number = 0;
        for (base, _) in VERSIONS {
            let mut client = balancer.connect(HOME, base + 25)?;
            client
                .send("alice@example.org", BOB, &message("from an allowed network"))?
                .expect(250)?;
            let mut client = balancer.connect(STRANGER, base + 25)?;
            client.send("alice@example.org", BOB, &message("no"))?.expect(554)?;
            for port in [587, 465] {
                let mut client = balancer.connect(STRANGER, base + port)?;
                client.login(Mechanism::Plain, "alice", PASSWORD)?.expect(235)?;
                client.send("alice@example.org", BOB, &message("by login"))?.expect(250)?;
            }
            number += 3;
            sink.wait_for(number)?;
        }
        let log = relay.postfix()?.output();
        ensure!(log.contains("connect from unknown[203.0.113.5]"), "{log}");
        ensure!(
            log.contains("connect from unknown[198.51.100.7]")
                && !log.contains("unknown[10.0.9.5]")
        );
        let decided = relay.sidecar()?.output_with("reason=not_allowed client=198.51.100.7")?;
        ensure!(!decided.contains("client=10.0.9.5"), "{decided}");

        // Guesses are held against the client, and not against the balancer.
        for guess in ["password", "12345678", "qwertyuiop"] {
            let mut client = balancer.connect(GUESSER, 2_587)?;
            client.login(Mechanism::Plain, "bob", guess)?.expect(535)?;
        }
        let mut blocked = balancer.connect(GUESSER, 2_587)?;
        blocked.login(Mechanism::Plain, "bob", "wrong wrong wrong")?.expect(454)?;
        let mut other = balancer.connect(HOME, 2_587)?;
        other.login(Mechanism::Plain, "alice", PASSWORD)?.expect(235)?;
        Ok(())
    })
}

#[test]
fn nobody_but_a_balancer_gets_a_byte() -> Result<()> {
    with_a_balancer(|relay, balancer, _| {
        let header = b"PROXY TCP4 203.0.113.5 192.0.2.1 40000 25\r\nEHLO x\r\n";
        let relay_address = "192.0.2.1".parse()?;
        for (_, port) in PORTS {
            for from in [STRANGER, HOME] {
                let to = SocketAddr::new(relay_address, port);
                let answer = said(relay.namespace(), from, to, header)?;
                ensure!(answer.is_empty(), "{from} on {port} was told {answer:?}");
            }
        }
        ensure!(relay.postfix()?.output().contains("is not in PROXY_PROTOCOL_FROM; closed"));
        // The balancer itself, with what is no client.
        for (bytes, expected) in [
            (&b"PROXY UNKNOWN\r\n"[..], "421 4.3.2 no client address in the PROXY header\r\n"),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "421 4.3.2 no client address in the PROXY header\r\n"),
            (b"PROXY TCP4 127.0.0.1 192.0.2.1 40000 25\r\nEHLO x\r\n", ""),
            (b"PROXY TCP6 ::1 2001:db8::1 40000 25\r\nEHLO x\r\n", ""),
            (b"EHLO relay.example.org\r\n", ""),
            (b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\nPROXY TCP4 203.0.113.5 192.0.2.1 1 25\r\nQUIT\r\n", "SMTP protocol synchronization"),
        ] {
            let answer = balancer.raw(10_025, bytes)?;
            let fits = if expected.is_empty() { answer.is_empty() } else { answer.contains(expected) };
            ensure!(fits, "{:?}: {answer:?}", String::from_utf8_lossy(bytes));
        }
        // The usual ports know nothing of it.
        let answer = said(relay.namespace(), STRANGER, SocketAddr::new(relay_address, 25), header)?;
        ensure!(answer.starts_with("554 5.5.0 "), "{answer:?}");
        Ok(())
    })
}

#[test]
fn without_the_setting_there_is_no_such_port_and_the_health_check_wants_them_with_it() -> Result<()>
{
    in_a_lab(|lab| {
        let relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
        for (_, port) in PORTS {
            ensure!(!relay.namespace().listens(port)?, "port {port} is open");
        }
        Ok(())
    })?;
    with_a_balancer(|relay, _, _| {
        for (_, port) in PORTS {
            ensure!(relay.namespace().listens(port)?, "port {port} is closed");
        }
        relay.postfix()?.exec(&["/usr/bin/relay-init", "healthcheck"])?;
        Ok(())
    })
}
