//! When a part is down, mail waits: nothing is accepted unchecked, and nothing accepted is lost.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, Lab, SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::{message, split_received};
use relay_tests::relay::{PORTS, Relay};
use relay_tests::sidecar::{GROUP, USER};
use relay_tests::sink::Manner;
use relay_tests::smtp::{Mechanism, Reply};
use relay_tests::wait::{A_WHILE, until};
use rustix::process::Signal;

const PASSWORD: &str = "correct horse battery";
const RECOVERY: Duration = Duration::from_secs(3);

fn relay_with_alice(lab: &Lab) -> Result<Relay<'_>> {
    let relay = lab.relay_to_sink().start()?;
    relay.add_user("alice", PASSWORD)?;
    Ok(relay)
}

fn send_logged_in(relay: &Relay<'_>, port: u16) -> Result<Reply> {
    let mut client = relay.session(STRANGER, port)?;
    let reply = client.login(Mechanism::Plain, "alice", PASSWORD)?;
    if reply.code != 235 {
        return Ok(reply);
    }
    client.send("alice@example.org", &["bob@example.net"], &message("logged-in"))
}

fn send_from_home(relay: &Relay<'_>, port: u16) -> Result<Reply> {
    let mut client = relay.session(HOME, port)?;
    client.send("alice@example.org", &["bob@example.net"], &message("home"))
}

#[test]
fn without_the_sidecar_clients_are_told_to_come_again_and_nothing_is_accepted() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = relay_with_alice(lab)?;
        // Sessions that were in order before the sidecar went.
        let mut logged_in = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let mut with_recipient = relay.login(STRANGER, 465, "alice", PASSWORD)?;
        with_recipient.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        with_recipient.command("RCPT TO:<bob@example.net>")?.expect(250)?;

        relay.sidecar.take().context("no sidecar")?.stop()?;

        let reply = logged_in.send("alice@example.org", &["bob@example.net"], &message("no"))?;
        assert!(matches!(reply.code, 451 | 454), "a session that was logged in: {reply}");
        let reply = with_recipient.data(&message("no"))?;
        assert!(matches!(reply.code, 451 | 454), "a session that had its recipient: {reply}");
        for port in PORTS {
            let mut attempts = vec![("from home", send_from_home(&relay, port))];
            if port != 25 {
                attempts.push(("logged in", send_logged_in(&relay, port)));
            }
            for (what, outcome) in attempts {
                // On the login ports the session may also end before it can be used.
                match outcome {
                    Ok(reply) => assert!(matches!(reply.code, 451 | 454), "{what} {port}: {reply}"),
                    Err(error) => assert!(port != 25, "{what} {port}: {error:#}"),
                }
            }
        }
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn when_the_sidecar_is_back_the_same_client_succeeds_within_three_seconds() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = relay_with_alice(lab)?;
        for round in 1..=2 {
            relay.sidecar.take().context("no sidecar")?.stop()?;
            // Clients that come while it is away: their smtpd must not put the port to sleep for a minute.
            for port in [587, 465] {
                let accepted = send_logged_in(&relay, port).is_ok_and(|reply| reply.is_positive());
                assert!(!accepted, "accepted without the sidecar on {port}");
            }
            relay.spawn()?;
            for port in [587, 465] {
                until("a login and a message", RECOVERY, || {
                    send_logged_in(&relay, port).ok().filter(Reply::is_positive)
                })?;
            }
            until("a message from home", RECOVERY, || {
                send_from_home(&relay, 25).ok().filter(Reply::is_positive)
            })?;
            sink.wait_for(3 * round)?;
        }
        Ok(())
    })
}

#[test]
fn started_before_the_sidecar_postfix_waits_for_it_and_says_so() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).build()?;
        relay.spawn_postfix()?;
        until("a word about the sidecar", A_WHILE, || {
            relay.postfix().ok()?.output().contains("waiting for the sidecar").then_some(())
        })?;
        assert!(!relay.namespace().listens(587)?, "port 587 is open without a sidecar");
        relay.start_sidecar()?;
        relay.add_user("alice", PASSWORD)?;
        until("a login and a message", RECOVERY, || {
            send_logged_in(&relay, 587).ok().filter(Reply::is_positive)
        })?;
        sink.one_message()?;
        Ok(())
    })
}

#[test]
fn a_killed_sidecar_starts_again_on_its_stale_sockets() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = relay_with_alice(lab)?;
        relay.sidecar.take().context("no sidecar")?.kill();
        relay.start()?;
        send_logged_in(&relay, 587)?.expect(250)?;
        sink.one_message()?;
        Ok(())
    })
}

#[test]
fn a_second_sidecar_on_sockets_in_use_is_an_error_and_the_first_goes_on() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = relay_with_alice(lab)?;
        let first = relay.sidecar.take().context("no sidecar")?;
        relay.spawn()?;
        let mut second = relay.sidecar.take().context("no sidecar")?;
        let status = second.wait_for_end(A_WHILE)?;
        assert!(!status.success(), "the second sidecar ended with {status}");
        assert!(second.output().contains("sasl.sock"), "{}", second.output());
        relay.sidecar = Some(first);
        send_from_home(&relay, 25)?.expect(250)?;
        Ok(())
    })
}

