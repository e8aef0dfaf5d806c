//! Several passwords a user, what ends them, the cache of verified ones, and users from other servers.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, HOME_V6, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::smtp::Mechanism;
use relay_tests::wait::{A_WHILE, until};

const FIRST: &str = "first password";
const PRINTER: &str = "password of the printer";
const IMPORTED: &str = "imported password";

fn login_from(relay: &Relay<'_>, from: IpAddr, name: &str, password: &str) -> Result<u16> {
    Ok(relay.session(from, 587)?.login(Mechanism::Plain, name, password)?.code)
}

fn login(relay: &Relay<'_>, name: &str, password: &str) -> Result<u16> {
    login_from(relay, STRANGER, name, password)
}

fn add_printer(relay: &Relay<'_>, more: &[&str]) -> Result<()> {
    let add = ["password", "add", "alice", "--label", "printer", "--password-stdin"];
    relay.manage_user(&[&add, more].concat(), PRINTER).map(drop)
}

fn remove_password(relay: &Relay<'_>, label: &str) -> Result<String> {
    relay.manage_user(&["password", "remove", "alice", "--label", label], "")
}

fn shown(relay: &Relay<'_>) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(&relay.manage_user(&["show", "alice", "--json"], "")?)?)
}

/// How many passwords were hashed until now.
fn hashed(relay: &Relay<'_>) -> Result<u64> {
    Ok(relay.sidecar()?.metric("relay_hashing_wait_seconds_count")?.parse()?)
}

#[test]
fn each_password_works_and_goes_by_itself() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        add_printer(&relay, &[])?;
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        assert_eq!(login(&relay, "alice", PRINTER)?, 235);
        relay.manage_user(&["passwd", "alice", "--password-stdin"], "the second password")?;
        assert_eq!(login(&relay, "alice", FIRST)?, 535);
        assert_eq!(login(&relay, "alice", PRINTER)?, 235);
        remove_password(&relay, "printer")?;
        assert_eq!(login(&relay, "alice", PRINTER)?, 535);
        assert_eq!(login(&relay, "alice", "the second password")?, 235);
        let said = remove_password(&relay, "default")?;
        assert!(said.contains("nobody can log in as alice"), "{said}");
        assert_eq!(login(&relay, "alice", "the second password")?, 535);
        Ok(())
    })
}

#[test]
fn labels_are_unique_and_named_when_they_are_not_there() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", FIRST)?;
        add_printer(&relay, &[])?;
        let cases: [(&[&str], i32, &str); 4] = [
            (&["add", "alice", "--label", "printer"], 7, "already has a password \"printer\""),
            (&["add", "alice", "--label", "a\nb"], 7, "is not a label"),
            (&["add", "nobody", "--label", "x"], 4, "there is no user nobody"),
            (&["remove", "alice", "--label", "phone"], 7, "has no password \"phone\""),
        ];
        for (arguments, code, why) in cases {
            let stdin: &[&str] = if arguments[0] == "add" { &["--password-stdin"] } else { &[] };
            let output = relay.user(&[&["password"], arguments, stdin].concat(), PRINTER)?;
            let said = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
            assert!(said.contains(why), "{arguments:?}: {said}");
        }
        for number in 3..=8 {
            let label = format!("number {number}");
            relay
                .manage_user(&["password", "add", "alice", "--label", &label, "--generate"], "")?;
        }
        let ninth = ["password", "add", "alice", "--label", "ninth", "--generate"];
        let said = String::from_utf8(relay.user(&ninth, "")?.stderr)?;
        assert!(said.contains("already has 8 passwords"), "{said}");
        assert_eq!(shown(&relay)?["passwords"].as_array().map(Vec::len), Some(8));
        Ok(())
    })
}

