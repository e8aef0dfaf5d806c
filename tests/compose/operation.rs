//! What an operator does on the first day, and what the containers are allowed to do meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use relay_tests::wait;

use crate::command::docker;
use crate::stack::{DELIVERY, Stack, with_a_stack};

const TO_SINK: [&str; 2] = ["RELAY_MYHOSTNAME=relay.example.org", "RELAYHOST=[sink]:25"];
const ALICE: (&str, &str) = ("alice", "canary-of-alice-1729");
const TO_BOB: [&str; 2] = ["--to", "bob@example.net"];

#[test]
fn a_user_added_by_hand_sends_on_both_ports() -> Result<()> {
    with_a_stack(&TO_SINK, |stack| {
        stack.add_user(ALICE.0, ALICE.1)?;
        let carols = stack.generate_user("carol")?;
        for (user, password) in [ALICE, ("carol", &carols)] {
            for port in [587, 465] {
                let (accepted, said) = stack.swaks(&TO_BOB, (user, password), port)?;
                assert!(accepted, "{user} on {port}: {said}");
            }
        }
        let arrived = stack.arrived(4)?;
        assert!(arrived.iter().all(|message| message.contains("X-Rcpt-Args: <bob@example.net>")));

        let (accepted, said) = stack.swaks(&TO_BOB, ("alice", "canary-that-is-wrong"), 587)?;
        assert!(!accepted && said.contains("535 5.7.8"), "{said}");
        let queue = stack.exec("postfix", &["postqueue", "-p"])?;
        assert_eq!(queue, "Mail queue is empty");
        let users = stack.exec("sidecar", &["relay", "user", "list", "--json"])?;
        assert!(users.contains("\"alice\"") && users.contains("\"carol\""), "{users}");
        Ok(())
    })
}

/// Docker's resolver, a file system that cannot be written to, and Postfix in another container.
#[test]
fn the_doctor_looks_at_postfix_from_its_own_container_and_sends_a_message() -> Result<()> {
    with_a_stack(&TO_SINK, |stack| {
        let doctor = ["relay", "doctor", "--only", "ports", "--only", "closed"];
        let said = stack.exec("sidecar", &doctor)?;
        for expected in [
            "ok      port 587: TLS 1.3, with the relay's own certificate",
            "ok      port 465: TLS 1.3, with the relay's own certificate",
            "ok      port 25: refuses strangers",
            "ok      port 587: refuses strangers",
            "ok      port 465: refuses strangers",
        ] {
            assert!(said.contains(expected), "{expected:?} is not in {said}");
        }
        let send = ["relay", "doctor", "--send", "bob@example.net", "--from", "alice@example.org"];
        let said = stack.exec("sidecar", &send)?;
        assert!(said.contains("took it for bob@example.net: 250 "), "{said}");
        assert_eq!(stack.arrived(1)?.len(), 1);
        Ok(())
    })
}

/// Postfix asks ICU for the ASCII form of a domain, and the image has only a part of ICU's data.
#[test]
fn an_internationalised_domain_is_looked_up_by_its_ascii_form() -> Result<()> {
    // Without a login, on port 25: this host reaches the container from the network's gateway.
    let env = [
        "RELAY_MYHOSTNAME=relay.example.org",
        "ALLOWED_NETWORKS=10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
        "TRUST_GATEWAY=true",
    ];
    with_a_stack(&env, |stack| {
        let addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let addresses = inspect(stack, "postfix", addresses)?;
        let address = addresses.split(' ').next().unwrap_or_default();
        let mut smtp = BufReader::new(TcpStream::connect((address, 25))?);
        for (line, code) in [
            ("", "220"),
            ("EHLO client.example", "250"),
            ("MAIL FROM:<alice@example.org> SMTPUTF8", "250"),
            ("RCPT TO:<user@Bücher.example>", "250"),
            ("DATA", "354"),
            ("Subject: hello\r\n\r\nhello\r\n.", "250"),
        ] {
            let reply = ask(&mut smtp, line)?;
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
        stack.logged("Name service error for name=xn--bcher-kva.example type=MX")
    })
}

/// Says a line, or nothing before the greeting, and returns the last line of the reply.
fn ask(smtp: &mut BufReader<TcpStream>, line: &str) -> Result<String> {
    if !line.is_empty() {
        smtp.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
    }
    smtp.get_ref().set_read_timeout(Some(DELIVERY))?;
    loop {
        let mut reply = String::new();
        smtp.read_line(&mut reply)?;
        if reply.get(3..4) != Some("-") {
            return Ok(reply);
        }
    }
}

#[test]
fn containers_have_the_rights_they_need_and_no_others() -> Result<()> {
    const FULL_SET: &str = "0000000000000000";
    with_a_stack(&TO_SINK, |stack| {
        for service in ["sidecar", "postfix"] {
            let settings = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Privileged}}";
            assert_eq!(inspect(stack, service, settings)?, "true false", "{service}");
            assert_eq!(status(stack, service, "NoNewPrivs:")?, "1", "{service}");
        }
        assert_eq!(status(stack, "sidecar", "Uid:")?, "10027\t10027\t10027\t10027");
        assert_eq!(status(stack, "sidecar", "CapBnd:")?, FULL_SET);
        // CHOWN 0, DAC_OVERRIDE 1, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10.
        assert_eq!(status(stack, "postfix", "CapBnd:")?, "00000000000004e3");
        Ok(())
    })
}

#[test]
fn health_checks_write_no_log_line() -> Result<()> {
    with_a_stack(&TO_SINK, |stack| {
        let before = stack.logs()?;
        for service in ["sidecar", "postfix"] {
            let results = || inspect(stack, service, "{{json .State.Health.Log}}");
            let first = results()?;
            wait::until("another health check", Duration::from_secs(30), || {
                (results().ok()? != first).then_some(())
            })?;
        }
        assert_eq!(sorted_lines(&stack.logs()?), sorted_lines(&before));
        Ok(())
    })
}

/// Compose shows the services in an order that changes.
fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn inspect(stack: &Stack, service: &str, format: &str) -> Result<String> {
    docker(&["inspect", "-f", format, &stack.container(service)?])
}

/// One field of what the kernel says about a container's first process.
fn status(stack: &Stack, service: &str, field: &str) -> Result<String> {
    let pid = inspect(stack, service, "{{.State.Pid}}")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    Ok(line.with_context(|| format!("no {field} in {status}"))?.trim().to_owned())
}
