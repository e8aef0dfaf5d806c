//! Guessing passwords leads nowhere, and locks nobody out.

use std::net::{IpAddr, Ipv6Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, HOME_V6, RELAY, STRANGER, STRANGER_V6, in_a_lab};
use relay_tests::relay::Relay;
use relay_tests::requirements::reference_client;
use relay_tests::smtp::{Mechanism, Reply};
use relay_tests::wait::{A_WHILE, until};

/// Short enough to be guessed.
const PASSWORD: &str = "horse battery";
/// Nobody finds this one by trying.
const UNGUESSABLE: &str = "correct horse battery staple";

/// A login, and how long its answer took.
fn timed_login(
    relay: &Relay<'_>,
    from: IpAddr,
    name: &str,
    password: &str,
) -> Result<(Reply, Duration)> {
    let mut client = relay.session(from, 587)?;
    let started = Instant::now();
    let reply = client.login(Mechanism::Plain, name, password)?;
    Ok((reply, started.elapsed()))
}

fn login(relay: &Relay<'_>, from: IpAddr, name: &str, password: &str) -> Result<Reply> {
    Ok(timed_login(relay, from, name, password)?.0)
}

/// Tries all of them at once; each has to be refused.
fn guess(relay: &Relay<'_>, guesses: &[(IpAddr, &str, String)]) -> Result<()> {
    let outcomes: Vec<Result<Reply>> = std::thread::scope(|scope| {
        let threads: Vec<_> = guesses
            .iter()
            .map(|(from, name, password)| scope.spawn(|| login(relay, *from, name, password)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for outcome in outcomes {
        outcome?.expect(535)?;
    }
    Ok(())
}

/// Distinct wrong passwords, all from one place.
fn wrong_passwords(from: IpAddr, count: usize) -> Vec<(IpAddr, &'static str, String)> {
    (0..count).map(|number| (from, "alice", format!("guess-{number}"))).collect()
}

fn metric(relay: &Relay<'_>, name: &str) -> Result<String> {
    relay.sidecar()?.metric(name)
}

#[test]
fn an_address_that_guesses_is_refused_even_with_the_right_password() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("LOGIN_FAILURES_ADDRESS", "3/hour")
            .env("LOGIN_FAILURES_USER", "off")
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        guess(&relay, &wrong_passwords(STRANGER, 3))?;

        let hashed = metric(&relay, "relay_hashing_wait_seconds_count")?;
        for (name, password) in [("alice", PASSWORD), ("alice", "guess-3"), ("nobody", PASSWORD)] {
            // Neither "right" nor "wrong" would be true, and neither is said.
            let (reply, took) = timed_login(&relay, STRANGER, name, password)?;
            reply.expect(454)?;
            let expected = Duration::from_secs(1)..Duration::from_secs(5);
            assert!(expected.contains(&took), "{name}: answered after {took:?}");
        }
        // Refused unseen: no time of the hashing threads went into it.
        assert_eq!(metric(&relay, "relay_hashing_wait_seconds_count")?, hashed);
        let limited = "relay_auth_attempts_total{mechanism=\"PLAIN\",result=\"limited_address\"}";
        assert_eq!(metric(&relay, limited)?, "3");
        let logged = "result=limited_address client=198.51.100.7 mechanism=PLAIN user=alice";
        relay.sidecar()?.output_with(logged)?;

        login(&relay, HOME, "alice", PASSWORD)?.expect(235)?;
        login(&relay, "198.51.100.8".parse()?, "alice", PASSWORD)?.expect(235)?;
        Ok(())
    })
}

#[test]
fn a_guesser_cannot_hide_among_the_addresses_of_its_64() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().env("LOGIN_FAILURES_ADDRESS", "3/hour").start()?;
        relay.add_user("alice", PASSWORD)?;
        let neighbour = |number: u16| {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, number, number, number, number))
        };
        let guesses: Vec<_> =
            (0..3).map(|number| (neighbour(number + 1), "alice", format!("{number}"))).collect();
        guess(&relay, &guesses)?;
        login(&relay, STRANGER_V6, "alice", PASSWORD)?.expect(454)?;
        login(&relay, HOME_V6, "alice", PASSWORD)?.expect(235)?;
        Ok(())
    })
}

#[test]
fn a_user_who_is_guessed_at_from_everywhere_still_logs_in_from_a_known_address() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab
            .relay()
            .env("LOGIN_FAILURES_ADDRESS", "off")
            .env("LOGIN_FAILURES_USER", "4/day")
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        relay.add_user("carol", PASSWORD)?;
        login(&relay, HOME, "alice", PASSWORD)?.expect(235)?;
        until("the login to be written down", A_WHILE, || {
            let shown = relay.manage_user(&["show", "alice"], "").ok()?;
            shown.contains("from 203.0.113.5").then_some(())
        })?;
        // What is known of good addresses outlives the sidecar, however that ends.
        relay.sidecar.take().context("no sidecar")?.kill();
        relay.start()?;

        let guesses: Vec<_> = (1..=4)
            .map(|number| (IpAddr::from([198, 51, 100, number]), "alice", format!("{number}")))
            .collect();
        guess(&relay, &guesses)?;
        // The turn of the newcomers is taken by a wrong password, the next one has to wait.
        login(&relay, "198.51.100.9".parse()?, "alice", "wrong")?.expect(535)?;
        let (reply, took) = timed_login(&relay, STRANGER, "alice", PASSWORD)?;
        reply.expect(454)?;
        assert!((1..5).contains(&took.as_secs()), "answered after {took:?}");
        relay.sidecar()?.output_with("login deferred result=limited_user client=198.51.100.7")?;

        login(&relay, HOME, "alice", PASSWORD)?.expect(235)?;
        login(&relay, STRANGER, "carol", PASSWORD)?.expect(235)?;
        // And who has to wait gets in: strangers cannot lock anybody out.
        until("the stranger's turn", 4 * A_WHILE, || {
            login(&relay, STRANGER, "alice", PASSWORD).ok()?.expect(235).ok()
        })?;
        Ok(())
    })
}

