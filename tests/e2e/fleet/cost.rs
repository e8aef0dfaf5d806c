//! What a fleet costs its engine: messages and bytes a second, for docs/fleet.md. `--no-capture` shows the figures;
//! `RELAY_TEST_FLEET_RELAYS=10` and `RELAY_TEST_FLEET_PUBLISHERS=200` are those there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use relay_tests::fleet::Fleet;
use relay_tests::lab::{Lab, in_a_lab};
use relay_tests::relay::Relay;
use tokio_stream::StreamExt as _;

const PASSWORD: &str = "correct horse battery";
const RELAYS: u32 = 3;
const PUBLISHERS: u32 = 20;
/// How long is counted.
const WHILE: Duration = Duration::from_secs(5);
/// Accounts on a page of a simulated relay: those that sent within a minute.
const ACCOUNTS: usize = 100;

fn number(variable: &str, otherwise: u32) -> Result<u32> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is not a number")),
        Err(_) => Ok(otherwise),
    }
}

/// What the first server has counted.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    received: f64,
    sent: f64,
    received_bytes: f64,
    sent_bytes: f64,
}

impl Traffic {
    fn of(fleet: &Fleet<'_>) -> Result<Self> {
        let page: serde_json::Value = serde_json::from_str(&fleet.servers.get(0, "/varz")?)?;
        let figure = |name: &str| {
            page.get(name).and_then(serde_json::Value::as_f64).with_context(|| name.to_owned())
        };
        Ok(Self {
            received: figure("in_msgs")?,
            sent: figure("out_msgs")?,
            received_bytes: figure("in_bytes")?,
            sent_bytes: figure("out_bytes")?,
        })
    }

    /// A second, since an earlier reading.
    fn since(self, before: Self, seconds: f64) -> Self {
        Self {
            received: (self.received - before.received) / seconds,
            sent: (self.sent - before.sent) / seconds,
            received_bytes: (self.received_bytes - before.received_bytes) / seconds,
            sent_bytes: (self.sent_bytes - before.sent_bytes) / seconds,
        }
    }
}

/// The engine's traffic a second while something goes on.
fn during(fleet: &Fleet<'_>, work: impl FnOnce() -> Result<()>) -> Result<Traffic> {
    let (before, started) = (Traffic::of(fleet)?, Instant::now());
    work()?;
    Ok(Traffic::of(fleet)?.since(before, started.elapsed().as_secs_f64()))
}

fn sleep() -> Result<()> {
    std::thread::sleep(WHILE);
    Ok(())
}

/// Ten messages a second on each relay.
fn send(relays: &[Relay<'_>]) -> Result<()> {
    let until = Instant::now() + WHILE;
    while Instant::now() < until {
        let next = Instant::now() + Duration::from_millis(100);
        for relay in relays {
            ensure!(relay.is_accepted("alice")?, "refused");
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

#[test]
fn relays_that_send_tell_one_page_a_second_and_idle_ones_next_to_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let number = number("RELAY_TEST_FLEET_RELAYS", RELAYS)?;
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(number as usize)?;
        relays.first().context("no relay")?.add_user("alice", PASSWORD)?;
        for relay in &relays {
            relay.wait_for_user("alice", Some("enabled"))?;
            ensure!(relay.logs_in("alice", PASSWORD)?, "no login");
        }
        let idle = during(&fleet, sleep)?;
        let busy = during(&fleet, || send(&relays))?;
        println!("{number} relays, idle: {idle:.0?}\n{number} relays that send: {busy:.0?}");
        let relays = f64::from(number);
        // A page a second and relay with its confirmation, and what says that relays and consumers are there.
        let told = busy.received - idle.received;
        ensure!(told < relays * 2.0, "{told} messages a second for {relays} relays");
        ensure!(busy.sent - idle.sent < relays * (relays + 4.0), "{busy:?}");
        ensure!(idle.received < relays * 3.0, "{idle:?}");
        Ok(())
    })
}

#[test]
fn simulated_relays_show_what_many_would_cost() -> Result<()> {
    in_a_lab(|lab| {
        let number = number("RELAY_TEST_FLEET_PUBLISHERS", PUBLISHERS)?;
        let mut fleet = Fleet::of(lab, 1)?;
        // It makes the buckets.
        let _relay = fleet.relay("relay")?;
        let (before, cpu, started) = (Traffic::of(&fleet)?, fleet.servers.cpu(0)?, Instant::now());
        simulate(lab, &fleet, number)?;
        let seconds = started.elapsed().as_secs_f64();
        let traffic = Traffic::of(&fleet)?.since(before, seconds);
        let cpu = (fleet.servers.cpu(0)? - cpu).as_secs_f64() / seconds;
        println!("{number} publishers of {ACCOUNTS} accounts: {traffic:.0?}, {cpu:.2} cores");
        ensure!(traffic.sent > f64::from(number), "nobody heard anything");
        Ok(())
    })
}

/// Each tells a page a second and hears those of all.
fn simulate(lab: &Lab, fleet: &Fleet<'_>, number: u32) -> Result<()> {
    let line = format!("[7,{:?}]", [495_000_u64; 19]);
    let lines: Vec<String> =
        (0..ACCOUNTS).map(|account| format!("\"user:user{account}@example.org\":{line}")).collect();
    let page = format!("{{{}}}", lines.join(","));
    let (folder, rounds) = (lab.evidence.directory()?.to_owned(), WHILE.as_secs());
    fleet.servers.with_clients(&folder, number, |position, client| {
        let page = page.clone();
        async move {
            let mut heard = client.subscribe("$KV.usage.>").await?;
            tokio::spawn(async move { while heard.next().await.is_some() {} });
            let jetstream = jetstream::new(client);
            // The key of a page, in the form of the relays'.
            let subject = format!("$KV.usage.simulated{position}");
            for _ in 0..rounds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                jetstream.publish(subject.clone(), page.clone().into()).await?.await?;
            }
            Ok(())
        }
    })
}
