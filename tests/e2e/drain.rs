//! A stop lets finish what runs: nothing is lost, nothing is delivered twice, and the log says so.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, Lab, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::sink::{Manner, Sink};
use relay_tests::wait::{A_WHILE, until};
use rustix::process::Signal;

/// How long the next hop takes to answer a message.
const SLOW: Duration = Duration::from_millis(250);

fn relay(lab: &Lab) -> Result<Relay<'_>> {
    lab.relay_to_sink().start()
}

fn send(relay: &Relay<'_>, recipient: &str) -> Result<()> {
    let mut client = relay.session(HOME, 25)?;
    client.send("alice@example.org", &[recipient], &message(recipient))?.expect(250)?;
    Ok(())
}

/// Whether every recipient got one message, and the log says `status=sent` once for each.
fn assert_each_once(sink: &Sink, log: &str, recipients: &[String]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for message in sink.messages() {
        *seen.entry(message.recipients.join(" ")).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = recipients.iter().map(|r| (r.clone(), 1)).collect();
    assert_eq!(seen, expected, "messages at the next hop");
    for recipient in recipients {
        let is_sent = |line: &&str| {
            line.contains(&format!("to=<{recipient}>")) && line.contains("status=sent")
        };
        assert_eq!(log.lines().filter(is_sent).count(), 1, "status=sent for {recipient}");
    }
}

fn wait_for_empty_queue(relay: &Relay<'_>) -> Result<()> {
    until("the queue to be empty", A_WHILE, || {
        let queue = relay.postfix().ok()?.exec(&["/usr/sbin/postqueue", "-j"]).ok()?;
        queue.stdout.is_empty().then_some(())
    })
}

/// 50 stops, each while two messages are on their way, at another moment each time.
fn fifty_stops() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        sink.behave(Manner::Slow(SLOW));
        let mut relay = relay(lab)?;
        let mut recipients = Vec::new();
        let mut slowest = Duration::ZERO;
        for stop in 0..50_u32 {
            let before = sink.messages().len();
            for number in 0..2 {
                let recipient = format!("bob-{stop}-{number}@example.net");
                send(&relay, &recipient)?;
                recipients.push(recipient);
            }
            until("a delivery to run", A_WHILE, || (sink.messages().len() > before).then_some(()))?;
            sleep(SLOW * (stop * 7 % 50) / 50);
            let postfix = relay.postfix.take().context("no Postfix")?;
            let started = Instant::now();
            ensure!(postfix.stop()?.success(), "stop {stop} ended badly");
            slowest = slowest.max(started.elapsed());
            relay.start()?;
        }
        wait_for_empty_queue(&relay)?;
        let log = std::fs::read_to_string(lab.evidence.log("relay-postfix.log")?)?;
        assert_each_once(&sink, &log, &recipients);
        assert!(slowest < SLOW + Duration::from_secs(3), "a stop took {slowest:?}");
        Ok(())
    })
}

#[test]
fn stops_1_to_50_during_delivery_lose_and_double_nothing() -> Result<()> {
    fifty_stops()
}

#[test]
fn stops_51_to_100_during_delivery_lose_and_double_nothing() -> Result<()> {
    fifty_stops()
}

#[test]
fn stops_101_to_150_during_delivery_lose_and_double_nothing() -> Result<()> {
    fifty_stops()
}

#[test]
fn stops_151_to_200_during_delivery_lose_and_double_nothing() -> Result<()> {
    fifty_stops()
}

#[test]
fn while_it_stops_a_message_is_taken_to_its_end_and_new_clients_are_sent_away() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = relay(lab)?;
        let mut client = relay.session(HOME, 25)?;
        for (command, code) in [
            ("MAIL FROM:<alice@example.org>", 250),
            ("RCPT TO:<bob@example.net>", 250),
            ("DATA", 354),
        ] {
            client.command(command)?.expect(code)?;
        }
        relay.postfix()?.signal(Signal::TERM)?;
        until("port 25 to send clients away", A_WHILE, || {
            let error = relay.connect(STRANGER, 25).err()?;
            format!("{error:#}").contains("421").then_some(())
        })?;
        for port in [587, 465] {
            let error = relay.connect(STRANGER, port).err().context("a client was taken")?;
            assert!(format!("{error:#}").contains("421 4.3.2"), "port {port}: {error:#}");
        }
        client.raw(b"Subject: in DATA\r\n\r\nwhen the stop came\r\n.\r\n")?;
        client.reply()?.expect(250)?;
        let status = relay.postfix.take().context("no Postfix")?.wait_for_end(A_WHILE)?;
        assert!(status.success(), "relay-init ended with {status}");
        // Accepted, and delivered when it is back.
        assert_eq!(sink.messages(), []);
        relay.start()?;
        assert_eq!(sink.one_message()?.recipients, ["bob@example.net"]);
        Ok(())
    })
}