#[test]
fn when_and_from_where_each_was_last_used_is_shown() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        add_printer(&relay, &[])?;
        let unused = relay.manage_user(&["show", "alice"], "")?;
        assert_eq!(unused.matches("never used").count(), 2, "{unused}");
        assert_eq!(login_from(&relay, HOME, "alice", PRINTER)?, 235);
        assert_eq!(login_from(&relay, HOME_V6, "alice", FIRST)?, 235);
        assert_eq!(login_from(&relay, HOME, "alice", "wrong")?, 535);
        let passwords = until("both uses to be written down", A_WHILE, || {
            let passwords = shown(&relay).ok()?["passwords"].clone();
            (passwords[0]["last_used"].is_string() && passwords[1]["last_used"].is_string())
                .then_some(passwords)
        })?;
        assert_eq!(passwords[0]["last_address"], "2001:db8:a::5", "{passwords}");
        assert_eq!(passwords[1]["last_address"], "203.0.113.5", "{passwords}");
        assert!(passwords[1]["last_used"].as_str() >= passwords[1]["created"].as_str());
        relay.sidecar.take().context("no sidecar")?.kill();
        relay.start()?;
        assert_eq!(shown(&relay)?["passwords"], passwords);
        Ok(())
    })
}

#[test]
fn an_expired_user_neither_logs_in_nor_sends_until_that_is_taken_back() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        let mut open = relay.login(STRANGER, 465, "alice", FIRST)?;
        relay.manage_user(&["set", "alice", "--expires", "3s"], "")?;
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        assert!(shown(&relay)?["expires"].is_string());
        // The cached login, too, ends with the user.
        until("the user to expire", A_WHILE, || {
            (shown(&relay).ok()?["state"] == "expired").then_some(())
        })?;
        assert_eq!(login(&relay, "alice", FIRST)?, 535);
        let reply = open.send("alice@example.org", &["bob@recipient.test"], &message("late"))?;
        assert_eq!((reply.code, reply.enhanced()), (554, Some("5.7.1")), "{reply}");
        relay.manage_user(&["set", "alice", "--expires", "never"], "")?;
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        Ok(())
    })
}

#[test]
fn an_expired_password_leaves_the_others_alone() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        add_printer(&relay, &["--expires", "2s"])?;
        assert_eq!(login(&relay, "alice", PRINTER)?, 235);
        sleep(Duration::from_millis(2_100));
        assert_eq!(login(&relay, "alice", PRINTER)?, 535);
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        let shown = relay.manage_user(&["show", "alice"], "")?;
        assert!(shown.contains("printer: set ") && shown.contains(", expires "), "{shown}");
        Ok(())
    })
}

#[test]
fn a_user_may_be_bound_to_networks() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        let networks = ["--network", "203.0.113.0/24", "--network", "[2001:db8:a::]/64"];
        relay.manage_user(&[&["set", "alice"], &networks[..]].concat(), "")?;
        // The login from elsewhere was cached a moment ago.
        assert_eq!(login(&relay, "alice", FIRST)?, 535);
        relay.sidecar()?.output_with("result=other_network client=198.51.100.7")?;
        assert_eq!(login_from(&relay, HOME, "alice", FIRST)?, 235);
        assert_eq!(login_from(&relay, HOME_V6, "alice", FIRST)?, 235);
        relay.manage_user(&["set", "alice", "--network", "any"], "")?;
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        Ok(())
    })
}

#[test]
fn a_cached_login_costs_no_hash_and_ends_with_the_password() -> Result<()> {
    type Change = (&'static [&'static str], &'static str);
    // What takes the right away, with its password on standard input, and what gives it back.
    let changes: [(Change, Change); 4] = [
        (
            (&["passwd", "alice", "--password-stdin"], "another"),
            (&["passwd", "alice", "--password-stdin"], FIRST),
        ),
        ((&["disable", "alice"], ""), (&["enable", "alice"], "")),
        ((&["remove", "alice"], ""), (&["add", "alice", "--password-stdin"], FIRST)),
        (
            (&["password", "remove", "alice", "--label", "default"], ""),
            (&["password", "add", "alice", "--label", "default", "--password-stdin"], FIRST),
        ),
    ];
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        for ((change, input), (undo, undo_input)) in changes {
            assert_eq!(login(&relay, "alice", FIRST)?, 235, "before {change:?}");
            let before = hashed(&relay)?;
            for _ in 0..3 {
                assert_eq!(login(&relay, "alice", FIRST)?, 235, "cached, before {change:?}");
            }
            assert_eq!(hashed(&relay)?, before, "a cached login was hashed");
            relay.manage_user(change, input)?;
            assert_eq!(login(&relay, "alice", FIRST)?, 535, "after {change:?}");
            relay.manage_user(undo, undo_input)?;
        }
        // The cache knows this very password, and no other.
        assert_eq!(login(&relay, "alice", FIRST)?, 235);
        assert_eq!(login(&relay, "alice", "first passwor")?, 535);
        assert_eq!(login(&relay, "alice", "First password")?, 535);
        Ok(())
    })
}

