//! The gateway guard on a bridge network of Docker's own, with both images as they are.
//!
//! Docker lets strangers arrive from the bridge's gateway address; so does this host, when it connects to a
//! container by itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use relay_tests::evidence::Evidence;
use relay_tests::message::message;
use relay_tests::namespace::Namespace;
use relay_tests::smtp::{Client, Reply};
use relay_tests::wait::{A_WHILE, until};

/// A network with a relay in it, and a neighbour that is the next hop too. All of it goes with the handle.
struct Bridge {
    name: String,
    subnet: String,
    gateway: IpAddr,
    relay: IpAddr,
    neighbour: IpAddr,
}

/// A network that a container may be attached to later. It is allowed from the start.
const LATE_SUBNET: &str = "10.231.7.0/24";
const LATE_GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 231, 7, 1));

fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output().context("running docker")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {arguments:?}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a test on a relay of which each part trusts the gateway or does not.
fn on_a_bridge(
    postfix_trusts: bool,
    sidecar_trusts: bool,
    test: impl FnOnce(&Bridge) -> Result<()>,
) -> Result<()> {
    let evidence = Evidence::new()?;
    let bridge = Bridge::create()?;
    let outcome = bridge.start(postfix_trusts, sidecar_trusts).and_then(|bridge| {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&bridge)));
        for part in ["postfix", "sidecar"] {
            std::fs::write(evidence.log(&format!("{part}.log"))?, bridge.log(part)?)?;
        }
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    outcome?;
    evidence.discard()
}

impl Bridge {
    fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("relay-gateway-{}-{number}", std::process::id());
        docker(&["network", "create", &name])?;
        let nowhere = IpAddr::from([0; 4]);
        let subnet = String::new();
        // From here on, what is there is removed whatever happens.
        let mut bridge =
            Self { name, subnet, gateway: nowhere, relay: nowhere, neighbour: nowhere };
        let format = "{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}}";
        let network = docker(&["network", "inspect", "-f", format, &bridge.name])?;
        let (subnet, gateway) = network.split_once(' ').context("a network without a gateway")?;
        bridge.subnet = subnet.to_owned();
        bridge.gateway = gateway.parse()?;
        Ok(bridge)
    }

    /// Starts the neighbour and both containers, with what compose.yaml gives them.
    fn start(mut self, postfix_trusts: bool, sidecar_trusts: bool) -> Result<Self> {
        self.run("neighbour", "", "relay-test-sink")?;
        self.neighbour = self.address("neighbour")?;
        let (name, subnet) = (&self.name, &self.subnet);
        let common = format!(
            "-e RELAY_MYHOSTNAME=relay.test -e ALLOWED_NETWORKS={subnet},{LATE_SUBNET} \
             -e RELAYHOST=[{}]:25 -v {name}-sockets:/run/relay --read-only --cap-drop=ALL",
            self.neighbour
        );
        let sidecar = format!(
            "{common} -e TRUST_GATEWAY={sidecar_trusts} -e LOG_LEVEL=debug -v {name}-users:/var/lib/relay"
        );
        let postfix = format!(
            "{common} -e TRUST_GATEWAY={postfix_trusts} -v {name}-queue:/var/spool/postfix \
             --tmpfs=/run/postfix:mode=0755 --tmpfs=/tmp --tmpfs=/var/lib/relay-tls:mode=0755 \
             --tmpfs=/var/lib/postfix:mode=0700,uid=10026,gid=10025 --cap-add=CHOWN \
             --cap-add=DAC_OVERRIDE --cap-add=KILL --cap-add=NET_BIND_SERVICE \
             --cap-add=SETGID --cap-add=SETUID"
        );
        self.run("sidecar", &sidecar, "relay-sidecar")?;
        self.run("postfix", &postfix, "relay-postfix")?;
        self.relay = self.address("postfix")?;
        let inside = self.namespace("postfix")?;
        until("Postfix to listen", A_WHILE, || inside.listens(25).ok()?.then_some(()))?;
        Ok(self)
    }

    fn container(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// Starts a container; the options have no spaces in them.
    fn run(&self, part: &str, options: &str, image: &str) -> Result<()> {
        let name = self.container(part);
        let run = ["run", "-d", "--name", &name, "--network", &self.name];
        let options: Vec<&str> = options.split_whitespace().collect();
        docker(&[&run, options.as_slice(), &[image]].concat()).map(drop)
    }

    fn late_network(&self) -> String {
        format!("{}-late", self.name)
    }

    /// Attaches both running containers to another network; the address of Postfix there.
    fn attach_late(&self) -> Result<IpAddr> {
        let (name, gateway) = (self.late_network(), LATE_GATEWAY.to_string());
        docker(&["network", "create", "--subnet", LATE_SUBNET, "--gateway", &gateway, &name])?;
        for part in ["postfix", "sidecar"] {
            docker(&["network", "connect", &name, &self.container(part)])?;
        }
        let format = format!("{{{{(index .NetworkSettings.Networks \"{name}\").IPAddress}}}}");
        let address = docker(&["inspect", "-f", &format, &self.container("postfix")])?;
        address.parse().with_context(|| format!("Postfix has the address {address:?}"))
    }

    fn address(&self, part: &str) -> Result<IpAddr> {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = docker(&["inspect", "-f", format, &self.container(part)])?;
        address.parse().with_context(|| format!("{part} has the address {address:?}"))
    }

    fn namespace(&self, part: &str) -> Result<Namespace> {
        let id = docker(&["inspect", "-f", "{{.State.Pid}}", &self.container(part)])?;
        Namespace::of_process(id.parse()?)
    }

    fn log(&self, part: &str) -> Result<String> {
        let output = Command::new("docker").args(["logs", &self.container(part)]).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Waits for a line: a thread of its own writes the sidecar's log, perhaps after the answer.
    fn sidecar_says(&self, text: &str) -> Result<()> {
        until(&format!("{text:?} in the sidecar's log"), A_WHILE, || {
            self.log("sidecar").ok()?.contains(text).then_some(())
        })
    }

    /// A message of this host, which arrives from the gateway address.
    fn send_from_host(&self) -> Result<Reply> {
        self.send(&Namespace::of_process(std::process::id())?, self.gateway)
    }

    /// A message of the container beside the relay.
    fn send_from_neighbour(&self) -> Result<Reply> {
        self.send(&self.namespace("neighbour")?, self.neighbour)
    }

    fn send(&self, namespace: &Namespace, from: IpAddr) -> Result<Reply> {
        send_to(namespace, from, self.relay)
    }

    /// Messages that the neighbour has received as next hop.
    fn arrived(&self) -> Result<usize> {
        let files = docker(&["exec", &self.container("neighbour"), "ls", "/mail"])?;
        Ok(files.lines().count())
    }
}

fn send_to(namespace: &Namespace, from: IpAddr, relay: IpAddr) -> Result<Reply> {
    let mut client = Client::connect(namespace, from, SocketAddr::new(relay, 25))?;
    client.reply()?.expect(220)?;
    client.ehlo()?;
    client.send("alice@example.org", &["bob@recipient.test"], &message("gateway"))
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // What was not started yet cannot be removed, and that is well.
        for part in ["postfix", "sidecar", "neighbour"] {
            drop(docker(&["rm", "-f", "-v", &self.container(part)]));
        }
        for volume in ["sockets", "users", "queue"] {
            drop(docker(&["volume", "rm", "-f", &self.container(volume)]));
        }
        for network in [&self.name, &self.late_network()] {
            drop(docker(&["network", "rm", network]));
        }
    }
}

