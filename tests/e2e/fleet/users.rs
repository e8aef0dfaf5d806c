//! Users and keys: changed on one relay, known to all.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::SOON;
use relay_tests::lab::in_a_lab;
use relay_tests::relay::Relay;
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";

fn wait_for_login(relay: &Relay<'_>, name: &str, expected: bool) -> Result<()> {
    wait::until(&format!("a login of {name} to be {expected}"), wait::A_WHILE, || {
        (relay.logs_in(name, PASSWORD).ok()? == expected).then_some(())
    })
}

#[test]
fn a_user_added_on_one_relay_logs_in_on_all_until_it_is_disabled_or_removed() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 3)?;
        let relays = fleet.relays(3)?;
        relays[0].add_user("alice", PASSWORD)?;
        for relay in &relays {
            let started = Instant::now();
            relay.wait_for_user("alice", Some("enabled"))?;
            ensure!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
            wait_for_login(relay, "alice", true)?;
        }
        relays[1].manage_user(&["disable", "alice"], "")?;
        for relay in &relays {
            wait_for_login(relay, "alice", false)?;
        }
        relays[2].manage_user(&["enable", "alice"], "")?;
        for relay in &relays {
            wait_for_login(relay, "alice", true)?;
        }
        relays[0].manage_user(&["remove", "alice"], "")?;
        for relay in &relays {
            relay.wait_for_user("alice", None)?;
        }
        // A name may be given to somebody else, anywhere.
        relays[1].add_user("alice", PASSWORD)?;
        for relay in &relays {
            wait_for_login(relay, "alice", true)?;
        }
        Ok(())
    })
}

/// Changes of one user, so that 1 in 100 of what three other relays see is a few.
const CHANGES: usize = 100;

#[test]
fn a_change_is_on_every_other_relay_within_a_second() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 3)?;
        let relays = fleet.relays(4)?;
        let (first, others) = relays.split_first().context("no relay")?;
        first.add_user("alice", PASSWORD)?;
        let mut took = Vec::new();
        for number in 0..CHANGES {
            let (command, state) =
                if number % 2 == 0 { ("disable", "disabled") } else { ("enable", "enabled") };
            first.manage_user(&[command, "alice"], "")?;
            let changed = Instant::now();
            for relay in others {
                while relay.user_state("alice")?.as_deref() != Some(state) {
                    ensure!(changed.elapsed() < wait::A_WHILE, "change {number} never came");
                }
                took.push(changed.elapsed());
            }
        }
        took.sort_unstable();
        let [median, p99] = [took.len() / 2, took.len() * 99 / 100].map(|place| took[place]);
        println!("seen by the others after {median:?}, p99 {p99:?}, with the time of asking");
        ensure!(p99 < SOON, "p99 is {p99:?}, the median {median:?}");
        Ok(())
    })
}

#[test]
fn keys_made_on_one_relay_are_on_all() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(2)?;
        relays[0].manage_dkim(&["add", "example.org"])?;
        let listed = relays[0].manage_dkim(&["list"])?;
        let same = |relay: &Relay<'_>, expected: &str| {
            wait::until("the same keys", wait::A_WHILE, || {
                (relay.manage_dkim(&["list"]).ok()? == expected).then_some(())
            })
        };
        same(&relays[1], &listed)?;
        let again = relays[1].dkim(&["add", "example.org"])?;
        ensure!(again.status.code() == Some(3), "{again:?}");
        for selector in listed.lines().filter_map(|line| line.split_whitespace().nth(1)) {
            if selector.starts_with("rsa-") || selector.starts_with("ed-") {
                relays[1].manage_dkim(&["remove", "example.org", selector])?;
            }
        }
        let left = relays[1].manage_dkim(&["list"])?;
        ensure!(left != listed, "{left}");
        same(&relays[0], &left)
    })
}

#[test]
fn of_two_operators_at_once_one_is_told_to_look_again() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(2)?;
        relays[0].add_user("alice", PASSWORD)?;
        relays[1].wait_for_user("alice", Some("enabled"))?;
        let mut told = 0;
        for round in 0..10 {
            let note = |relay: &Relay<'_>, text: String| {
                relay.user(&["set", "alice", "--note", &text], "")
            };
            let outputs = std::thread::scope(|scope| {
                let [one, two] = [0, 1].map(|number| {
                    let relay = &relays[number];
                    scope.spawn(move || note(relay, format!("note {round} of {number}")))
                });
                [one, two].map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            });
            let mut done = 0;
            for output in outputs {
                let output = output?;
                match output.status.code() {
                    Some(0) => done += 1,
                    Some(13) => {
                        let said = String::from_utf8_lossy(&output.stderr);
                        ensure!(said.contains("changed meanwhile"), "{said}");
                        told += 1;
                    }
                    _ => anyhow::bail!("{output:?}"),
                }
            }
            ensure!(done >= 1, "both were refused");
        }
        // They were not always at the very same moment, and nothing is lost either way.
        ensure!(told <= 10, "{told}");
        wait::until("both relays to say the same", wait::A_WHILE, || {
            let shown = |relay: &Relay<'_>| relay.manage_user(&["show", "alice"], "").ok();
            (shown(relays.first()?)? == shown(relays.get(1)?)?).then_some(())
        })?;
        Ok(())
    })
}

