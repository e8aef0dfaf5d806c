//! How a relay shows itself to the engine, and how many copies of everything the engine keeps.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use relay_tests::authority::Authority;
use relay_tests::fleet::Fleet;
use relay_tests::fleet::jwt::Logins;
use relay_tests::fleet::network::Site;
use relay_tests::lab::in_a_lab;
use relay_tests::wait;

const PASSWORD: &str = "correct horse battery";

/// Starts the one server again with another configuration.
fn reconfigure(fleet: &mut Fleet<'_>, change: impl Fn(&str) -> String) -> Result<()> {
    fleet.servers.kill_all();
    let file = fleet.servers.configuration(0)?;
    let text = std::fs::read_to_string(&file)?;
    let changed = change(&text);
    ensure!(changed != text, "nothing to change in {text}");
    std::fs::write(&file, changed)?;
    fleet.servers.start_all()?;
    fleet.servers.wait_for_agreement()
}

#[test]
fn a_server_that_wants_a_certificate_takes_a_relay_that_has_one() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let folder = lab.evidence.directory()?.to_owned();
        let clients = Authority::new()?;
        let [authority, certificate, key] =
            ["clients-ca.pem", "client.pem", "client.key"].map(|name| folder.join(name));
        clients.write_certificate(&authority)?;
        clients.write_pair("relay", &certificate, &key)?;
        for file in [&certificate, &key] {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))?;
        }
        reconfigure(&mut fleet, |text| {
            let wanted = format!("tls {{ verify: true, ca_file: \"{}\",", authority.display());
            text.replace("tls {", &wanted)
        })?;
        let without = fleet.settings("without", Site::East)?.build()?;
        let (code, said) = without.fleet(&["status"])?;
        ensure!(code == 12 && said.contains("ertificate"), "{code} {said}");
        let mut with = fleet
            .settings("with", Site::East)?
            .sidecar_env("FLEET_CERT", &certificate.display().to_string())
            .sidecar_env("FLEET_KEY", &key.display().to_string())
            .build()?;
        with.start_sidecar()?;
        with.add_user("alice", PASSWORD)?;
        with.wait_for_user("alice", Some("enabled"))
    })
}

#[test]
fn a_relay_logs_in_with_a_creds_file() -> Result<()> {
    in_a_lab(|lab| {
        let mut fleet = Fleet::of(lab, 1)?;
        let folder = lab.evidence.directory()?.to_owned();
        let [ours, strangers] = [Logins::new()?, Logins::new()?];
        reconfigure(&mut fleet, |text| {
            let kept = text.lines().filter(|line| !line.starts_with("authorization"));
            let kept: String = kept.map(|line| format!("{line}\n")).collect();
            format!("{kept}{}", ours.configuration)
        })?;
        let mut with = |name: &str, logins: &Logins| -> Result<_> {
            let file = folder.join(format!("{name}.creds"));
            std::fs::write(&file, &logins.credentials)?;
            let settings = fleet.settings(name, Site::East)?;
            settings.sidecar_env("FLEET_CREDENTIALS_FILE", &file.display().to_string()).build()
        };
        let (mut relay, stranger) = (with("relay", &ours)?, with("stranger", &strangers)?);
        relay.start_sidecar()?;
        relay.add_user("alice", PASSWORD)?;
        relay.wait_for_user("alice", Some("enabled"))?;
        let (code, said) = stranger.fleet(&["status"])?;
        ensure!(code == 12 && said.contains("uthorization"), "{code} {said}");
        Ok(())
    })
}

const BUCKETS: [&str; 5] = ["KV_users", "KV_dkim", "KV_usage", "KV_blocked", "KV_nodes"];

/// How many copies the engine keeps of each bucket.
fn copies(fleet: &Fleet<'_>, folder: &std::path::Path) -> Result<Vec<usize>> {
    fleet.servers.with_client(folder, |client| async move {
        let jetstream = async_nats::jetstream::new(client);
        let mut found = Vec::new();
        for bucket in BUCKETS {
            found.push(jetstream.get_stream(bucket).await?.cached_info().config.num_replicas);
        }
        Ok(found)
    })
}

#[test]
fn every_bucket_has_as_many_copies_as_the_cluster_has_servers_also_when_it_grows() -> Result<()> {
    in_a_lab(|lab| {
        let folder = lab.evidence.directory()?.to_owned();
        let mut fleet = Fleet::of(lab, 3)?;
        let mut relay = fleet.relay("relay")?;
        let three_of_all = |fleet: &Fleet<'_>| {
            wait::until("three copies of all", wait::A_WHILE * 2, || {
                let found = copies(fleet, &folder).ok()?;
                (found == [3; BUCKETS.len()]).then_some(())
            })
        };
        three_of_all(&fleet)?;
        // As they are when the first relay finds one server.
        let one_of_all = fleet.servers.with_client(&folder, |client| async move {
            let jetstream = async_nats::jetstream::new(client);
            let mut found = Vec::new();
            for bucket in BUCKETS {
                let mut config = jetstream.get_stream(bucket).await?.cached_info().config.clone();
                config.num_replicas = 1;
                found.push(jetstream.update_stream(config).await?.config.num_replicas);
            }
            Ok(found)
        })?;
        ensure!(one_of_all == [1; BUCKETS.len()], "{one_of_all:?}");
        relay.kill()?;
        relay.start_sidecar()?;
        three_of_all(&fleet)
    })
}

#[test]
fn a_server_that_is_alone_keeps_one_copy_and_has_it_after_a_restart() -> Result<()> {
    in_a_lab(|lab| {
        let folder = lab.evidence.directory()?.to_owned();
        let mut fleet = Fleet::of(lab, 1)?;
        let relays = fleet.relays(2)?;
        let first = relays.first().context("no relay")?;
        first.add_user("alice", PASSWORD)?;
        let found = wait::until("all buckets", wait::A_WHILE, || copies(&fleet, &folder).ok())?;
        ensure!(found == [1; BUCKETS.len()], "{found:?}");
        fleet.servers.kill_all();
        fleet.servers.start_all()?;
        fleet.servers.wait_for_agreement()?;
        let new = fleet.relay("new")?;
        new.wait_for_user("alice", Some("enabled"))
    })
}