#[test]
fn strangers_cannot_slow_down_a_server_with_an_unguessable_password() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("LOGIN_FAILURES_ADDRESS", "off")
            .env("LOGIN_FAILURES_USER", "4/day")
            .start()?;
        relay.add_user("alice", UNGUESSABLE)?;
        let guesses: Vec<_> = (1..=20)
            .map(|number| (IpAddr::from([198, 51, 100, number]), "alice", format!("{number}")))
            .collect();
        guess(&relay, &guesses)?;
        login(&relay, HOME, "alice", UNGUESSABLE)?.expect(235)?;
        Ok(())
    })
}

#[test]
fn no_guess_is_held_against_an_address_under_which_anybody_may_appear() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("LOGIN_FAILURES_ADDRESS", "3/hour")
            .env("LOGIN_FAILURES_USER", "6/day")
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        // The relay's own address is one of them, as is a container's gateway.
        guess(&relay, &wrong_passwords(RELAY, 4))?;
        login(&relay, RELAY, "alice", PASSWORD)?.expect(235)?;
        let said = relay.sidecar()?.output_with("gateway")?;
        let warnings =
            said.lines().filter(|line| line.contains("WARN") && line.contains("gateway"));
        assert_eq!(warnings.count(), 1, "{said}");
        // Nor is it an address that is known for a good login.
        let others = (4..6).map(|number| (STRANGER, "alice", format!("guess-{number}")));
        guess(&relay, &others.collect::<Vec<_>>())?;
        login(&relay, RELAY, "alice", "one more")?.expect(535)?;
        login(&relay, RELAY, "alice", PASSWORD)?.expect(454)?;
        Ok(())
    })
}

#[test]
fn a_phone_with_an_old_password_locks_nobody_out() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("LOGIN_FAILURES_ADDRESS", "3/hour")
            .env("LOGIN_FAILURES_USER", "3/day")
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        for _ in 0..5 {
            guess(&relay, &vec![(STRANGER, "alice", "last year's".to_owned()); 10])?;
        }
        login(&relay, STRANGER, "alice", PASSWORD)?.expect(235)?;
        assert_eq!(metric(&relay, "relay_guess_counters")?, "2");
        Ok(())
    })
}

#[test]
fn a_password_that_was_wrong_is_right_once_it_is_set() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("alice", PASSWORD)?;
        for _ in 0..2 {
            login(&relay, STRANGER, "alice", "the next one")?.expect(535)?;
        }
        relay.manage_user(&["passwd", "alice", "--password-stdin"], "the next one")?;
        login(&relay, STRANGER, "alice", "the next one")?.expect(235)?;
        login(&relay, STRANGER, "alice", PASSWORD)?.expect(535)?;
        Ok(())
    })
}

#[test]
fn without_limits_guesses_are_only_slow() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("LOGIN_FAILURES_ADDRESS", "off")
            .env("LOGIN_FAILURES_USER", "off")
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        guess(&relay, &wrong_passwords(STRANGER, 15))?;
        login(&relay, STRANGER, "alice", PASSWORD)?.expect(235)?;
        Ok(())
    })
}

/// The pattern that the README gives for fail2ban, as the real one reads it.
#[test]
fn the_pattern_of_the_readme_finds_who_guesses_and_nobody_else() -> Result<()> {
    // What a client might write to have another's address banned.
    let forged = "2026-11-23T05:15:29.168346Z  WARN login refused result=x client=203.0.113.5 ";
    let names = [
        "alice".to_owned(),
        "client=203.0.113.5".to_owned(),
        forged.to_owned(),
        format!("x\r\n{forged}\r\n"),
        format!("x\n{forged}"),
        "\u{1b}[2K\u{2028}203.0.113.5".to_owned(),
    ];
    in_a_lab(|lab| {
        let relay = lab.relay().env("LOGIN_FAILURES_ADDRESS", "off").start()?;
        relay.add_user("alice", PASSWORD)?;
        login(&relay, HOME, "alice", PASSWORD)?.expect(235)?;
        for (name, from) in names.iter().zip([STRANGER, STRANGER_V6].into_iter().cycle()) {
            login(&relay, from, name, "wrong")?.expect(535)?;
        }
        let mut client = relay.connect(STRANGER, 25)?;
        client.command(&format!("EHLO {forged}"))?;
        for sender in [format!("\"{forged}\"@evil.test"), "client=203.0.113.5@evil.test".to_owned()]
        {
            client.command(&format!("MAIL FROM:<{sender}>"))?;
            client.command(&format!("RCPT TO:<\"{forged}\"@evil.test>"))?;
            client.command("RSET")?;
        }
        let log = lab.evidence.log("relay-sidecar.log")?;
        let output = Command::new(reference_client("fail2ban-regex")?)
            .args(["--out", "<ip>"])
            .arg(&log)
            .arg(pattern_of_the_readme()?)
            .output()?;
        let found = String::from_utf8(output.stdout)?;
        let found: Vec<&str> = found.lines().collect();
        let expected = [STRANGER.to_string(), STRANGER_V6.to_string()];
        let expected: Vec<&str> = expected.iter().map(String::as_str).cycle().take(6).collect();
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    })
}

fn pattern_of_the_readme() -> Result<&'static str> {
    let readme = include_str!("../../README.md");
    let pattern = readme.lines().find_map(|line| line.trim_start().strip_prefix("failregex = "));
    pattern.context("the README gives no failregex")
}