#[test]
fn all_of_the_engine_stopped_refuses_changes_and_loses_none() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 3)?;
        let relays = fleet.relays(2)?;
        relays[0].add_user("alice", PASSWORD)?;
        wait_for_login(&relays[1], "alice", true)?;
        fleet.servers.kill_all();
        for relay in &relays {
            relay.wait_for_engine(false)?;
            let refused = relay.user(&["add", "bob", "--password-stdin"], PASSWORD)?;
            ensure!(refused.status.code() == Some(12), "{refused:?}");
            ensure!(relay.logs_in("alice", PASSWORD)?, "logins do not go on");
            ensure!(relay.is_accepted("alice")?, "mail does not go on");
            relay.manage_user(&["list"], "")?;
        }
        fleet.servers.start_all()?;
        fleet.servers.wait_for_agreement()?;
        for relay in &relays {
            relay.wait_for_engine(true)?;
        }
        wait::until("changes to be possible again", wait::A_WHILE * 2, || {
            relays[1].add_user("bob", PASSWORD).ok()
        })?;
        wait_for_login(&relays[0], "bob", true)?;
        wait_for_login(&relays[0], "alice", true)?;
        Ok(())
    })
}

#[test]
fn a_server_and_the_leader_may_die_and_changes_go_on() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 3)?;
        let relays = fleet.relays(2)?;
        relays[0].add_user("alice", PASSWORD)?;
        let leader = fleet.servers.leader_of("KV_users")?;
        for (round, victim) in [leader, (leader + 1) % 3].into_iter().enumerate() {
            fleet.servers.kill(victim);
            let name = format!("user{round}");
            wait::until("a change to be confirmed", wait::A_WHILE * 3, || {
                let output = relays[round % 2].user(&["add", &name, "--password-stdin"], PASSWORD);
                // The first try may have been made without a confirmation.
                output.ok().and_then(|output| matches!(output.status.code()?, 0 | 3).then_some(()))
            })?;
            for relay in &relays {
                wait_for_login(relay, &name, true)?;
                wait_for_login(relay, "alice", true)?;
            }
            fleet.servers.start_one(victim)?;
            fleet.servers.wait_for_agreement()?;
        }
        Ok(())
    })
}

#[test]
fn a_relay_that_was_away_catches_up_and_a_removed_user_stays_removed() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = fleet.relays(2)?;
        for name in ["alice", "bob", "carol"] {
            relays[0].add_user(name, PASSWORD)?;
            relays[1].wait_for_user(name, Some("enabled"))?;
        }
        relays[1].kill()?;
        relays[0].manage_user(&["remove", "alice"], "")?;
        relays[0].manage_user(&["disable", "bob"], "")?;
        relays[0].add_user("dave", PASSWORD)?;
        relays[1].start_sidecar()?;
        relays[1].wait_for_user("alice", None)?;
        relays[1].wait_for_user("bob", Some("disabled"))?;
        relays[1].wait_for_user("carol", Some("enabled"))?;
        relays[1].wait_for_user("dave", Some("enabled"))?;
        // The history of a removal is gone, as after somebody purged the engine's marks.
        relays[1].kill()?;
        relays[0].manage_user(&["remove", "carol"], "")?;
        purge_marks(&fleet, lab.evidence.directory()?)?;
        relays[1].start_sidecar()?;
        relays[1].wait_for_user("carol", None)?;
        relays[1].wait_for_user("dave", Some("enabled"))
    })
}

/// Removes the marks of removed users from the engine, as `nats kv compact` does.
fn purge_marks(fleet: &Fleet<'_>, folder: &Path) -> Result<()> {
    fleet.servers.with_client(folder, |client| async move {
        let stream = async_nats::jetstream::new(client).get_stream("KV_users").await?;
        // base64 of carol.
        stream.purge().filter("$KV.users.Y2Fyb2w").await?;
        Ok(())
    })
}
