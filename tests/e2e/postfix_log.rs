//! Postfix's log: its fields, its addresses, where it goes, and that Postfix never waits for it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::terminal::Terminal;
use relay_tests::wait::{A_WHILE, until};
use rustix::process::Signal;
use serde_json::Value;

fn send(relay: &Relay<'_>, recipient: &str) -> Result<()> {
    let mut client = relay.session(HOME, 25)?;
    client.send("alice@example.org", &[recipient], &message("logged"))?.expect(250)?;
    Ok(())
}

fn line_with(relay: &Relay<'_>, words: &[&str]) -> Result<String> {
    until(&format!("a line with {words:?}"), A_WHILE, || {
        let log = relay.postfix().ok()?.output();
        let found = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        found.map(str::to_owned)
    })
}

#[test]
fn json_lines_have_the_fields_of_each_event() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = lab.relay_to_sink().env("LOG_FORMAT", "json").start()?;
        relay.add_user("alice@example.org", "correct horse battery")?;
        let mut client =
            relay.login(STRANGER, 587, "alice@example.org", "correct horse battery")?;
        client.send("alice@example.org", &["bob@example.net"], &message("json"))?.expect(250)?;

        let delivery: Value = serde_json::from_str(&line_with(&relay, &["status", "sent"])?)?;
        for (name, expected) in [
            ("level", "info"),
            ("program", "postfix"),
            ("service", "smtp"),
            ("to", "bob@example.net"),
            ("relay", "192.0.2.25[192.0.2.25]:2525"),
            ("dsn", "2.0.0"),
            ("status", "sent"),
            ("reason", "250 2.0.0 kept"),
        ] {
            assert_eq!(delivery[name], expected, "{name} of {delivery}");
        }
        assert!(delivery["delay"].is_number() && delivery["pid"].is_number(), "{delivery}");
        assert!(delivery["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{delivery}");
        let received: Value = serde_json::from_str(&line_with(&relay, &["sasl_method"])?)?;
        for (name, expected) in [
            ("service", "submission/smtpd"),
            ("client", "unknown[198.51.100.7]"),
            ("sasl_username", "alice@example.org"),
        ] {
            assert_eq!(received[name], expected, "{name} of {received}");
        }
        assert_eq!(received["queue_id"], delivery["queue_id"]);
        let queued: Value = serde_json::from_str(&line_with(&relay, &["queue active"])?)?;
        assert_eq!((&queued["from"], &queued["nrcpt"]), (&"alice@example.org".into(), &1.into()));
        for line in relay.postfix()?.output().lines() {
            serde_json::from_str::<Value>(line).with_context(|| format!("no JSON: {line}"))?;
        }
        Ok(())
    })
}

#[test]
fn addresses_are_masked_or_hashed_in_every_line() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        for (count, redact) in ["mask", "hash"].into_iter().enumerate() {
            let mut relay = lab.relay_to_sink().env("LOG_REDACT", redact).start()?;
            send(&relay, "bob@example.net")?;
            sink.wait_for(2 * count + 1)?;
            let line = line_with(&relay, &["status=sent"])?;
            assert_eq!(line.contains("to=<b***@example.net>"), redact == "mask", "{line}");
            // In quotes: a refusal has it without them.
            let quoted = r#""hidden> \"hidden@hidden"@example.net"#;
            send(&relay, quoted)?;
            sink.wait_for(2 * count + 2)?;
            let mut stranger = relay.session(STRANGER, 25)?;
            stranger.command("MAIL FROM:<x@example.org>")?.expect(250)?;
            stranger.command(&format!("RCPT TO:<{quoted}>"))?.expect(554)?;
            line_with(&relay, &["reject: RCPT"])?;
            let log = relay.postfix()?.output();
            for local_part in ["bob@", "alice@", "hidden"] {
                assert!(!log.contains(local_part), "{local_part} in {log}");
            }
            relay.postfix.take().context("no Postfix")?.stop()?;
        }
        Ok(())
    })
}

/// What there is to read at the other end of an output, without waiting for more.
fn reader(mut end: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut text, mut chunk) = (String::new(), [0; 4096]);
        // The end of a terminal is an error.
        while let Ok(count @ 1..) = end.read(&mut chunk) {
            text += &String::from_utf8_lossy(chunk.get(..count).unwrap_or_default());
        }
        text
    })
}

fn logs_into(output: OwnedFd, end: impl Read + Send + 'static) -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        relay.spawn_postfix_into(output)?;
        let text = reader(end);
        relay.start()?;
        send(&relay, "bob@example.net")?;
        sink.one_message()?;
        relay.postfix.take().context("no Postfix")?.stop()?;
        let text = text.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        assert!(text.contains("status=sent") && text.contains("daemon started"), "{text}");
        Ok(())
    })
}