#[test]
fn a_message_that_begins_while_it_stops_is_taken_to_its_end_as_well() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = relay(lab)?;
        let (mut first, mut second) = (relay.session(HOME, 25)?, relay.session(HOME, 25)?);
        let begin = [("MAIL FROM:<a@example.org>", 250), ("RCPT TO:<b@example.net>", 250)];
        for (command, code) in begin {
            first.command(command)?.expect(code)?;
        }
        relay.postfix()?.signal(Signal::TERM)?;
        until("port 25 to send clients away", A_WHILE, || {
            let error = relay.connect(STRANGER, 25).err()?;
            format!("{error:#}").contains("421").then_some(())
        })?;
        for (command, code) in begin {
            second.command(command)?.expect(code)?;
        }
        second.command("DATA")?.expect(354)?;
        first.command("QUIT")?.expect(221)?;
        // Longer than a stop takes that waits for nothing.
        sleep(Duration::from_secs(2));
        second.raw(b"Subject: begun\r\n\r\nafter the stop came\r\n.\r\n")?;
        second.reply()?.expect(250)?;
        let status = relay.postfix.take().context("no Postfix")?.wait_for_end(A_WHILE)?;
        assert!(status.success(), "relay-init ended with {status}");
        relay.start()?;
        assert_eq!(sink.one_message()?.recipients, ["b@example.net"]);
        Ok(())
    })
}

/// A relay that was told to stop while a delivery runs that does not end.
fn stopping_for_long<'lab>(lab: &'lab Lab, sink: &Sink, seconds: &str) -> Result<Relay<'lab>> {
    sink.behave(Manner::Slow(Duration::from_secs(20)));
    let relay = lab.relay_to_sink().env("DRAIN_SECONDS", seconds).start()?;
    send(&relay, "bob@example.net")?;
    sink.one_message()?;
    relay.postfix()?.signal(Signal::TERM)?;
    Ok(relay)
}

#[test]
fn after_drain_seconds_it_stops_whatever_runs_and_says_so() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = stopping_for_long(lab, &sink, "2")?;
        let started = Instant::now();
        let mut postfix = relay.postfix.take().context("no Postfix")?;
        assert!(postfix.wait_for_end(A_WHILE)?.success());
        let took = started.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
        let log = postfix.output();
        assert!(log.contains("interrupting 1 delivery and 0 incoming messages"), "{log}");
        Ok(())
    })
}

#[test]
fn a_second_sigterm_ends_it_at_once() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = stopping_for_long(lab, &sink, "45")?;
        let mut postfix = relay.postfix.take().context("no Postfix")?;
        until("the drain to begin", A_WHILE, || {
            postfix.output().contains("giving work in progress 45 s to finish").then_some(())
        })?;
        let started = Instant::now();
        postfix.signal(Signal::TERM)?;
        assert!(postfix.wait_for_end(A_WHILE)?.success());
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        // Not lost: whether it arrives twice is up to the next hop, which had it when it was cut.
        sink.behave(Manner::Accept);
        relay.start()?;
        sink.wait_for(2)?;
        Ok(())
    })
}

#[test]
fn a_kill_of_everything_during_delivery_loses_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        sink.behave(Manner::Slow(SLOW));
        let mut relay = relay(lab)?;
        let mut recipients = BTreeSet::new();
        for kill in 0..10_u32 {
            let before = sink.messages().len();
            for number in 0..2 {
                let recipient = format!("bob-{kill}-{number}@example.net");
                send(&relay, &recipient)?;
                recipients.insert(recipient);
            }
            until("a delivery to run", A_WHILE, || (sink.messages().len() > before).then_some(()))?;
            sleep(SLOW * kill / 10);
            relay.kill()?;
            relay.start()?;
        }
        until("every message at the next hop", A_WHILE, || {
            let messages = sink.messages();
            let seen: BTreeSet<_> = messages.into_iter().flat_map(|m| m.recipients).collect();
            (seen == recipients).then_some(())
        })
    })
}

#[test]
fn sighup_reloads_postfix_and_cuts_no_session() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay(lab)?;
        let mut client = relay.session(HOME, 25)?;
        relay.postfix()?.signal(Signal::HUP)?;
        until("master to reload", A_WHILE, || {
            relay.postfix().ok()?.output().contains(": reload -- version").then_some(())
        })?;
        client.send("alice@example.org", &["bob@example.net"], &message("old"))?.expect(250)?;
        send(&relay, "carol@example.net")?;
        sink.wait_for(2)?;
        Ok(())
    })
}
