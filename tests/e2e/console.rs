//! What an operator sees on a terminal: `relay status` and `relay top`.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Result, ensure};
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, SINK_RELAYHOST, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::{Builder, Relay};
use relay_tests::wait::{A_WHILE, until};
use serde_json::Value;

fn settings(lab: &Lab) -> Builder<'_> {
    lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).env("RELAYHOST", SINK_RELAYHOST)
}

/// The exit code, what it printed, and what it complained of.
fn run(relay: &Relay<'_>, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let output = relay.place().run(arguments, "")?;
    let text = |bytes| String::from_utf8(bytes);
    Ok((output.status.code(), text(output.stdout)?, text(output.stderr)?))
}

#[test]
fn status_says_whether_mail_flows_and_programs_get_the_same() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = settings(lab).start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.org", &["bob@example.net"], &message("one"))?.expect(250)?;
        sink.wait_for(1)?;
        let shown = until("the delivery in relay status", A_WHILE, || {
            let (code, shown, _) = run(&relay, &["status"]).ok()?;
            (code == Some(0) && shown.contains("  sent              1")).then_some(shown)
        })?;
        ensure!(shown.starts_with("Mail flows\n"), "{shown}");
        ensure!(shown.contains("Postfix 3.10") && !shown.contains('\x1b'), "{shown}");
        let (_, json, _) = run(&relay, &["status", "--json"])?;
        let status: Value = serde_json::from_str(&json)?;
        ensure!(status["flow"] == "flows" && status["last_hour"]["accepted"] == 1, "{json}");
        let page = relay.sidecar()?.get("/api/status")?;
        let body = page.split("\r\n\r\n").nth(1).unwrap_or_default();
        let api: Value = serde_json::from_str(body)?;
        for member in ["flow", "last_hour", "queues", "postfix", "version"] {
            ensure!(api[member].is_null() == status[member].is_null(), "{member}: {body}");
        }
        Ok(())
    })
}

#[test]
fn only_its_owner_may_ask_and_a_daemon_that_is_away_is_told() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = settings(lab).build()?;
        let (code, _, complaint) = run(&relay, &["status"])?;
        ensure!(code == Some(1) && complaint.contains("relay serve does not run"), "{complaint}");
        relay.start_sidecar()?;
        let socket = std::fs::metadata(relay.users().join("control.sock"))?;
        ensure!(socket.permissions().mode() & 0o777 == 0o600 && socket.uid() == 10_027);
        let shared = std::fs::read_dir(relay.volumes().join("sockets"))?;
        for entry in shared {
            ensure!(entry?.file_name() != "control.sock", "Postfix's container sees it");
        }
        let (code, shown, _) = run(&relay, &["status"])?;
        ensure!(code == Some(9) && shown.starts_with("Not known"), "{shown}");
        // What an earlier process left is no obstacle.
        relay.sidecar.take().expect("it runs").kill();
        relay.start_sidecar()?;
        ensure!(run(&relay, &["history"])?.0 == Some(0));
        Ok(())
    })
}

#[test]
fn top_leaves_the_terminal_as_it_was() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = settings(lab).build()?;
        relay.start_sidecar()?;
        // q, and Ctrl-C.
        for key in ["q", "\x03"] {
            let prompt = "q to leave\x1b[0m";
            let session = relay.place().run_on_terminal(&["top"], &[(prompt, key)])?;
            ensure!(session.status.success(), "{:?}: {}", session.status, session.shown);
            ensure!(session.shown.contains("\x1b[?1049h") && session.shown.contains("Not known"));
            // The line end that was typed behind the key shows, as the terminal echoes again.
            let shown = session.shown.trim_end();
            ensure!(shown.ends_with("\x1b[?25h\x1b[?1049l"), "{shown:?}");
            ensure!(session.echoes, "the terminal shows no longer what is typed");
        }
        let (code, _, complaint) = run(&relay, &["top"])?;
        ensure!(code == Some(7) && complaint.contains("needs a terminal"), "{complaint}");
        Ok(())
    })
}
