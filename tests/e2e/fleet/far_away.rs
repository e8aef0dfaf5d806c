//! Many users, and a slow line to the engine.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::Site;
use relay_tests::fleet::slow_line;
use relay_tests::lab::in_a_lab;
use relay_tests::measure::memory_kib;
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";
/// Enough to be on their way at one time; `RELAY_TEST_FLEET_USERS` is another number.
const USERS: u64 = 20_000;

fn how_many() -> Result<u64> {
    match std::env::var("RELAY_TEST_FLEET_USERS") {
        Ok(number) => number.parse().context("RELAY_TEST_FLEET_USERS is not a number"),
        Err(_) => Ok(USERS),
    }
}

#[test]
fn a_new_relay_has_all_users_in_seconds_and_no_more_memory_for_it() -> Result<()> {
    in_a_lab(|lab| {
        let users = how_many()?;
        let mut fleet = Fleet::of(lab, 1)?;
        let first = fleet.relay("first")?;
        first.add_user("alice", PASSWORD)?;
        let exported = String::from_utf8(first.place().run(&["user", "export"], "")?.stdout)?;
        let hash = exported.split('"').find(|part| part.starts_with("$argon2id$"));
        let hash = hash.context("no hash in the export")?;
        let mut lines = String::new();
        for number in 0..users {
            writeln!(lines, "user-{number:07}@example.org:{hash}::::::")?;
        }
        let started = Instant::now();
        first.manage_user(&["import", "-"], &lines)?;
        println!("{users} users imported into the fleet in {:?}", started.elapsed());

        let mut second = fleet.settings("second", Site::East)?.build()?;
        let started = Instant::now();
        second.start_sidecar()?;
        let before = memory_kib(second.sidecar()?.id())?;
        wait::until("all users on the new relay", Duration::from_secs(60), || {
            (second.figure("relay_users").ok()? == users + 1).then_some(())
        })?;
        let took = started.elapsed();
        let after = memory_kib(second.sidecar()?.id())?;
        println!("{users} users joined in {took:?}; {before} and {after} KiB");
        ensure!(took < Duration::from_secs(10), "{users} users took {took:?}");
        // What is on its way is bounded, and nothing of a user stays in memory.
        ensure!(after < 20 * 1024, "{after} KiB");
        ensure!(second.is_accepted("user-0000007@example.org").is_ok(), "it does not answer");
        Ok(())
    })
}

#[test]
fn a_slow_line_that_loses_packets_delays_and_loses_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let near = fleet.relay("near")?;
        let line =
            slow_line::SlowLine::to_the_first_server(&mut fleet, Duration::from_millis(100), 1)?;
        let mut far = fleet.settings_in("far", &line.far)?.build()?;
        far.start_sidecar()?;
        for number in 0..10 {
            near.add_user(&format!("near{number}"), PASSWORD)?;
        }
        let started = Instant::now();
        far.add_user("far", PASSWORD)?;
        let took = started.elapsed();
        ensure!(took > Duration::from_millis(200), "the line is not slow: {took:?}");
        far.wait_for_user("near9", Some("enabled"))?;
        near.wait_for_user("far", Some("enabled"))?;
        far.manage_user(&["add", "alice", "--password-stdin", "--limit", "10/hour"], PASSWORD)?;
        near.wait_for_user("alice", Some("enabled"))?;
        ensure!(near.logs_in("alice", PASSWORD)? && far.logs_in("alice", PASSWORD)?, "no login");
        for _ in 0..5 {
            ensure!(near.is_accepted("alice")? && far.is_accepted("alice")?, "refused too early");
        }
        for relay in [&near, &far] {
            wait::until("all ten to be counted", wait::A_WHILE, || {
                relay
                    .manage_user(&["show", "alice"], "")
                    .ok()
                    .filter(|shown| shown.contains("10 used"))
            })?;
            ensure!(!relay.is_accepted("alice")?, "an eleventh is accepted");
        }
        Ok(())
    })
}
