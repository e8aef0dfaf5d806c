//! Joining and leaving: nobody loses a user, and a relay without a fleet is as ever.

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::Site;
use relay_tests::lab::in_a_lab;
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";

#[test]
fn a_relay_with_users_is_told_both_ways_out_before_it_joins() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut first = fleet.settings("first", Site::East)?.build()?;
        let url = fleet.servers.urls();
        // As it was before there was a fleet.
        first.set_sidecar_env("FLEET_URL", "");
        for variable in ["FLEET_NODE", "FLEET_CA", "FLEET_CREDENTIALS_FILE"] {
            first.set_sidecar_env(variable, "");
        }
        first.add_user("alice", PASSWORD)?;
        first.manage_dkim(&["add", "example.org"])?;

        let mut first = fleet.settings("first", Site::East)?.build()?;
        first.spawn_sidecar()?;
        let refusal = first.wait_for_refusal(1)?;
        for expected in
            ["user alice", "DKIM key example.org/", "relay fleet push", "relay fleet discard"]
        {
            ensure!(refusal.contains(expected), "{expected}: {refusal}");
        }
        let (code, said) = first.fleet(&["push"])?;
        ensure!(code == 0 && said.contains("3 users and keys copied"), "{code} {said}");
        first.start_sidecar()?;

        // Another one with a user of the same name and another password.
        let mut second = fleet.settings("second", Site::East)?.build()?;
        second.set_sidecar_env("FLEET_URL", "");
        for variable in ["FLEET_NODE", "FLEET_CA", "FLEET_CREDENTIALS_FILE"] {
            second.set_sidecar_env(variable, "");
        }
        second.add_user("alice", "another horse battery")?;
        second.add_user("bob", PASSWORD)?;
        let mut second = fleet.settings("second", Site::East)?.build()?;
        second.spawn_sidecar()?;
        let refusal = second.wait_for_refusal(1)?;
        ensure!(refusal.contains("user alice, user bob"), "{refusal}");
        let (code, said) = second.fleet(&["push"])?;
        ensure!(code == 3 && said.contains("1 users and keys copied"), "{code} {said}");
        ensure!(said.contains("left alone: user alice"), "{said}");
        let (code, said) = second.fleet(&["discard"])?;
        ensure!(code == 7 && said.contains("2 users") && said.contains("--yes"), "{code} {said}");
        let (code, said) = second.fleet(&["discard", "--yes"])?;
        ensure!(code == 0, "{said}");
        second.start_sidecar()?;
        for relay in [&first, &second] {
            relay.wait_for_user("alice", Some("enabled"))?;
            relay.wait_for_user("bob", Some("enabled"))?;
        }
        ensure!(second.manage_dkim(&["list"])? == first.manage_dkim(&["list"])?, "keys differ");
        ensure!(url.starts_with("tls://"), "{url}");
        Ok(())
    })
}

#[test]
fn a_relay_that_leaves_keeps_what_the_fleet_had() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let (staying, leaving) = (fleet.relay("staying")?, fleet.relay("leaving")?);
        staying.add_user("alice", PASSWORD)?;
        leaving.wait_for_user("alice", Some("enabled"))?;
        let (code, said) = leaving.fleet(&["leave"])?;
        ensure!(
            code == 0 && said.contains("1 users") && said.contains("FLEET_URL"),
            "{code} {said}"
        );
        // Until it is started without FLEET_URL it is in no fleet, and says so.
        let refused = leaving.user(&["disable", "alice"], "")?;
        let said = String::from_utf8(refused.stderr)?;
        ensure!(refused.status.code() == Some(1) && said.contains("not in its fleet"), "{said}");
        staying.add_user("bob", PASSWORD)?;
        staying.wait_for_user("bob", Some("enabled"))?;
        let mut leaving = leaving;
        leaving.kill()?;
        for variable in ["FLEET_URL", "FLEET_NODE", "FLEET_CA", "FLEET_CREDENTIALS_FILE"] {
            leaving.set_sidecar_env(variable, "");
        }
        leaving.start_sidecar()?;
        leaving.manage_user(&["disable", "alice"], "")?;
        leaving.add_user("carol", PASSWORD)?;
        ensure!(leaving.user_state("bob")?.is_none(), "it still follows");
        ensure!(staying.user_state("alice")?.as_deref() == Some("enabled"), "it still writes");
        Ok(())
    })
}

