//! As many users as a provider has. `RELAY_TEST_USERS=1000000` is what README's figures are of.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::in_a_lab;
use relay_tests::measure::memory_kib;
use relay_tests::relay::Relay;
use relay_tests::sasl::{Connection, plain};
use relay_tests::wait::{A_WHILE, until};

const PASSWORD: &str = "correct horse battery staple";
/// Enough that work done per user at start would show, few enough for every run of the tests.
const USERS: usize = 100_000;
/// Starting takes as long with no user at all, in a build that is not optimised.
const READY: Duration = Duration::from_secs(2);
/// Anonymous memory of the sidecar, in KiB: argon2id's arena for one thread, and everything else. With
/// something of each user in memory it would be more.
const MEMORY_KIB: u64 = 19 * 1024 + 12 * 1024;

fn how_many() -> Result<usize> {
    match std::env::var("RELAY_TEST_USERS") {
        Ok(number) => number.parse().context("RELAY_TEST_USERS is not a number"),
        Err(_) => Ok(USERS),
    }
}

fn run(relay: &Relay<'_>, arguments: &[&str], input: &str) -> Result<String> {
    let output = relay.place().run(arguments, input)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The hash that the sidecar itself makes of the password.
fn hash_of_alice(relay: &Relay<'_>) -> Result<String> {
    relay.add_user("alice", PASSWORD)?;
    let export = run(relay, &["user", "export"], "")?;
    let hash = export.split('"').find(|part| part.starts_with("$argon2id$"));
    let hash = hash.context("no hash in the export")?;
    Ok(hash.to_owned())
}

fn log_in(connection: &mut Connection, name: &str) -> Result<()> {
    connection.send(plain(1, name, PASSWORD))?;
    let line = connection.line()?;
    ensure!(line == format!("OK\t1\tuser={name}"), "{name} is told {line}");
    Ok(())
}

#[test]
fn start_and_memory_do_not_depend_on_the_number_of_users() -> Result<()> {
    in_a_lab(|lab| {
        let count = how_many()?;
        let mut relay = lab.relay().sidecar_env("HASHING_THREADS", "1").build()?;
        let hash = hash_of_alice(&relay)?;
        let mut lines = String::new();
        for number in 0..count {
            writeln!(lines, "user-{number:07}@example.org:{hash}::::::")?;
        }

        let started = Instant::now();
        let said = run(&relay, &["user", "import", "-"], &lines)?;
        eprintln!("import of {count}: {:?}", started.elapsed());
        assert_eq!(said, format!("{count} users imported\n"));
        drop(lines);

        let started = Instant::now();
        relay.start_sidecar()?;
        let ready = started.elapsed();
        eprintln!("ready after {ready:?}");
        assert!(ready < READY, "ready after {ready:?}");

        let started = Instant::now();
        let list = run(&relay, &["user", "list"], "")?;
        eprintln!("list: {:?}", started.elapsed());
        // A header, and alice.
        assert_eq!(list.lines().count(), count + 2);
        assert!(list.starts_with("NAME"), "{}", list.lines().next().unwrap_or_default());
        let json = run(&relay, &["user", "list", "--json"], "")?;
        assert_eq!(json.matches("\"name\"").count(), count + 1);

        let mut connection = Connection::ready(&relay.socket("sasl.sock"))?;
        for number in [0, count / 2, count - 1] {
            log_in(&mut connection, &format!("user-{number:07}@example.org"))?;
        }
        // The scan in the background has gone through all of them when it says how many there are.
        let counted = format!("relay_users {}\n", count + 1);
        until("all users to be counted", 4 * A_WHILE, || {
            relay.sidecar().ok()?.get("/metrics").ok()?.contains(&counted).then_some(())
        })?;
        let memory = memory_kib(relay.sidecar()?.id())?;
        eprintln!("memory: {memory} KiB");
        assert!(memory < MEMORY_KIB, "{memory} KiB");
        Ok(())
    })
}

#[test]
fn an_import_shows_its_first_ten_problems_and_changes_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().build()?;
        let hash = hash_of_alice(&relay)?;
        let mut lines = format!("bob:{hash}\n");
        for number in 0..100_000 {
            writeln!(lines, "user-{number}:{{NONSENSE}}x")?;
        }
        let output = relay.place().run(&["user", "import", "-"], &lines)?;
        let complaint = String::from_utf8(output.stderr)?;
        assert!(!output.status.success(), "{complaint}");
        for line in 2..=11 {
            assert!(complaint.contains(&format!("line {line}: ")), "{line}: {complaint}");
        }
        assert!(!complaint.contains("line 12: "), "{complaint}");
        assert!(complaint.contains("99990 more"), "{complaint}");
        assert_eq!(run(&relay, &["user", "list"], "")?.lines().count(), 2, "more than alice");
        Ok(())
    })
}