#[test]
fn a_damaged_user_record_is_a_temporary_failure_and_never_a_login() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = relay_with_alice(lab)?;
        relay.add_user("bob", PASSWORD)?;
        relay.sidecar.take().context("no sidecar")?.stop()?;
        let file = relay.users().join("users.mdb");
        let mut data = std::fs::read(&file)?;
        // A record, that is a key and its value, lies in one piece; LMDB itself checks nothing.
        let is_alice = |window: &[u8]| window == b"alice";
        let mut records = 0;
        for key in (0..data.len() - 5).filter(|&at| is_alice(&data[at..at + 5])).collect::<Vec<_>>()
        {
            let hash = data[key..].windows(10).position(|window| window == b"$argon2id$");
            let end = key + hash.context("no hash behind the key")? + 60;
            data[end] ^= 1;
            records += 1;
        }
        assert!(records > 0, "no record of alice");
        std::fs::write(&file, data)?;
        relay.start()?;
        let mut client = relay.session(STRANGER, 587)?;
        let reply = client.login(Mechanism::Plain, "alice", PASSWORD)?;
        assert_eq!(reply.code, 454, "{reply}");
        relay.login(STRANGER, 587, "bob", PASSWORD)?;
        let log = relay.sidecar()?.output_with("ERROR")?;
        assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("alice")), "{log}");
        Ok(())
    })
}

#[test]
fn the_health_checks_tell_a_relay_that_serves_from_one_that_does_not() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().start()?;
        let check = ["/usr/bin/relay-init", "healthcheck"];
        relay.postfix()?.exec(&check)?;
        assert!(relay.place().run(&["healthcheck"], "")?.status.success());

        relay.sidecar.take().context("no sidecar")?.stop()?;
        let error = relay.postfix()?.exec(&check).err().context("healthy without a sidecar")?;
        assert!(format!("{error:#}").contains("sidecar"), "{error:#}");
        assert_eq!(relay.place().run(&["healthcheck"], "")?.status.code(), Some(1));
        Ok(())
    })
}

#[test]
fn the_sockets_are_for_the_relays_group_only() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        for name in ["sasl.sock", "policy.sock", "milter.sock"] {
            let metadata = std::fs::metadata(relay.socket(name))?;
            let seen = (metadata.permissions().mode() & 0o777, metadata.uid(), metadata.gid());
            assert_eq!(seen, (0o660, USER, GROUP), "{name}");
        }
        Ok(())
    })
}

#[test]
fn sigterm_ends_the_sidecar_well_though_postfix_holds_its_connections() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = relay_with_alice(lab)?;
        let _open = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let sidecar = relay.sidecar.take().context("no sidecar")?;
        let started = std::time::Instant::now();
        let status = sidecar.stop()?;
        assert!(status.success(), "the sidecar ended with {status}");
        assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
        Ok(())
    })
}

#[test]
fn sigterm_ends_the_postfix_container_well() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = relay_with_alice(lab)?;
        let status = relay.postfix.take().context("no Postfix")?.stop()?;
        assert!(status.success(), "relay-init ended with {status}");
        Ok(())
    })
}

#[test]
fn when_master_dies_the_container_ends_with_an_error() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = relay_with_alice(lab)?;
        let mut postfix = relay.postfix.take().context("no Postfix")?;
        let master = master_of(postfix.init_id()?)?;
        relay_tests::process::signal(master, Signal::KILL)?;
        let status = postfix.wait_for_end(A_WHILE)?;
        assert!(!status.success(), "relay-init ended with {status}");
        assert!(postfix.output().contains("master"), "{}", postfix.output());
        Ok(())
    })
}

fn master_of(init: u32) -> Result<u32> {
    let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children"))?;
    let is_master = |id: &u32| {
        std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name == "master\n")
    };
    children
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .find(is_master)
        .context("no master")
}

#[test]
fn queued_mail_users_and_certificate_survive_a_kill_of_everything() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        sink.behave(Manner::Silent);
        let mut relay = relay_with_alice(lab)?;
        let sent = message("queued");
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let certificate = client.certificate();
        client.send("alice@example.org", &["bob@example.net"], &sent)?.expect(250)?;

        relay.kill()?;
        assert_eq!(sink.messages(), []);
        sink.behave(Manner::Accept);
        relay.start()?;

        let arrived = sink.one_message()?;
        assert_eq!(split_received(&arrived.data)?.1, sent);
        let client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        assert_eq!(client.certificate(), certificate);
        Ok(())
    })
}

#[test]
fn mail_waits_for_a_next_hop_that_is_away_and_the_queue_can_be_seen_and_flushed() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_alice(lab)?;
        send_from_home(&relay, 25)?.expect(250)?;
        // The queue file has to be in place: what is flushed before it is there waits for the next run.
        let entry = until("the message to be deferred", A_WHILE, || {
            let queue = relay.postfix().ok()?.exec(&["/usr/sbin/postqueue", "-j"]).ok()?;
            let entry: serde_json::Value = serde_json::from_slice(&queue.stdout).ok()?;
            (entry["queue_name"] == "deferred").then_some(entry)
        })?;
        assert_eq!(entry["recipients"][0]["address"], "bob@example.net");
        let reason = entry["recipients"][0]["delay_reason"].to_string();
        assert!(reason.contains("refused"), "{reason}");
        let listing = relay.postfix()?.exec(&["/usr/sbin/postqueue", "-p"])?;
        assert!(String::from_utf8(listing.stdout)?.contains("bob@example.net"));
        let sink = lab.sink()?;
        relay.postfix()?.exec(&["/usr/sbin/postqueue", "-f"])?;
        sink.one_message()?;
        Ok(())
    })
}
