//! Limits, suspensions and blocked addresses: what one relay counts, all know; and nobody waits for the engine.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::Site;
use relay_tests::lab::in_a_lab;
use relay_tests::measure::Times;
use relay_tests::relay::Relay;
use relay_tests::wait;
use rustix::process::Signal;

const PASSWORD: &str = "correct horse battery";

/// What alice has used of her limit in the whole fleet, as a relay knows it.
fn used(relay: &Relay<'_>) -> Result<u64> {
    let shown = relay.manage_user(&["show", "alice", "--json"], "")?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    shown.pointer("/usage/0/used").and_then(|used| used.as_u64()).context("no usage")
}

fn wait_for_use(relay: &Relay<'_>, expected: u64) -> Result<()> {
    wait::until(&format!("{expected} to be used"), wait::A_WHILE, || {
        (used(relay).ok()? == expected).then_some(())
    })
}

fn add_alice(relays: &[Relay<'_>], limit: &str) -> Result<()> {
    let first = relays.first().context("no relay")?;
    first.manage_user(&["add", "alice", "--password-stdin", "--limit", limit], PASSWORD)?;
    log_in(relays)
}

/// Waits until alice is enabled, and logs in as her: whoever did not may not send.
fn log_in(relays: &[Relay<'_>]) -> Result<()> {
    for relay in relays {
        relay.wait_for_user("alice", Some("enabled"))?;
        ensure!(relay.logs_in("alice", PASSWORD)?, "no login");
    }
    Ok(())
}

#[test]
fn a_limit_is_about_what_all_relays_sent_together() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = fleet.relays(3)?;
        add_alice(&relays, "10/hour")?;
        for (relay, messages) in relays.iter().zip([4, 3, 2]) {
            for _ in 0..messages {
                ensure!(relay.is_accepted("alice")?, "refused too early");
            }
        }
        relays.iter().try_for_each(|relay| wait_for_use(relay, 9))?;
        let shown = relays[1].manage_user(&["show", "alice"], "")?;
        ensure!(shown.contains("9 used, 1 left (here 3, relay"), "{shown}");
        ensure!(shown.contains("relay0 4") && shown.contains("relay2 2"), "{shown}");
        ensure!(relays[2].is_accepted("alice")?, "the tenth is refused");
        relays.iter().try_for_each(|relay| wait_for_use(relay, 10))?;
        for relay in &relays {
            ensure!(!relay.is_accepted("alice")?, "an eleventh is accepted");
        }
        // Neither a relay nor the engine, which has this in memory only, forgets when it is started again.
        relays[0].kill()?;
        relays[0].start_sidecar()?;
        wait_for_use(&relays[0], 10)?;
        fleet.servers.kill_all();
        fleet.servers.start_all()?;
        let new = fleet.relay("new")?;
        wait_for_use(&new, 10)?;
        ensure!(new.logs_in("alice", PASSWORD)?, "no login");
        ensure!(!new.is_accepted("alice")?, "a new relay lets more through");
        // Somebody who is given the name later starts at nothing.
        relays[1].manage_user(&["remove", "alice"], "")?;
        relays.iter().try_for_each(|relay| relay.wait_for_user("alice", None))?;
        add_alice(&relays, "10/hour")?;
        ensure!(relays[2].is_accepted("alice")?, "a new user has inherited counts");
        Ok(())
    })
}

#[test]
fn counts_that_the_engine_lost_are_told_again_though_no_connection_was_lost() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(2)?;
        add_alice(&relays, "10/hour")?;
        ensure!(relays[0].is_accepted("alice")?, "refused too early");
        wait_for_use(&relays[1], 1)?;
        // As when the one server of a cluster that had the bucket is gone.
        fleet.servers.with_client(lab.evidence.directory()?, |client| async move {
            async_nats::jetstream::new(client).delete_stream("KV_usage").await?;
            Ok(())
        })?;
        let new = fleet.relay("new")?;
        new.wait_for_user("alice", Some("enabled"))?;
        wait_for_use(&new, 1)
    })
}

/// Messages a second that each relay is sent.
const RATE: u32 = 100;
const RELAYS: usize = 5;
const LIMIT: usize = 1_000;

#[test]
fn five_relays_under_load_pass_at_most_what_four_permit_in_a_second_and_a_half_above_the_limit()
-> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 3)?;
        let relays = fleet.relays(RELAYS)?;
        add_alice(&relays, &format!("messages={LIMIT}/hour"))?;
        let start = Instant::now();
        let until = start + Duration::from_secs(8);
        let accepted = std::thread::scope(|scope| {
            let threads: Vec<_> =
                relays.iter().map(|relay| scope.spawn(move || load(relay, until))).collect();
            let counts = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            counts.sum::<Result<usize>>()
        })?;
        println!("{accepted} accepted of {LIMIT}, {RELAYS} relays, {RATE} messages a second each");
        let above = (RELAYS - 1) * RATE as usize * 3 / 2;
        ensure!(accepted >= LIMIT, "only {accepted} were accepted");
        ensure!(
            accepted <= LIMIT + above,
            "{accepted} were accepted, more than {LIMIT} and {above}"
        );
        Ok(())
    })
}

