//! Records that are not as they should be: damaged, lost with the engine, or half-way written when somebody dies.

use std::time::Duration;

use anyhow::{Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::lab::in_a_lab;
use relay_tests::relay::Relay;
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";
/// base64 of alice.
const ALICE: &str = "$KV.users.YWxpY2U";

#[test]
fn a_damaged_record_is_not_applied_and_loud_and_can_be_written_again() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(2)?;
        relays[0].add_user("alice", PASSWORD)?;
        relays[1].wait_for_user("alice", Some("enabled"))?;
        fleet.servers.with_client(lab.evidence.directory()?, |client| async move {
            let jetstream = async_nats::jetstream::new(client);
            jetstream.publish(ALICE, "\x02no checksum at all".into()).await?.await?;
            Ok(())
        })?;
        for relay in &relays {
            relay.sidecar()?.output_with("came damaged from the fleet's engine")?;
            ensure!(relay.user_state("alice")?.as_deref() == Some("enabled"), "it was applied");
            ensure!(relay.logs_in("alice", PASSWORD)? && relay.is_accepted("alice")?, "mail stops");
            wait::until("the metric", wait::A_WHILE, || {
                (relay.figure("relay_fleet_unusable_records").ok()? == 1).then_some(())
            })?;
        }
        let (code, said) = relays[0].fleet(&["status"])?;
        ensure!(code == 9 && said.contains("damaged, not applied: alice"), "{code} {said}");
        relays[1].manage_user(&["disable", "alice"], "")?;
        relays[0].wait_for_user("alice", Some("disabled"))?;
        wait::until("all to be well", wait::A_WHILE, || {
            (relays[0].figure("relay_fleet_unusable_records").ok()? == 0).then_some(())
        })
    })
}

#[test]
fn an_engine_that_lost_everything_takes_nothing_away() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = fleet.relays(2)?;
        for name in ["alice", "bob"] {
            relays[0].add_user(name, PASSWORD)?;
            relays[1].wait_for_user(name, Some("enabled"))?;
        }
        fleet.servers.kill_all();
        std::fs::remove_dir_all(lab.evidence.directory()?.join("nats0"))?;
        fleet.servers.start_all()?;
        for relay in &relays {
            relay.sidecar()?.output_with("has lost what this relay has: user alice, user bob")?;
            ensure!(relay.logs_in("alice", PASSWORD)? && relay.is_accepted("alice")?, "mail stops");
        }
        // A restart changes nothing.
        relays[1].kill()?;
        relays[1].start_sidecar()?;
        let goes_on = relays[1].logs_in("alice", PASSWORD)? && relays[1].is_accepted("alice")?;
        ensure!(goes_on, "mail stops after a restart");
        let (code, said) = relays[0].fleet(&["status"])?;
        ensure!(
            code == 9 && said.contains("here and not in the engine: user alice"),
            "{code} {said}"
        );
        let (code, said) = relays[0].fleet(&["push"])?;
        ensure!(code == 0 && said.contains("2 users and keys copied"), "{code} {said}");
        wait::until("both to follow again", Duration::from_secs(60), || {
            relays[0].manage_user(&["disable", "bob"], "").ok()
        })?;
        relays[0].manage_user(&["add", "carol", "--password-stdin"], PASSWORD)?;
        wait::until("the other one to follow", Duration::from_secs(60), || {
            relays[1].user_state("carol").ok().flatten()
        })?;
        relays[1].wait_for_user("bob", Some("disabled"))
    })
}

/// All users of a relay with everything that is known of them, in order.
fn export(relay: &Relay<'_>) -> Result<Vec<u8>> {
    let output = relay.place().run(&["user", "export"], "")?;
    ensure!(output.status.success(), "{output:?}");
    Ok(output.stdout)
}

#[test]
fn a_relay_and_a_command_that_die_in_the_middle_of_a_change_leave_all_alike() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relays = fleet.relays(2)?;
        for round in 0..8_u64 {
            let name = format!("user{round}");
            let place = relays[0].place();
            let mut command = place.start(&["user", "add", &name, "--generate"])?;
            std::thread::sleep(Duration::from_millis(20 * round));
            command.kill()?;
            command.wait()?;
            if round % 2 == 0 {
                relays[0].kill()?;
                relays[0].start_sidecar()?;
            }
        }
        relays[1].add_user("last", PASSWORD)?;
        relays[0].wait_for_user("last", Some("enabled"))?;
        ensure!(export(&relays[0])? == export(&relays[1])?, "the relays differ");
        Ok(())
    })
}
