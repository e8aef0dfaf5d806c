//! A backup made while the relay works is a whole relay somewhere else; a bad one changes nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::sidecar::{GROUP, USER};

const PASSWORD: &str = "correct horse battery";
const LIMIT: &str = "messages=1000/day";

/// Runs `relay backup` or `relay restore`; what it said, and whether it did it.
fn run(relay: &Relay<'_>, arguments: &[&str], input: &[u8]) -> Result<(bool, Vec<u8>, String)> {
    let output = relay.place().run(arguments, input)?;
    let said = String::from_utf8(output.stderr)?;
    Ok((output.status.success(), output.stdout, said))
}

fn backup(relay: &Relay<'_>) -> Result<Vec<u8>> {
    let (done, archive, said) = run(relay, &["backup", "-"], b"")?;
    ensure!(done && said.contains("private keys: guard it"), "{said}");
    Ok(archive)
}

/// How much of alice's limit is used, as `relay user show` has it.
fn sent(relay: &Relay<'_>) -> Result<u64> {
    let shown = relay.manage_user(&["show", "alice"], "")?;
    let used = shown.split_once("1000/day: ").and_then(|(_, rest)| rest.split_once(" used"));
    let (number, _) = used.with_context(|| shown.clone())?;
    Ok(number.parse()?)
}

#[test]
fn a_backup_of_a_working_relay_is_the_same_relay_elsewhere() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut old = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
        old.manage_user(
            &[
                "add",
                "alice",
                "--password-stdin",
                "--sender",
                "alice@example.org",
                "--limit",
                LIMIT,
            ],
            PASSWORD,
        )?;
        let keys = old.manage_dkim(&["add", "example.org"])?;
        ensure!(!keys.is_empty(), "no key was made");
        let keys = old.manage_dkim(&["list"])?;
        // Logins, messages and counting go on while it is copied again and again.
        let archive = std::thread::scope(|scope| -> Result<Vec<u8>> {
            let relay = &old;
            let mail = scope.spawn(move || -> Result<()> {
                for number in 0..10 {
                    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
                    let text = message(&format!("number-{number}"));
                    client.send("alice@example.org", &["bob@example.net"], &text)?.expect(250)?;
                }
                Ok(())
            });
            while !mail.is_finished() {
                backup(relay)?;
            }
            mail.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            relay_tests::wait::until("what was counted", relay_tests::wait::A_WHILE, || {
                (sent(relay).ok()? == 10).then_some(())
            })?;
            backup(relay)
        })?;
        old.kill()?;

        let mut new = lab.relay().env("RELAYHOST", SINK_RELAYHOST).build()?;
        let fresh = lab.evidence.directory()?.join("fresh");
        fs::create_dir(&fresh)?;
        chown(&fresh, Some(USER), Some(GROUP))?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o700))?;
        new.set_sidecar_env("DATA_DIR", fresh.to_str().context("not UTF-8")?);
        let (done, _, said) = run(&new, &["restore", "-"], &archive)?;
        ensure!(done && said.starts_with("1 user, 2 DKIM keys, 1 counter restored"), "{said}");
        new.start()?;
        assert_eq!(new.manage_dkim(&["list"])?, keys);
        assert_eq!(sent(&new)?, 10);
        let mut client = new.login(STRANGER, 587, "alice", PASSWORD)?;
        client.send("bob@example.net", &["bob@example.net"], &message("no"))?.expect(553)?;
        let mut client = new.login(STRANGER, 587, "alice", PASSWORD)?;
        client.send("alice@example.org", &["bob@example.net"], &message("yes"))?.expect(250)?;
        drop(sink);
        Ok(())
    })
}

#[test]
fn a_cut_or_changed_backup_and_a_running_relay_change_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", PASSWORD)?;
        let archive = backup(&relay)?;
        let mut changed = archive.clone();
        *changed.get_mut(5000).context("a short backup")? ^= 1;
        let cut = archive.get(..9000).context("a short backup")?;
        relay.add_user("bob", PASSWORD)?;

        let refused = |relay: &Relay<'_>, arguments: &[&str], input: &[u8], why: &str| {
            let before = fs::read(relay.users().join("users.mdb"))?;
            let (done, _, said) = run(relay, arguments, input)?;
            ensure!(!done && said.contains(why), "{arguments:?}: {said}");
            ensure!(fs::read(relay.users().join("users.mdb"))? == before, "{arguments:?}");
            ensure!(!relay.users().join("restoring").exists(), "the unpacked backup was left");
            Ok(())
        };
        refused(&relay, &["restore", "--force", "-"], &archive, "the database is in use")?;
        relay.sidecar.take().context("no sidecar")?.kill();
        refused(&relay, &["restore", "-"], &archive, "the database has 2 users")?;
        refused(&relay, &["restore", "--force", "-"], &changed, "was changed")?;
        refused(&relay, &["restore", "--force", "-"], cut, "is cut off")?;
        refused(&relay, &["restore", "--force", "-"], b"hello", "no backup of relay")?;
        refused(&relay, &["restore", "--force", "/no/such/file"], b"", "/no/such/file")?;

        let (done, _, said) = run(&relay, &["restore", "--force", "-"], &archive)?;
        ensure!(done && said.contains("; the old database is users.mdb.before-"), "{said}");
        relay.start_sidecar()?;
        assert!(relay.manage_user(&["show", "alice"], "")?.contains("alice"));
        assert!(!relay.user(&["show", "bob"], "")?.status.success());
        Ok(())
    })
}

#[test]
fn a_file_is_secret_and_is_not_overwritten_and_a_terminal_gets_none() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", PASSWORD)?;
        let file = relay.users().join("saved.backup");
        let name = file.to_str().context("not UTF-8")?;
        let (done, _, said) = run(&relay, &["backup", name], b"")?;
        ensure!(done, "{said}");
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
        let first = fs::read(&file)?;
        relay.add_user("bob", PASSWORD)?;
        let (done, _, said) = run(&relay, &["backup", name], b"")?;
        ensure!(!done && said.contains("--force") && fs::read(&file)? == first, "{said}");
        let (done, _, said) = run(&relay, &["backup", "--force", name], b"")?;
        ensure!(done && fs::read(&file)? != first, "{said}");
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
        let session = relay.place().run_on_terminal(&["backup", "-"], &[])?;
        assert!(format!("{session:?}").contains("not for a terminal"), "{session:?}");
        Ok(())
    })
}

#[test]
fn the_database_of_the_first_release_is_saved_and_restored() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        let fixture = "../sidecar/tests/first_release/users.mdb";
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
        let database = relay.users().join("users.mdb");
        fs::copy(fixture, &database)?;
        chown(&database, Some(USER), Some(GROUP))?;
        let listed = relay.manage_user(&["list"], "")?;
        let archive = backup(&relay)?;
        fs::remove_file(&database)?;
        fs::remove_file(relay.users().join("users.mdb-lock"))?;
        let (done, _, said) = run(&relay, &["restore", "-"], &archive)?;
        ensure!(done && said.starts_with("5 users, 0 DKIM keys"), "{said}");
        assert_eq!(relay.manage_user(&["list"], "")?, listed);
        relay.start_sidecar()?;
        Ok(())
    })
}