fn assert_refused(reply: &Reply) {
    assert_eq!((reply.code, reply.enhanced()), (554, Some("5.7.1")), "{reply}");
}

#[test]
fn who_comes_from_the_gateway_is_refused_though_its_network_is_allowed() -> Result<()> {
    on_a_bridge(false, false, |bridge| {
        let reply = bridge.send_from_host()?;
        assert_refused(&reply);
        assert!(reply.to_string().contains("gateway"), "{reply}");
        bridge.send_from_neighbour()?.expect(250)?;
        until("the neighbour's message", A_WHILE, || (bridge.arrived().ok()? == 1).then_some(()))?;
        // The operator is told why: both parts name the network and the gateway.
        let gateway = bridge.gateway.to_string();
        for part in ["postfix", "sidecar"] {
            let warns = |line: &str| line.contains(&bridge.subnet) && line.contains(&gateway);
            until(&format!("a warning of {part}"), A_WHILE, || {
                bridge.log(part).ok()?.lines().any(warns).then_some(())
            })?;
        }
        Ok(())
    })
}

#[test]
fn the_gateway_of_a_network_that_is_attached_later_is_refused_too() -> Result<()> {
    on_a_bridge(false, false, |bridge| {
        let address = bridge.attach_late()?;
        let reload = "reloading Postfix with a new mynetworks";
        until("Postfix to notice the network", 3 * A_WHILE, || {
            bridge.log("postfix").ok()?.contains(reload).then_some(())
        })?;
        let host = Namespace::of_process(std::process::id())?;
        until("both parts to refuse its gateway", 3 * A_WHILE, || {
            let reply = send_to(&host, LATE_GATEWAY, address).ok()?;
            (reply.code == 554 && reply.to_string().contains("gateway")).then_some(())
        })?;
        bridge.send_from_neighbour()?.expect(250)?;
        Ok(())
    })
}

#[test]
fn a_gateway_that_is_trusted_is_let_in() -> Result<()> {
    on_a_bridge(true, true, |bridge| {
        bridge.send_from_host()?.expect(250)?;
        bridge.send_from_neighbour()?.expect(250)?;
        until("both messages", A_WHILE, || (bridge.arrived().ok()? == 2).then_some(()))
    })
}

#[test]
fn postfix_refuses_a_gateway_that_only_the_sidecar_trusts() -> Result<()> {
    on_a_bridge(false, true, |bridge| {
        let reply = bridge.send_from_host()?;
        assert_refused(&reply);
        let permitted = format!("action=permit reason=network client={}", bridge.gateway);
        bridge.sidecar_says(&permitted)?;
        bridge.send_from_neighbour()?.expect(250)?;
        Ok(())
    })
}

#[test]
fn the_sidecar_refuses_a_gateway_that_only_postfix_trusts() -> Result<()> {
    on_a_bridge(true, false, |bridge| {
        let reply = bridge.send_from_host()?;
        assert_refused(&reply);
        let refused = format!("action=refuse reason=gateway client={}", bridge.gateway);
        bridge.sidecar_says(&refused)?;
        bridge.send_from_neighbour()?.expect(250)?;
        Ok(())
    })
}