#[test]
fn a_replica_without_its_fleet_goes_on_and_changes_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut relay = fleet.relay("relay")?;
        relay.add_user("alice", PASSWORD)?;
        relay.kill()?;
        for variable in ["FLEET_URL", "FLEET_NODE", "FLEET_CA", "FLEET_CREDENTIALS_FILE"] {
            relay.set_sidecar_env(variable, "");
        }
        relay.start_sidecar()?;
        relay.sidecar()?.output_with("FLEET_URL is not set: mail goes on")?;
        ensure!(
            relay.logs_in("alice", PASSWORD)? && relay.is_accepted("alice")?,
            "mail does not go on"
        );
        let refused = relay.user(&["disable", "alice"], "")?;
        let said = String::from_utf8(refused.stderr)?;
        ensure!(refused.status.code() == Some(1) && said.contains("relay fleet leave"), "{said}");
        let (code, said) = relay.fleet(&["status"])?;
        ensure!(code == 64 && said.contains("FLEET_URL is not set"), "{code} {said}");
        Ok(())
    })
}

#[test]
fn a_relay_that_never_joined_says_that_the_engine_is_away_and_one_that_did_starts_without_it()
-> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let mut joined = fleet.relay("joined")?;
        joined.add_user("alice", PASSWORD)?;
        joined.kill()?;
        fleet.servers.kill_all();
        let mut new = fleet.settings("new", Site::East)?.build()?;
        new.spawn_sidecar()?;
        let refusal = new.wait_for_refusal(1)?;
        ensure!(
            refusal.contains("has not joined its fleet yet, and the engine does not answer"),
            "{refusal}"
        );
        joined.start_sidecar()?;
        ensure!(
            joined.logs_in("alice", PASSWORD)? && joined.is_accepted("alice")?,
            "mail does not go on"
        );
        let refused = joined.user(&["disable", "alice"], "")?;
        let said = String::from_utf8(refused.stderr)?;
        ensure!(refused.status.code() == Some(12), "{said}");
        ensure!(
            said.contains("engine does not answer") && said.contains("nothing was changed"),
            "{said}"
        );
        let (code, said) = joined.fleet(&["status"])?;
        ensure!(code == 12 && said.contains("counts alone"), "{code} {said}");
        Ok(())
    })
}

#[test]
fn nobody_without_the_login_or_with_another_authority_gets_anything() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let relay = fleet.relay("relay")?;
        relay.add_user("alice", PASSWORD)?;
        let folder = lab.evidence.directory()?;
        let stranger = folder.join("stranger.nk");
        let seed = relay_tests::fleet::servers::new_seed()?;
        std::fs::write(&stranger, seed)?;
        let other = relay_tests::authority::Authority::new()?;
        let other_ca = folder.join("other-ca.pem");
        other.write_certificate(&other_ca)?;
        let empty = String::new();
        for (variable, value, expected) in [
            ("FLEET_CREDENTIALS_FILE", &empty, "uthorization"),
            ("FLEET_CREDENTIALS_FILE", &stranger.display().to_string(), "uthorization"),
            ("FLEET_CA", &other_ca.display().to_string(), "certificate"),
        ] {
            let mut settings = fleet.settings("hostile", Site::East)?;
            settings = settings.sidecar_env(variable, value);
            let hostile = settings.build()?;
            let (code, said) = hostile.fleet(&["status"])?;
            ensure!(code == 12 && said.contains(expected), "{variable}={value}: {code} {said}");
            ensure!(!said.contains("alice"), "{said}");
        }
        Ok(())
    })
}

#[test]
fn two_relays_with_one_name_are_told() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let first = fleet.relay("first")?;
        let mut second =
            fleet.settings("second", Site::East)?.sidecar_env("FLEET_NODE", "first").build()?;
        second.start_sidecar()?;
        for relay in [&first, &second] {
            wait::until("a double to be found", wait::A_WHILE * 2, || {
                relay.sidecar().ok()?.output().contains("has this name").then_some(())
            })?;
        }
        let (code, said) = first.fleet(&["status"])?;
        ensure!(code == 9 && said.contains("FLEET_NODE of its own"), "{code} {said}");
        let nodes = first.fleet(&["status", "--json"])?.1;
        nodes.find('{').context("no JSON")?;
        Ok(())
    })
}
