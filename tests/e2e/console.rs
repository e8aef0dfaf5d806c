//! `relay status` and `relay top`, and the socket that they ask.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, in_a_lab};
use relay_tests::message::message;
use relay_tests::process::signal;
use relay_tests::relay::Relay;
use relay_tests::sidecar::USER;
use relay_tests::terminal::OnTerminal;
use relay_tests::wait::{A_WHILE, until};
use rustix::process::Signal;
use serde_json::Value;

/// The other screen and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// What `relay status` says, and its exit code.
fn status(relay: &Relay<'_>, arguments: &[&str]) -> Result<(String, Option<i32>)> {
    let output = relay.place().run(&[&["status"], arguments].concat(), "")?;
    let said = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8(said)?, output.status.code()))
}

fn wait_until_mail_flows(relay: &Relay<'_>) -> Result<String> {
    let mut last = String::new();
    until("mail to flow", 2 * A_WHILE, || {
        let (text, code) = status(relay, &[]).ok()?;
        last = text;
        (code == Some(0)).then(|| last.clone())
    })
    .with_context(|| last.clone())
}

#[test]
fn the_status_says_whether_mail_flows_and_the_exit_code_too() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().start()?;
        let sink = lab.sink()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.com", &["bob@example.net"], &message("one"))?.expect(250)?;
        sink.one_message()?;
        let text = wait_until_mail_flows(&relay)?;
        assert!(text.starts_with("Mail flows\n"), "{text}");
        assert!(!text.contains('\x1b'), "no colours in a pipe: {text}");
        for line in ["deferred          0", "server certificate ", "Postfix 3.", "relay 0."] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let (json, code) = status(&relay, &["--json"])?;
        let json: Value = serde_json::from_str(&json)?;
        let page = relay.sidecar()?.get("/api/status")?;
        let (_, body) = page.split_once("\r\n\r\n").context("no body")?;
        let members = |value: &Value| value.as_object().map(|all| all.keys().cloned().collect());
        let names: Option<Vec<String>> = members(&json);
        assert_eq!(names, members(&serde_json::from_str(body)?));
        assert_eq!((&json["flow"], code), (&"flows".into(), Some(0)));
        // A sidecar that has heard of nobody does not know.
        relay.postfix.take().context("no Postfix")?.stop()?;
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start_sidecar()?;
        let (text, code) = status(&relay, &[])?;
        assert!(text.starts_with("Not known: Postfix has not been heard of"), "{text}");
        assert_eq!(code, Some(9));
        relay.sidecar.take().context("no sidecar")?.kill();
        for command in ["status", "top", "history"] {
            let session = relay.place().run_on_terminal(&[command], &[])?;
            assert!(session.shown.contains("relay serve does not run here"), "{}", session.shown);
            assert!(!session.shown.contains(ENTER), "{}", session.shown);
            assert_eq!(session.status.code(), Some(1));
        }
        // What a killed process left is no hindrance.
        relay.start_sidecar()?;
        assert_eq!(status(&relay, &[])?.1, Some(9));
        Ok(())
    })
}

#[test]
fn colours_are_for_a_terminal_that_wants_them() -> Result<()> {
    in_a_lab(|lab| {
        for (no_color, expected) in [("", true), ("1", false)] {
            let mut relay = lab.relay_to_sink().sidecar_env("NO_COLOR", no_color).build()?;
            relay.start_sidecar()?;
            let session = relay.place().run_on_terminal(&["status"], &[])?;
            assert_eq!(session.shown.contains("\x1b[1m"), expected, "{}", session.shown);
            relay.sidecar.take().context("no sidecar")?.stop()?;
        }
        Ok(())
    })
}