#[test]
fn the_cache_forgets_in_time_and_can_be_switched_off() -> Result<()> {
    for (name, value, wait) in [("LOGIN_CACHE_SIZE", "0", 0), ("LOGIN_CACHE_SECONDS", "1", 1_100)] {
        in_a_lab(|lab| {
            let relay = lab.relay().env(name, value).start()?;
            relay.add_user("alice", FIRST)?;
            assert_eq!(login(&relay, "alice", FIRST)?, 235);
            let before = hashed(&relay)?;
            sleep(Duration::from_millis(wait));
            assert_eq!(login(&relay, "alice", FIRST)?, 235);
            assert_eq!(hashed(&relay)?, before + 1, "{name}={value}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Lines of a passwd-file for the password `imported password`, made by Dovecot's `doveadm pw`.
const PASSWD_FILE: &str = "\
argon2id:{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$2s22eqBd4KYk22+ApCuBEA$B9n2vGk1c49/mwW+uC/zvHF474b1H+gND7Ou95FJGIY:1000:1000::/home/alice::
argon2i:{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$ggXUkGr88+9rw7kUcyKhPA$2JPM89AoQ5wh67J56Jd2xfEFJ8bD+V69tlU3n0wLY3Q::::::
bcrypt@example.org:{BLF-CRYPT}$2y$05$XfBloU6efTV.XCOJGGbhoeDaJZVLkibKr1Ln.ZSN.dWjKwtPL54pO::::::
sha512:{SHA512-CRYPT}$6$rvJ5Rq9vIDQpNyBS$qk3PKLYGSw8LXhQRBKjjpQrPmRE8.yHZnYTCGGbg9VGCJKCXz4FoGrtrW0anocCKa/EZHFT/SnGCSlyyzvegk/
sha256:{SHA256-CRYPT}$5$u/NktAJxzqSnY4Q2$oJCamYFnxRSs0hdtLTsNHtBPHla.6UODA3Rb1jQ4rj.
plain:{PLAIN}imported password:1000:1000
";

/// Name and hash of each user in an export.
fn hashes(relay: &Relay<'_>) -> Result<Vec<(String, String)>> {
    let export: serde_json::Value = serde_json::from_str(&relay.manage_user(&["export"], "")?)?;
    let users = export.get("users").and_then(serde_json::Value::as_array);
    let text = |user: &serde_json::Value, pointer: &str| {
        let text = user.pointer(pointer).and_then(serde_json::Value::as_str);
        text.map(str::to_owned).with_context(|| format!("no {pointer} in the export"))
    };
    let hash_of = |user| Ok((text(user, "/name")?, text(user, "/user/credentials/0/hash")?));
    users.context("no users in the export")?.iter().map(hash_of).collect()
}

#[test]
fn a_passwd_file_of_dovecot_works_and_is_hashed_anew_at_the_first_login() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        lab.evidence.secret(IMPORTED);
        let said = relay.manage_user(&["import", "-"], PASSWD_FILE)?;
        assert!(said.contains("6 users imported"), "{said}");
        let ours = |hash: &str| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$");
        let imported = hashes(&relay)?;
        assert_eq!(imported.len(), 6);
        for (name, hash) in &imported {
            // A plain password is hashed at once: the database never holds one.
            assert_eq!(ours(hash), name == "plain", "{name}: {hash}");
            assert_eq!(login(&relay, name, "imported Password")?, 535, "{name}");
            assert_eq!(login(&relay, name, IMPORTED)?, 235, "{name}");
        }
        until("every hash to be renewed", A_WHILE, || {
            hashes(&relay).ok()?.iter().all(|(_, hash)| ours(hash)).then_some(())
        })?;
        for (name, _) in &imported {
            assert_eq!(login(&relay, name, IMPORTED)?, 235, "{name}, hashed anew");
        }
        Ok(())
    })
}

#[test]
fn an_htpasswd_file_and_a_list_of_pairs_are_imported() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        let hash = PASSWD_FILE.lines().find_map(|line| line.split_once("{BLF-CRYPT}"));
        let hash = hash.context("no bcrypt hash")?.1.trim_end_matches(':');
        relay.manage_user(
            &["import", "-"],
            &format!("# htpasswd -B\n\nalice:{hash}\nbob:{hash}\n"),
        )?;
        let pairs = "carol:password of carol,dave@example.org:password of dave";
        relay.manage_user(&["import", "-"], pairs)?;
        for (name, password) in [
            ("alice", IMPORTED),
            ("bob", IMPORTED),
            ("carol", "password of carol"),
            ("dave@example.org", "password of dave"),
        ] {
            assert_eq!(login(&relay, name, password)?, 235, "{name}");
        }
        Ok(())
    })
}

