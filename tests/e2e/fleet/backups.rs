//! A backup of a relay in a fleet, restored in the fleet and outside.

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::Site;
use relay_tests::lab::in_a_lab;
use relay_tests::relay::Relay;

const PASSWORD: &str = "correct horse battery";

fn run(relay: &Relay<'_>, arguments: &[&str]) -> Result<()> {
    let output = relay.place().run(arguments, "")?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn an_old_backup_catches_up_in_the_fleet_and_brings_nobody_back() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = fleet.relays(2)?;
        for name in ["alice", "bob"] {
            relays[0].add_user(name, PASSWORD)?;
            relays[1].wait_for_user(name, Some("enabled"))?;
        }
        let file = relays[1].users().join("relay.backup").display().to_string();
        run(&relays[1], &["backup", &file])?;
        relays[0].manage_user(&["remove", "alice"], "")?;
        relays[0].manage_user(&["disable", "bob"], "")?;
        relays[0].add_user("carol", PASSWORD)?;
        relays[1].wait_for_user("carol", Some("enabled"))?;
        relays[1].kill()?;
        run(&relays[1], &["restore", "--force", &file])?;
        relays[1].start_sidecar()?;
        relays[1].wait_for_user("alice", None)?;
        relays[1].wait_for_user("bob", Some("disabled"))?;
        relays[1].wait_for_user("carol", Some("enabled"))?;
        let shown = relays[0].user_state("alice")?;
        ensure!(shown.is_none(), "the restored relay brought alice back: {shown:?}");
        // Somebody wants what the backup had, in the whole fleet.
        let aside = fleet.settings("aside", Site::East)?.build()?;
        run(&aside, &["restore", &file])?;
        run(&aside, &["fleet", "leave"])?;
        let (code, said) = aside.fleet(&["push"])?;
        ensure!(
            code == 3 && said.contains("user bob") && said.contains("--replace"),
            "{code} {said}"
        );
        relays[0].wait_for_user("alice", Some("enabled"))?;
        run(&aside, &["fleet", "push", "--replace"])?;
        relays[0].wait_for_user("bob", Some("enabled"))?;
        relays[0].wait_for_user("carol", Some("enabled"))
    })
}

#[test]
fn a_backup_of_a_replica_is_a_relay_of_its_own_after_leaving() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let member = fleet.relay("member")?;
        member.add_user("alice", PASSWORD)?;
        member.manage_dkim(&["add", "example.org"])?;
        let keys = member.manage_dkim(&["list"])?;
        let mut alone = lab.relay().build()?;
        let file = alone.users().join("relay.backup").display().to_string();
        let saved = member.place().run(&["backup", "-"], "")?;
        ensure!(saved.status.success(), "{saved:?}");
        std::fs::write(&file, saved.stdout).context("writing the backup")?;
        run(&alone, &["restore", &file])?;
        run(&alone, &["fleet", "leave"])?;
        alone.start_sidecar()?;
        alone.manage_user(&["set", "alice", "--note", "of its own"], "")?;
        ensure!(alone.logs_in("alice", PASSWORD)?, "no login");
        ensure!(alone.manage_dkim(&["list"])? == keys, "other keys");
        Ok(())
    })
}
