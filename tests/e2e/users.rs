//! A change of users holds at once, without a restart.

use anyhow::{Context, Result};
use relay_tests::lab::{SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::smtp::Mechanism;

const FIRST: &str = "first password";
const SECOND: &str = "second password";

fn login_code(relay: &Relay<'_>, name: &str, password: &str) -> Result<u16> {
    Ok(relay.session(STRANGER, 587)?.login(Mechanism::Plain, name, password)?.code)
}

#[test]
fn a_user_added_while_everything_runs_sends_at_once() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
        let mut client = relay.session(STRANGER, 587)?;
        client.login(Mechanism::Plain, "alice", FIRST)?.expect(535)?;
        relay.add_user("alice", FIRST)?;
        // In the same session, and so with the same smtpd and the same connection to the sidecar.
        client.login(Mechanism::Plain, "alice", FIRST)?.expect(235)?;
        client.send("alice@example.org", &["bob@example.net"], &message("new"))?.expect(250)?;
        sink.one_message()?;
        Ok(())
    })
}

#[test]
fn a_removed_or_disabled_user_cannot_log_in() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        assert_eq!(login_code(&relay, "alice", FIRST)?, 235);
        relay.manage_user(&["disable", "alice"], "")?;
        assert_eq!(login_code(&relay, "alice", FIRST)?, 535);
        relay.manage_user(&["enable", "alice"], "")?;
        assert_eq!(login_code(&relay, "alice", FIRST)?, 235);
        relay.manage_user(&["remove", "alice"], "")?;
        assert_eq!(login_code(&relay, "alice", FIRST)?, 535);
        Ok(())
    })
}

#[test]
fn who_is_removed_or_disabled_cannot_go_on_in_an_open_session() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
        for change in ["disable", "remove"] {
            for port in [587, 465] {
                relay.add_user("alice", FIRST)?;
                let mut before_mail = relay.login(STRANGER, port, "alice", FIRST)?;
                let mut before_data = relay.login(STRANGER, port, "alice", FIRST)?;
                before_data.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
                before_data.command("RCPT TO:<bob@example.net>")?.expect(250)?;

                relay.manage_user(&[change, "alice"], "")?;

                let reply =
                    before_mail.send("alice@example.org", &["bob@example.net"], b"no\r\n")?;
                assert_eq!(
                    (reply.code, reply.enhanced()),
                    (554, Some("5.7.1")),
                    "{change}: {reply}"
                );
                // This one has its recipient already: the milter asks once more at the end.
                let reply = before_data.data(&message("late"))?;
                assert_eq!(
                    (reply.code, reply.enhanced()),
                    (554, Some("5.7.1")),
                    "{change}: {reply}"
                );
                if change == "disable" {
                    relay.manage_user(&["remove", "alice"], "")?;
                }
            }
        }
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn a_new_password_holds_at_once_and_the_old_one_no_more() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        assert_eq!(login_code(&relay, "alice", FIRST)?, 235);
        relay.manage_user(&["passwd", "alice", "--password-stdin"], SECOND)?;
        assert_eq!(login_code(&relay, "alice", FIRST)?, 535);
        assert_eq!(login_code(&relay, "alice", SECOND)?, 235);
        Ok(())
    })
}

#[test]
fn a_new_password_ends_the_sessions_of_the_old_one() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", FIRST)?;
        let mut thief = relay.login(STRANGER, 587, "alice", FIRST)?;
        // A login counts by the second in which it was made.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        relay.manage_user(&["passwd", "alice", "--password-stdin"], SECOND)?;
        let reply = thief.send("alice@example.org", &["bob@example.net"], b"no\r\n")?;
        assert_eq!((reply.code, reply.enhanced()), (450, Some("4.7.1")), "{reply}");
        Ok(())
    })
}

#[test]
fn a_name_is_the_same_in_any_case() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("Alice@Example.org", FIRST)?;
        assert_eq!(login_code(&relay, "alice@example.ORG", FIRST)?, 235);
        Ok(())
    })
}

#[test]
fn the_user_of_the_environment_is_made_and_updated_at_start() -> Result<()> {
    in_a_lab(|lab| {
        let settings =
            |password| lab.relay().env("SMTP_USERNAME", "home").env("SMTP_PASSWORD", password);
        let mut relay = settings(FIRST).start()?;
        assert_eq!(login_code(&relay, "home", FIRST)?, 235);
        relay.kill()?;
        drop(relay);

        let relay = settings(SECOND).start()?;
        assert_eq!(login_code(&relay, "home", FIRST)?, 535);
        assert_eq!(login_code(&relay, "home", SECOND)?, 235);
        Ok(())
    })
}

#[test]
fn what_cannot_be_done_says_why_and_changes_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", FIRST)?;
        let cases: [(&[&str], &str, i32, &str); 9] = [
            (&["add", "ALICE", "--password-stdin"], SECOND, 3, "user alice already exists"),
            (&["passwd", "bob", "--password-stdin"], SECOND, 4, "there is no user bob"),
            (&["remove", "bob"], "", 4, "there is no user bob"),
            (&["disable", "bob"], "", 4, "there is no user bob"),
            (&["show", "bob"], "", 4, "there is no user bob"),
            (&["add", "al ice", "--password-stdin"], SECOND, 5, "\"al ice\" is not a user name"),
            (&["add", "", "--password-stdin"], SECOND, 5, "\"\" is not a user name"),
            (&["add", "bob", "--password-stdin"], "", 6, "empty"),
            (&["add", "bob"], "", 6, "no terminal to ask for the password"),
        ];
        for (arguments, password, code, why) in cases {
            let output = relay.user(arguments, password)?;
            let said = String::from_utf8(output.stderr)?;
            assert!(said.contains(why), "{arguments:?}: {said}");
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        }
        let list = relay.manage_user(&["list", "--json"], "")?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(list[0]["name"], "alice");
        Ok(())
    })
}

#[test]
fn a_password_is_asked_for_twice_on_a_terminal_and_not_shown() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        let answers = [("Password: ", FIRST), ("Again: ", FIRST)];
        let session = relay.place().run_on_terminal(&["user", "add", "alice"], &answers)?;
        assert!(session.status.success(), "{session:?}");
        assert!(session.shown.contains("user alice added"), "{session:?}");
        assert!(!session.shown.contains(FIRST), "{session:?}");
        assert_eq!(login_code(&relay, "alice", FIRST)?, 235);
        let answers = [("Password: ", FIRST), ("Again: ", SECOND)];
        let session = relay.place().run_on_terminal(&["user", "passwd", "alice"], &answers)?;
        assert_eq!(session.status.code(), Some(6), "{session:?}");
        assert!(session.shown.contains("the passwords do not match"), "{session:?}");
        assert_eq!(login_code(&relay, "alice", FIRST)?, 235);
        Ok(())
    })
}

#[test]
fn a_generated_password_is_shown_once_and_works() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        let output = relay.user(&["add", "alice", "--generate"], "")?;
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        let shown = |line: &str| line.strip_prefix("password: ").map(str::to_owned);
        let password = said.lines().find_map(shown).context("no password was shown")?;
        assert!(password.len() >= 16, "{password}");
        assert_eq!(login_code(&relay, "alice", &password)?, 235);
        assert!(!relay.sidecar()?.output().contains(&password));
        Ok(())
    })
}