#[test]
fn an_import_with_a_mistake_changes_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", FIRST)?;
        let before = relay.manage_user(&["export"], "")?;
        let hash = "$5$u/NktAJxzqSnY4Q2$oJCamYFnxRSs0hdtLTsNHtBPHla.6UODA3Rb1jQ4rj.";
        let cases = [
            (format!("bob:{hash}\ncarol:$1$abc$def\ndave"), 7, "line 2: "),
            (format!("bob:{hash}\ncarol:$1$abc$def\ndave"), 7, "line 3: "),
            (format!("bob:{hash}\nalice:{hash}"), 3, "user alice already exists"),
            ("bob:{MD5-CRYPT}$1$abc$def".to_owned(), 7, "{MD5-CRYPT} is not supported"),
            (String::new(), 7, "no users"),
            ("{\"relay_users\":1,\"users\":[{\"name\":\"x\"}]}".to_owned(), 7, "not an export"),
        ];
        for (text, code, why) in cases {
            let output = relay.user(&["import", "-"], &text)?;
            let said = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(code), "{text}: {said}");
            assert!(said.contains(why), "{text}: {said}");
            assert_eq!(relay.manage_user(&["export"], "")?, before, "{text}");
        }
        relay.manage_user(&["import", "-", "--replace"], &format!("alice:{hash}"))?;
        assert!(relay.manage_user(&["export"], "")?.contains(hash));
        Ok(())
    })
}

/// An export without the numbers of its users, which are new with each import.
pub fn without_ids(export: &str) -> Result<serde_json::Value> {
    let mut export: serde_json::Value = serde_json::from_str(export)?;
    let users = export.get_mut("users").and_then(serde_json::Value::as_array_mut);
    for user in users.context("no users")? {
        let record = user.get_mut("user").and_then(serde_json::Value::as_object_mut);
        record.and_then(|record| record.remove("id")).context("no id")?;
    }
    Ok(export)
}

#[test]
fn an_export_makes_the_same_users_elsewhere() -> Result<()> {
    in_a_lab(|lab| {
        let mut old = lab.relay().start()?;
        let rights = [
            "add",
            "alice",
            "--password-stdin",
            "--sender",
            "*@example.org",
            "--limit",
            "500/day",
            "--network",
            "198.51.100.0/24",
            "--expires",
            "30d",
            "--note",
            "a note",
        ];
        old.manage_user(&rights, FIRST)?;
        add_printer(&old, &["--expires", "2027-12-31"])?;
        old.add_user("bob", "password of bob")?;
        old.manage_user(&["disable", "bob"], "")?;
        let export = old.manage_user(&["export"], "")?;
        assert!(!export.contains(FIRST), "{export}");
        old.kill()?;

        let new = lab.relay_in("new", &lab.namespace).start()?;
        new.manage_user(&["import", "-"], &export)?;
        let again = new.manage_user(&["export"], "")?;
        assert_eq!(without_ids(&again)?, without_ids(&export)?);
        assert_eq!(login(&new, "alice", FIRST)?, 235);
        assert_eq!(login(&new, "alice", PRINTER)?, 235);
        assert_eq!(login_from(&new, HOME, "alice", FIRST)?, 535);
        assert_eq!(login(&new, "bob", "password of bob")?, 535);
        let mut client = new.login(STRANGER, 587, "alice", FIRST)?;
        let reply = client.send("x@evil.test", &["bob@recipient.test"], &message("x"))?;
        assert_eq!(reply.code, 553, "{reply}");
        Ok(())
    })
}
