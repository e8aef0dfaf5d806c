//! The sidecar as a Dovecot authentication server, spoken to directly.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relay_tests::lab::{Lab, in_a_lab};
use relay_tests::relay::Relay;
use relay_tests::sasl::{Connection, plain};

const PASSWORD: &str = "correct horse battery";

/// A relay whose Postfix is not needed, and one user.
fn sidecar_with_alice(lab: &Lab) -> Result<Relay<'_>> {
    let mut relay = lab.relay().build()?;
    relay.start_sidecar()?;
    relay.add_user("alice", PASSWORD)?;
    Ok(relay)
}

/// Runs a dialogue on a fresh connection with one user, alice.
fn dialogue(test: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
    in_a_lab(|lab| {
        let relay = sidecar_with_alice(lab)?;
        test(&mut Connection::ready(&relay.socket("sasl.sock"))?)
    })
}

/// Shows that the connection still serves.
fn assert_alive(connection: &mut Connection) -> Result<()> {
    connection.send(plain(999, "alice", PASSWORD))?;
    let line = connection.line()?;
    assert!(line.starts_with("OK\t999\tuser=alice"), "{line}");
    Ok(())
}

fn assert_fail(line: &str, id: u32) {
    let is_fail = line == format!("FAIL\t{id}") || line.starts_with(&format!("FAIL\t{id}\t"));
    assert!(is_fail, "expected FAIL for {id}, but the server said {line:?}");
}