#[test]
fn standard_output_may_be_a_pipe_a_socket_or_a_terminal() -> Result<()> {
    let (end, output) = rustix::pipe::pipe()?;
    logs_into(output, File::from(end))?;
    let (end, output) = UnixStream::pair()?;
    logs_into(output.into(), end)?;
    // As some runtimes hand it out.
    let (end, output) = UnixStream::pair()?;
    output.set_nonblocking(true)?;
    logs_into(output.into(), end)?;
    let (end, output) = Terminal::open()?.into_sides();
    logs_into(output.into(), end)
}

/// Both write into one pipe here, and when it is full a line of relay-init's own may come in the middle of a burst of
/// Postfix's lines.
fn without_our_own(text: &str) -> String {
    let mut rest = text;
    let mut others = String::new();
    while let Some((before, ours)) = rest.split_once("relay-init: ") {
        others.push_str(before);
        rest = ours.split_once('\n').map_or("", |(_, behind)| behind);
    }
    others + rest
}

#[test]
fn mail_passes_and_no_delivery_line_is_lost_while_nobody_reads() -> Result<()> {
    in_a_lab(|lab| {
        const MESSAGES: usize = 150;
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        let (end, output) = rustix::pipe::pipe()?;
        // The smallest pipe there is, so that it is full at once; our own lines go there, too.
        rustix::pipe::fcntl_setpipe_size(&output, 4096)?;
        relay.spawn_postfix_into(output)?;
        relay.start()?;
        let mut client = relay.session(HOME, 25)?;
        for number in 0..MESSAGES {
            let recipient = format!("bob-{number}@example.net");
            client.send("alice@example.org", &[&recipient], &message("unread"))?.expect(250)?;
        }
        sink.wait_for(MESSAGES)?;
        // Somebody reads again, and then it is stopped.
        let text = reader({
            let mut end = File::from(end);
            end.read_exact(&mut [0; 1])?;
            end
        });
        let status = relay.postfix.take().context("no Postfix")?.stop()?;
        assert!(status.success(), "relay-init ended with {status}");
        let text = text.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        let text = without_our_own(&text);
        for number in 0..MESSAGES {
            let recipient = format!("to=<bob-{number}@example.net>");
            let is_sent = |line: &&str| line.contains(&recipient) && line.contains("status=sent");
            assert_eq!(text.lines().filter(is_sent).count(), 1, "{recipient} in:\n{text}");
        }
        Ok(())
    })
}

#[test]
fn it_stops_in_time_though_nobody_reads() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        let (_end, output) = rustix::pipe::pipe()?;
        rustix::pipe::fcntl_setpipe_size(&output, 4096)?;
        relay.spawn_postfix_into(output)?;
        relay.start()?;
        for number in 0..30 {
            send(&relay, &format!("bob-{number}@example.net"))?;
        }
        sink.wait_for(30)?;
        let mut postfix = relay.postfix.take().context("no Postfix")?;
        postfix.signal(Signal::TERM)?;
        assert!(postfix.wait_for_end(Duration::from_secs(10))?.success());
        Ok(())
    })
}

#[test]
fn the_sidecar_is_told_of_deliveries_and_of_the_queue() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        // The test listens in the sidecar's place.
        let elsewhere = relay.socket("elsewhere.sock");
        relay.set_sidecar_env("EVENTS_LISTEN", &format!("unix:{}", elsewhere.display()));
        let socket = UnixDatagram::bind(relay.socket("events.sock"))?;
        socket.set_read_timeout(Some(A_WHILE))?;
        relay.start()?;
        send(&relay, "bob@example.net")?;
        let mut wanted = vec!["queue", "postfix", "delivery"];
        let mut buffer = [0; 16 << 10];
        let mut events = Vec::new();
        while !wanted.is_empty() {
            if events.is_empty() {
                let length =
                    socket.recv(&mut buffer).with_context(|| format!("still {wanted:?}"))?;
                events.extend(
                    buffer[..length].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec),
                );
            }
            let event: Value = serde_json::from_slice(&events.remove(0))?;
            assert_eq!(event["v"], 2);
            if event["event"] == "delivery" {
                assert_eq!(
                    (&event["to"], &event["status"]),
                    (&"bob@example.net".into(), &"sent".into())
                );
            }
            if event["event"] == "queue" {
                for queue in ["incoming", "active", "deferred", "hold", "corrupt"] {
                    assert!(event["queues"][queue]["count"].is_number(), "{event}");
                }
            }
            if event["event"] == "postfix" {
                assert!(event["certificates"]["server"].is_number(), "{event}");
                assert!(event["volume"]["free"].is_number(), "{event}");
            }
            wanted.retain(|name| event["event"] != *name);
        }
        Ok(())
    })
}

#[test]
fn a_file_gets_the_log_to_the_last_line() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().build()?;
        let path = lab.evidence.directory()?.join("output");
        relay.spawn_postfix_into(File::create(&path)?.into())?;
        relay.start()?;
        relay.postfix.take().context("no Postfix")?.stop()?;
        let text = std::fs::read_to_string(path)?;
        assert!(text.contains("daemon started") && text.ends_with('\n'), "{text}");
        Ok(())
    })
}