/// Sends at a steady rate, and says how many were accepted.
fn load(relay: &Relay<'_>, until: Instant) -> Result<usize> {
    let (mut accepted, mut next) = (0, Instant::now());
    while Instant::now() < until {
        accepted += usize::from(relay.is_accepted("alice")?);
        next += Duration::from_secs(1) / RATE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(accepted)
}

#[test]
fn who_is_suspended_on_one_relay_is_suspended_on_all_even_if_the_engine_is_away_meanwhile()
-> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = Vec::new();
        for name in ["relay0", "relay1"] {
            let mut relay =
                fleet.settings(name, Site::East)?.sidecar_env("SUSPEND_AFTER", "3/day").build()?;
            relay.start_sidecar()?;
            relays.push(relay);
        }
        add_alice(&relays, "1000/day")?;
        // Two here and two there are four.
        for relay in &relays {
            ensure!(
                relay.is_accepted("alice")? && relay.is_accepted("alice").is_ok(),
                "refused too early"
            );
            std::thread::sleep(Duration::from_millis(1_500));
        }
        relays.iter().try_for_each(|relay| relay.wait_for_user("alice", Some("suspended")))?;
        relays[0].manage_user(&["enable", "alice"], "")?;
        log_in(&relays)?;

        fleet.servers.kill_all();
        relays.iter().try_for_each(|relay| relay.wait_for_engine(false))?;
        for _ in 0..4 {
            relays[1].is_accepted("alice")?;
        }
        ensure!(relays[1].user_state("alice")?.as_deref() == Some("suspended"), "not at once");
        ensure!(relays[0].user_state("alice")?.as_deref() == Some("enabled"), "how does it know?");
        // Also after a restart the fleet is still to be told.
        relays[1].kill()?;
        relays[1].start_sidecar()?;
        fleet.servers.start_all()?;
        relays.iter().try_for_each(|relay| relay.wait_for_user("alice", Some("suspended")))?;
        wait::until("a change to be possible", wait::A_WHILE * 2, || {
            relays[0].manage_user(&["enable", "alice"], "").ok()
        })?;
        relays.iter().try_for_each(|relay| relay.wait_for_user("alice", Some("enabled")))?;
        std::thread::sleep(Duration::from_secs(1));
        relays.iter().try_for_each(|relay| relay.wait_for_user("alice", Some("enabled")))
    })
}

#[test]
fn an_address_that_guesses_on_one_relay_is_blocked_on_all() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = Vec::new();
        for name in ["relay0", "relay1"] {
            let settings = fleet.settings(name, Site::East)?;
            let mut relay = settings.sidecar_env("LOGIN_FAILURES_ADDRESS", "3/hour").build()?;
            relay.start_sidecar()?;
            relays.push(relay);
        }
        // Nobody has logged in from there, or it would be a known address, which has a turn now and then.
        relays[0].add_user("alice", PASSWORD)?;
        relays[1].wait_for_user("alice", Some("enabled"))?;
        for number in 0..3 {
            ensure!(!relays[0].logs_in("alice", &format!("guess {number}"))?, "a guess was right");
        }
        // The right password, which is not looked at.
        wait::until("the address to be blocked on the other relay", wait::A_WHILE, || {
            (!relays[1].logs_in("alice", PASSWORD).ok()?).then_some(())
        })?;
        relays[1].sidecar()?.output_with("limited_address")?;
        Ok(())
    })
}

const QUESTION: &str = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n\
    client_address=198.51.100.7\nclient_name=unknown\nhelo_name=home\nsender=alice@example.org\n\
    recipient=bob@example.com\nrecipient_count=0\nqueue_id=\ninstance=1a.2b.3c.0\nsize=4096\n\
    sasl_method=PLAIN\nsasl_username=alice\nencryption_protocol=TLSv1.3\n\n";

/// Asks the policy server so often.
fn ask(relay: &Relay<'_>, times: usize, into: &mut Times) -> Result<()> {
    let mut stream = UnixStream::connect(relay.socket("policy.sock"))?;
    stream.set_read_timeout(Some(wait::A_WHILE))?;
    for _ in 0..times {
        into.time(|| {
            stream.write_all(QUESTION.as_bytes())?;
            let mut answer = Vec::new();
            let mut buffer = [0; 512];
            while !answer.ends_with(b"\n\n") {
                let size = stream.read(&mut buffer)?;
                ensure!(size > 0, "the policy server hung up");
                answer.extend(buffer.iter().take(size));
            }
            ensure!(answer == b"action=DUNNO\n\n", "{}", String::from_utf8_lossy(&answer));
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_decision_takes_as_long_with_the_engine_frozen_as_with_it_running() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(1)?;
        add_alice(&relays, "1000000/day")?;
        let relay = &relays[0];
        let [mut running, mut frozen] = [Times::default(), Times::default()];
        for _ in 0..4 {
            ask(relay, 500, &mut running)?;
            fleet.servers.signal_all(Signal::STOP)?;
            let asked = ask(relay, 500, &mut frozen).and_then(|()| {
                ensure!(relay.is_accepted("alice")?, "mail waits");
                Ok(())
            });
            fleet.servers.signal_all(Signal::CONT)?;
            asked?;
        }
        let [with, without] = [&running, &frozen].map(|times| times.percentile(99));
        // A round trip to the engine would be at least that much, and a wait for it seconds.
        ensure!(
            without < with * 3 + Duration::from_millis(2),
            "{} and {}",
            running.summary(),
            frozen.summary()
        );
        ensure!(frozen.percentile(100) < Duration::from_secs(1), "{}", frozen.summary());
        Ok(())
    })
}
