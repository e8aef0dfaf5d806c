//! The line between two sites is cut: both go on, and nothing is lost or counted twice.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::Site;
use relay_tests::lab::in_a_lab;
use relay_tests::relay::Relay;
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";

/// How long two sites may take to agree, on a machine that does other things.
const HEALED: Duration = Duration::from_secs(60);

/// For how long it is cut; `RELAY_TEST_FLEET_CUT` is another time in seconds.
fn cut_for() -> Result<Duration> {
    match std::env::var("RELAY_TEST_FLEET_CUT") {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse().context("RELAY_TEST_FLEET_CUT")?)),
        Err(_) => Ok(Duration::from_secs(5)),
    }
}

fn send(relay: &Relay<'_>, messages: usize) -> Result<()> {
    for _ in 0..messages {
        ensure!(relay.is_accepted("alice")?, "mail does not go on");
    }
    Ok(())
}

#[test]
fn two_sites_go_on_apart_and_agree_when_they_are_together_again() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::at(lab, &[Site::East, Site::East, Site::West])?;
        let east = fleet.relay_at("east", Site::East)?;
        let west = fleet.relay_at("west", Site::West)?;
        east.manage_user(&["add", "alice", "--password-stdin", "--limit", "1000/hour"], PASSWORD)?;
        for name in ["bob", "carol"] {
            east.add_user(name, PASSWORD)?;
        }
        west.wait_for_user("carol", Some("enabled"))?;
        for relay in [&east, &west] {
            ensure!(relay.logs_in("alice", PASSWORD)?, "no login");
        }
        send(&east, 2)?;
        send(&west, 3)?;

        fleet.network.cut()?;
        let during = (|| -> Result<()> {
            send(&east, 10)?;
            send(&west, 20)?;
            // Most of the servers are in the east.
            wait::until("a change in the east", wait::A_WHILE * 3, || {
                east.manage_user(&["remove", "bob"], "").ok()
            })?;
            east.manage_user(&["disable", "carol"], "")?;
            let refused = west.user(&["add", "dave", "--password-stdin"], PASSWORD)?;
            ensure!(refused.status.code() == Some(12), "{refused:?}");
            std::thread::sleep(cut_for()?);
            send(&east, 1)?;
            send(&west, 1)
        })();
        fleet.network.heal()?;
        during?;

        // The servers notice that the line is back, and elect.
        fleet.servers.wait_for_agreement()?;
        for relay in [&east, &west] {
            relay.wait_for_engine(true)?;
            wait::until("what the east changed, and all that was sent", HEALED, || {
                let alice = relay.manage_user(&["show", "alice"], "").ok()?;
                let [bob, carol] = ["bob", "carol"].map(|name| relay.user_state(name).ok());
                let agrees = bob?.is_none() && carol?.as_deref() == Some("disabled");
                (agrees && alice.contains("37 used")).then_some(())
            })?;
            relay.wait_for_user("alice", Some("enabled"))?;
        }
        Ok(())
    })
}