#[test]
fn nobody_else_can_ask() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay_to_sink().start()?;
        let socket = relay.users().join("control.sock").metadata()?;
        assert_eq!((socket.mode() & 0o777, socket.uid()), (0o600, USER));
        // Not even where the folder lets everybody in.
        std::fs::set_permissions(relay.users(), PermissionsExt::from_mode(0o755))?;
        let program = relay.volumes().join("relay-of-others");
        std::fs::copy(&relay.place().requirements.relay, &program)?;
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
        let output = Command::new("setpriv")
            .args(["--reuid=10999", "--regid=10025", "--clear-groups"])
            .arg(&program)
            .args(["status", "--data-dir"])
            .arg(relay.users())
            .output()?;
        std::fs::remove_file(&program)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("only root and the user that relay serve runs as"), "{said}");
        assert_eq!(output.status.code(), Some(1));
        // The Postfix container does not even have the folder.
        let init = relay.postfix()?.init_id()?;
        let mounts = std::fs::read_to_string(format!("/proc/{init}/mountinfo"))?;
        assert!(mounts.contains("/sockets") && !mounts.contains("/users"), "{mounts}");
        let shared = std::fs::read_dir(format!("/proc/{init}/root/run/relay"))?;
        let shared: Vec<_> = shared.flatten().map(|entry| entry.file_name()).collect();
        assert!(shared.iter().any(|name| name == "sasl.sock"), "{shared:?}");
        assert!(shared.iter().all(|name| name != "control.sock"), "{shared:?}");
        Ok(())
    })
}

/// Starts `relay top`, and waits until it shows something.
fn top(relay: &Relay<'_>) -> Result<OnTerminal> {
    let top = relay.place().start_on_terminal(&["top"])?;
    let shown = top.wait_for("q to leave", 0)?;
    assert!(shown.starts_with(ENTER), "{shown:?}");
    Ok(top)
}

/// What ends `relay top`.
enum Ending {
    Key(u8),
    Signal(Signal),
}

#[test]
fn top_leaves_the_terminal_as_it_was_whatever_ends_it() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().build()?;
        relay.start_sidecar()?;
        for (name, ending) in [
            ("q", Ending::Key(b'q')),
            ("Ctrl-C", Ending::Key(3)),
            ("SIGTERM", Ending::Signal(Signal::TERM)),
            ("SIGINT", Ending::Signal(Signal::INT)),
            ("SIGHUP", Ending::Signal(Signal::HUP)),
        ] {
            let mut top = top(&relay)?;
            match ending {
                Ending::Key(key) => top.press(key)?,
                Ending::Signal(which) => signal(top.id(), which)?,
            }
            top.wait_for(LEAVE, 0).context(name)?;
            let session = top.finish().context(name)?;
            assert!(session.shown.ends_with(LEAVE), "{name}: {:?}", session.shown);
            assert_eq!(session.status.code(), Some(0), "{name}");
        }
        let output = relay.place().run(&["top"], "")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("relay top needs a terminal"), "{said}");
        assert!(output.stdout.is_empty() && output.status.code() == Some(7), "{output:?}");
        Ok(())
    })
}

#[test]
fn top_is_live_fits_any_screen_and_outlives_the_daemon() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().start()?;
        let mut top = top(&relay)?;
        let before = top.shown().len();
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.com", &["bob@example.net"], &message("one"))?.expect(250)?;
        top.wait_for("accepted          1", before)?;
        top.resize(18, 5)?;
        // Neither Ctrl-Z nor Ctrl-S does anything.
        top.press(26)?;
        top.press(19)?;
        let seen = top.shown().len();
        let frames = top.wait_for("q to leave\x1b[H", seen)?;
        let last = frames.rsplit("\x1b[H").nth(1).context("no frame")?;
        let lines: Vec<&str> = last.split("\r\n").collect();
        assert_eq!(lines.len(), 5, "{last:?}");
        let sequences =
            ["\r", "\x1b[K", "\x1b[J", "\x1b[0m", "\x1b[1m", "\x1b[1;32m", "\x1b[1;31m", "\x1b[2m"];
        for line in lines {
            let text = sequences.iter().fold(line.to_owned(), |text, code| text.replace(code, ""));
            assert!(text.chars().count() <= 18, "{text:?}");
        }
        top.resize(100, 30)?;
        relay.sidecar.take().context("no sidecar")?.kill();
        let gone = top.shown().len();
        top.wait_for("relay serve does not run here", gone)?;
        relay.start_sidecar()?;
        let back = top.shown().len();
        top.wait_for("Waiting", back)?;
        top.press(b'Q')?;
        top.finish()?;
        Ok(())
    })
}