#[test]
fn the_handshake_is_pushed_in_the_order_that_postfix_needs() -> Result<()> {
    in_a_lab(|lab| {
        let relay = sidecar_with_alice(lab)?;
        // Old Exim, maddy and Radicale wait for it before they say anything.
        let lines = Connection::open(&relay.socket("sasl.sock"))?.handshake()?;
        let words: Vec<&str> = lines.iter().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(
            words,
            ["VERSION", "MECH", "MECH", "SPID", "CUID", "COOKIE", "DONE"],
            "{lines:?}"
        );
        assert_eq!(lines[0], "VERSION\t1\t2");
        assert_eq!(lines[1], "MECH\tPLAIN\tplaintext");
        assert_eq!(lines[2], "MECH\tLOGIN\tplaintext");
        let cookie = lines[5].trim_start_matches("COOKIE\t");
        assert!(cookie.len() == 32 && cookie.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Ok(())
    })
}

#[test]
fn right_and_wrong_passwords_are_told_apart() -> Result<()> {
    dialogue(|connection| {
        connection.send(plain(7, "alice", PASSWORD))?;
        assert_eq!(connection.line()?, "OK\t7\tuser=alice");
        connection.send(plain(8, "alice", "wrong"))?;
        assert_fail(&connection.line()?, 8);
        connection.send(plain(9, "nobody", PASSWORD))?;
        assert_fail(&connection.line()?, 9);
        assert_alive(connection)
    })
}

#[test]
fn login_asks_for_name_and_password_with_the_usual_words() -> Result<()> {
    dialogue(|connection| {
        connection.send("AUTH\t3\tlogin\tservice=smtp\tsecured\n")?;
        assert_eq!(connection.line()?, format!("CONT\t3\t{}", BASE64.encode("Username:")));
        connection.send(format!("CONT\t3\t{}\n", BASE64.encode("alice")))?;
        assert_eq!(connection.line()?, format!("CONT\t3\t{}", BASE64.encode("Password:")));
        connection.send(format!("CONT\t3\t{}\n", BASE64.encode(PASSWORD)))?;
        assert_eq!(connection.line()?, "OK\t3\tuser=alice");
        Ok(())
    })
}

#[test]
fn plain_without_initial_response_gets_an_empty_challenge() -> Result<()> {
    dialogue(|connection| {
        connection.send("AUTH\t3\tPLAIN\tservice=smtp\tsecured\n")?;
        assert_eq!(connection.line()?, "CONT\t3\t");
        connection.send(format!("CONT\t3\t{}\n", BASE64.encode(format!("\0alice\0{PASSWORD}"))))?;
        assert_eq!(connection.line()?, "OK\t3\tuser=alice");
        Ok(())
    })
}

#[test]
fn what_cannot_be_a_login_fails_and_the_connection_lives() -> Result<()> {
    let encoded = |text: &str| BASE64.encode(text);
    let cases = [
        ("an unknown mechanism", "XOAUTH2", encoded("x")),
        ("a mechanism that asks nobody", "ANONYMOUS", encoded("x")),
        ("a mechanism that trusts", "EXTERNAL", encoded("alice")),
        ("no base64", "PLAIN", "!!!".to_owned()),
        ("base64 cut off", "PLAIN", "AGFsaWNlA".to_owned()),
        ("only a padding", "PLAIN", "=".to_owned()),
        ("one NUL", "PLAIN", encoded("alice\0secret")),
        ("three NULs", "PLAIN", encoded("\0alice\0sec\0ret")),
        ("an empty name", "PLAIN", encoded(&format!("\0\0{PASSWORD}"))),
        ("an empty password", "PLAIN", encoded("\0alice\0")),
        ("another's identity", "PLAIN", encoded(&format!("bob\0alice\0{PASSWORD}"))),
        ("a TAB in the name", "PLAIN", encoded(&format!("\0ali\tce\0{PASSWORD}"))),
        ("a line feed in the name", "PLAIN", encoded(&format!("\0alice\nOK\t1\0{PASSWORD}"))),
        ("an escape in the name", "PLAIN", encoded(&format!("\0alice\x01t\0{PASSWORD}"))),
        ("a NUL escape in the name", "PLAIN", encoded(&format!("\0alice\x010\0{PASSWORD}"))),
        ("a blank after the name", "PLAIN", encoded(&format!("\0alice \0{PASSWORD}"))),
        ("an endless name", "PLAIN", encoded(&format!("\0{}\0{PASSWORD}", "a".repeat(600)))),
    ];
    dialogue(|connection| {
        for (id, (what, mechanism, response)) in (1..).zip(cases) {
            connection.send(format!(
                "AUTH\t{id}\t{mechanism}\tservice=smtp\tsecured\tresp={response}\n"
            ))?;
            let line = connection.line().with_context(|| what.to_owned())?;
            assert_fail(&line, id);
            let parameters: Vec<&str> = line.split('\t').skip(2).collect();
            let known = ["user=", "code=", "reason="];
            let is_known = |text: &&str| known.iter().any(|start| text.starts_with(start));
            assert!(parameters.iter().all(is_known), "{what}: {line:?}");
        }
        assert_alive(connection)
    })
}

#[test]
fn an_empty_initial_response_is_none_for_old_clients_and_a_wrong_one_for_new() -> Result<()> {
    in_a_lab(|lab| {
        let relay = sidecar_with_alice(lab)?;
        // Exim says 1.0 and always sends resp=.
        for (version, expected) in [("1\t0", "CONT\t1\t"), ("1\t2", "FAIL\t1\t")] {
            let mut connection = Connection::open(&relay.socket("sasl.sock"))?;
            connection.handshake()?;
            connection.send(format!("VERSION\t{version}\nCPID\t1\n"))?;
            connection.send("AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=\n")?;
            let line = connection.line()?;
            assert!(line.starts_with(expected), "version {version:?}: {line:?}");
        }
        Ok(())
    })
}

#[test]
fn names_that_are_not_utf_8_fail_and_the_connection_lives() -> Result<()> {
    dialogue(|connection| {
        let response = BASE64.encode(b"\0al\xffice\0password");
        connection.send(format!("AUTH\t5\tPLAIN\tservice=smtp\tsecured\tresp={response}\n"))?;
        assert_fail(&connection.line()?, 5);
        assert_alive(connection)
    })
}

#[test]
fn a_login_that_is_not_secured_fails() -> Result<()> {
    dialogue(|connection| {
        connection.send(plain(4, "alice", PASSWORD).replace("\tsecured", ""))?;
        assert_fail(&connection.line()?, 4);
        assert_alive(connection)
    })
}

#[test]
fn an_authorization_identity_may_only_be_ones_own() -> Result<()> {
    dialogue(|connection| {
        for (id, authzid) in [(1, "alice"), (2, "ALICE")] {
            let response = BASE64.encode(format!("{authzid}\0alice\0{PASSWORD}"));
            connection
                .send(format!("AUTH\t{id}\tPLAIN\tservice=smtp\tsecured\tresp={response}\n"))?;
            assert_eq!(connection.line()?, format!("OK\t{id}\tuser=alice"));
        }
        Ok(())
    })
}

#[test]
fn a_continuation_nobody_asked_for_fails_and_the_connection_lives() -> Result<()> {
    dialogue(|connection| {
        connection.send(format!("CONT\t77\t{}\n", BASE64.encode("x")))?;
        assert_fail(&connection.line()?, 77);
        connection.send(plain(78, "alice", "wrong"))?;
        assert_fail(&connection.line()?, 78);
        connection.send(format!("CONT\t78\t{}\n", BASE64.encode("x")))?;
        assert_fail(&connection.line()?, 78);
        assert_alive(connection)
    })
}

#[test]
fn pipelined_logins_are_each_answered_once() -> Result<()> {
    dialogue(|connection| {
        let right = plain(1, "alice", PASSWORD);
        let wrong = plain(2, "alice", "wrong");
        connection.send(format!("{right}{wrong}"))?;
        let mut lines = [connection.line()?, connection.line()?];
        lines.sort();
        assert_fail(&lines[0], 2);
        assert_eq!(lines[1], "OK\t1\tuser=alice");
        assert_alive(connection)
    })
}

#[test]
fn logins_left_open_are_forgotten_oldest_first() -> Result<()> {
    dialogue(|connection| {
        // Postfix never says that a client went away in the middle of a login.
        for id in 1..=2000 {
            connection.send(format!("AUTH\t{id}\tPLAIN\tservice=smtp\tsecured\n"))?;
            assert_eq!(connection.line()?, format!("CONT\t{id}\t"));
        }
        let response = BASE64.encode(format!("\0alice\0{PASSWORD}"));
        connection.send(format!("CONT\t1\t{response}\n"))?;
        assert_fail(&connection.line()?, 1);
        connection.send(format!("CONT\t2000\t{response}\n"))?;
        assert_eq!(connection.line()?, "OK\t2000\tuser=alice");
        Ok(())
    })
}

#[test]
fn a_cancelled_login_is_over() -> Result<()> {
    dialogue(|connection| {
        connection.send("AUTH\t1\tLOGIN\tservice=smtp\tsecured\nCANCEL\t1\n")?;
        assert!(connection.line()?.starts_with("CONT\t1\t"));
        connection.send(format!("CONT\t1\t{}\n", BASE64.encode("alice")))?;
        assert_fail(&connection.line()?, 1);
        assert_alive(connection)
    })
}

#[test]
fn bytes_may_come_one_by_one() -> Result<()> {
    dialogue(|connection| {
        for byte in plain(6, "alice", PASSWORD).bytes() {
            connection.send([byte])?;
            std::thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(connection.line()?, "OK\t6\tuser=alice");
        Ok(())
    })
}

#[test]
fn a_line_that_is_too_long_ends_its_connection_and_no_other() -> Result<()> {
    in_a_lab(|lab| {
        let relay = sidecar_with_alice(lab)?;
        let socket = relay.socket("sasl.sock");
        let mut other = Connection::ready(&socket)?;
        let mut connection = Connection::ready(&socket)?;
        // The server may be gone before all is written.
        connection.send("A".repeat(64 * 1024)).ok();
        let after = connection.line_or_end();
        assert!(matches!(after, Ok(None)) || after.is_err(), "{after:?}");
        assert_alive(&mut other)
    })
}

#[test]
fn another_major_version_ends_the_connection() -> Result<()> {
    in_a_lab(|lab| {
        let relay = sidecar_with_alice(lab)?;
        let mut connection = Connection::open(&relay.socket("sasl.sock"))?;
        connection.handshake()?;
        connection.send("VERSION\t2\t0\nCPID\t1\n")?;
        assert_eq!(connection.line_or_end()?, None);
        Ok(())
    })
}
