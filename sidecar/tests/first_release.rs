//! A database file that the first release wrote is read by this one, whole: LMDB's format, ours, and
//! what a record says.
//!
//! The file was made with the commands of that release: `relay user add` with every option, `disable`,
//! `password add`, and one login of alice's from 192.0.2.7. It is never changed here.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use relay_sidecar::access::Standing;
use relay_sidecar::clock::now;
use relay_sidecar::gateways::Gateways;
use relay_sidecar::ledger::Ledger;
use relay_sidecar::limits::guessing::{GuessLimit, GuessLimits};
use relay_sidecar::limits::limit::DefaultLimits;
use relay_sidecar::metrics::Registry;
use relay_sidecar::password::cache::VerifiedCache;
use relay_sidecar::password::pool::{HashingPool, PoolMetrics};
use relay_sidecar::password::{Cost, Password};
use relay_sidecar::sasl::authenticator::{Authenticator, Dependencies};
use relay_sidecar::sasl::mechanism::Credentials;
use relay_sidecar::sasl::metrics::AuthMetrics;
use relay_sidecar::sasl::outcome::AuthResult;
use relay_sidecar::store::UserStore;
use relay_sidecar::user_name::UserName;
use relay_sidecar::users::User;
use tempfile::TempDir;

/// What its hashes were made with, so that a login renews none.
const COST: Cost = Cost { memory_kib: 1024, iterations: 1, parallelism: 1 };
const HOME: &str = "192.0.2.7";
const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

fn copy_of_the_file() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/first_release/users.mdb");
    std::fs::copy(file, folder.path().join("users.mdb"))?;
    Ok(folder)
}

fn authenticator(store: &UserStore) -> Result<Authenticator, Box<dyn Error>> {
    let registry = Registry::default();
    let off = GuessLimit { most: 0, window: 1 };
    let ledger = Ledger::new(store.clone(), DefaultLimits::default(), A_CENTURY);
    let dependencies = Dependencies {
        ledger: Arc::new(ledger),
        pool: HashingPool::start(1, &PoolMetrics::register(&registry)?)?,
        cache: VerifiedCache::new(0, Duration::ZERO)?,
        guess_limits: GuessLimits { per_address: off, per_user: off },
        gateways: Gateways::of(&[]),
        cost: COST,
        enabled: true,
        metrics: AuthMetrics::register(&registry)?,
        store: store.clone(),
    };
    Ok(Authenticator::new(dependencies)?)
}

fn user(store: &UserStore, name: &str) -> Result<Option<Arc<User>>, Box<dyn Error>> {
    Ok(store.user(&UserName::parse(name)?)?)
}

#[tokio::test]
async fn its_passwords_log_in_twice_and_its_refusals_hold() {
    let folder = copy_of_the_file().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let authenticator = authenticator(&store).unwrap();
    // The first login writes to the account, the second one reads that.
    for _ in 0..2 {
        for (name, password, from, expected) in [
            ("alice", "correct horse", HOME, AuthResult::Accepted),
            ("Alice", "of a phone", HOME, AuthResult::Accepted),
            ("alice", "wrong", HOME, AuthResult::WrongPassword),
            ("bob", "hunter2", HOME, AuthResult::UserDisabled),
            ("bob", "wrong", HOME, AuthResult::WrongPassword),
            ("printer@example.org", "paper", "192.0.2.99", AuthResult::Accepted),
            ("printer@example.org", "paper", "198.51.100.1", AuthResult::OtherNetwork),
            ("newsletter", "many letters", HOME, AuthResult::Accepted),
            ("carol", "forever", HOME, AuthResult::Accepted),
            ("dave", "forever", HOME, AuthResult::UserUnknown),
        ] {
            let credentials = Credentials {
                authentication_identity: name.into(),
                authorization_identity: Vec::new(),
                password: Password::received(password.as_bytes()),
            };
            let outcome = authenticator.check(&credentials, from.parse().ok()).await.unwrap();
            assert_eq!(outcome.result, expected, "{name} {password} {from}");
        }
    }
}

#[test]
fn rights_limits_and_known_addresses_are_what_they_were() {
    let folder = copy_of_the_file().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    for (name, standing, senders, limits, networks) in [
        ("alice", Standing::Enabled, "", None, ""),
        ("bob", Standing::Disabled, "", None, ""),
        (
            "printer@example.org",
            Standing::Enabled,
            "printer@example.org *@scan.example.org",
            None,
            "192.0.2.0/24",
        ),
        ("newsletter", Standing::Enabled, "", Some("500/day,messages=50/hour"), ""),
        ("carol", Standing::Enabled, "", Some("none"), ""),
    ] {
        let user = user(&store, name).unwrap().unwrap();
        let words = |texts: Vec<String>| texts.join(" ");
        assert_eq!(user.standing(now()), standing, "{name}");
        assert_eq!(words(user.senders.iter().map(ToString::to_string).collect()), senders);
        assert_eq!(user.limits, limits.map(|limits| limits.parse().unwrap()), "{name}");
        assert_eq!(words(user.login_networks.iter().map(ToString::to_string).collect()), networks);
    }
    let found = |name| user(&store, name).unwrap().unwrap();
    let (printer, carol, alice) = (found("printer@example.org"), found("carol"), found("alice"));
    assert_eq!(printer.note.as_deref(), Some("second floor"));
    assert_eq!(carol.expires, Some(3_789_504_000));
    let name = UserName::parse("alice").unwrap();
    let labels: Vec<&str> = alice.credentials.iter().map(|one| one.label.as_str()).collect();
    assert_eq!(labels, ["default", "phone"]);
    let ledger = Ledger::new(store, DefaultLimits::default(), A_CENTURY);
    for (address, expected) in [(HOME, true), ("192.0.2.8", false)] {
        let knows = ledger.knows(&name, &alice, address.parse().unwrap(), now());
        assert_eq!(knows.unwrap(), expected, "{address}");
    }
}

#[test]
fn the_commands_list_and_change_its_users() {
    let folder = copy_of_the_file().unwrap();
    let relay = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
        let output = command.arg("user").args(arguments).env("DATA_DIR", folder.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = || -> Vec<String> {
        let columns = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        relay(&["list"]).lines().skip(1).map(columns).collect()
    };
    let expected = [
        "alice enabled",
        "bob disabled",
        "carol enabled",
        "newsletter enabled",
        "printer@example.org enabled",
    ];
    assert_eq!(listed(), expected);
    relay(&["enable", "bob"]);
    relay(&["set", "printer@example.org", "--note", "third floor"]);
    relay(&["remove", "carol"]);
    let expected =
        ["alice enabled", "bob enabled", "newsletter enabled", "printer@example.org enabled"];
    assert_eq!(listed(), expected);
    let shown = relay(&["show", "printer@example.org"]);
    assert!(shown.contains("*@scan.example.org") && shown.contains("third floor"), "{shown}");
}
