//! Mail programs of Debian, set up with exactly what `relay user snippet` prints: each sends a message,
//! and none talks to a relay that is not the one it was told of.

mod programs;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use programs::{PROGRAMS, Program};
use relay_tests::authority::Authority;
use relay_tests::lab::{Lab, SINK_RELAYHOST, in_a_lab};
use relay_tests::mail_program::{MailProgram, Snippet};
use relay_tests::relay::Relay;
use relay_tests::sink::Sink;
use relay_tests::wait;

const PASSWORD: &str = "correct.horse.battery";
/// Where the store of the system has the authorities it trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const MESSAGE: &str = "From: alice@example.org\nTo: bob@example.net\nSubject: hello\n\nhello\n";
/// For a program to give up, or a session to show in the log.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay whose certificate is its own, or signed by an authority.
fn relay<'lab>(lab: &'lab Lab, name: &str, authority: Option<&Authority>) -> Result<Relay<'lab>> {
    let mut builder = lab
        .relay_in(name, &lab.namespace)
        .env("RELAY_MYHOSTNAME", "relay.test")
        .env("RELAYHOST", SINK_RELAYHOST);
    if authority.is_some() {
        builder = builder.env("TLS_CERT", "/certs/cert.pem").env("TLS_KEY", "/certs/key.pem");
    }
    let mut relay = builder.build()?;
    if let Some(authority) = authority {
        let certs = relay.certs();
        let (certificate, key) = (certs.join("cert.pem"), certs.join("key.pem"));
        authority.write_pair("relay.test", &certificate, &key)?;
    }
    relay.start()?;
    relay.add_user("alice", PASSWORD)?;
    Ok(relay)
}

fn snippet(relay: &Relay<'_>, program: &Program) -> Result<Snippet> {
    let arguments = ["snippet", "alice", "--for", program.name, "--at", "127.0.0.1:465"];
    let text = relay.manage_user(&arguments, "")?;
    ensure!(!text.contains(PASSWORD), "the password was printed");
    Snippet::read(&text, PASSWORD)
}

/// A machine with the program, set up as the snippet says. `authority` is one more that it trusts.
struct Client<'a> {
    program: &'a Program,
    machine: MailProgram,
    script: String,
}

impl<'a> Client<'a> {
    fn new(
        lab: &Lab,
        program: &'a Program,
        case: &str,
        snippet: &Snippet,
        authority: Option<&Authority>,
    ) -> Result<Self> {
        let place = lab.evidence.directory()?.join(format!("{}-{case}", program.name));
        let machine = MailProgram::new(program.package, &place, &lab.namespace)?;
        machine.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 relay.test\n")?;
        machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
        machine.write("/etc/mailname", "client.test\n")?;
        machine.write("/message", MESSAGE)?;
        if let Some(authority) = authority {
            let file = place.join("authority.pem");
            authority.write_certificate(&file)?;
            machine.write(AUTHORITIES, &fs::read_to_string(file)?)?;
        }
        for (name, content) in program.files {
            machine.write(name, content)?;
        }
        for (name, content) in &snippet.files {
            machine.write(name, content)?;
        }
        // The test starts the program after all that, so a restart has nothing to do.
        let is_restart = |line: &&String| line.starts_with("service ") || *line == "postfix reload";
        let commands: Vec<&str> =
            snippet.commands.iter().filter(|line| !is_restart(line)).map(String::as_str).collect();
        let [before, after] = [program.before, program.send];
        let script = format!("hostname client.test\n{before}\n{}\n{after}\n", commands.join("\n"));
        Ok(Self { program, machine, script })
    }

    fn send(&self) -> Result<String> {
        let output = self.machine.run(&self.script)?;
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        Ok(format!("{}: {}: {}", self.program.name, output.status, String::from_utf8_lossy(&said)))
    }

    /// Sends a message that has to arrive, by the login of the user.
    fn sends(&self, relay: &Relay<'_>, sink: &Sink) -> Result<()> {
        let before = sink.messages().len();
        let log = relay.postfix()?.output().len();
        let said = self.send()?;
        let arrived = wait::until("a message", PATIENCE, || sink.messages().get(before).cloned());
        let message = arrived.with_context(|| said.clone())?;
        ensure!(message.sender == "alice@example.org", "{}: {message:?}", self.program.name);
        ensure!(message.recipients == ["bob@example.net"], "{}: {message:?}", self.program.name);
        // To the end of its session, or the next one would be taken for it.
        let log = wait::until("the end of a session with a login", PATIENCE, || {
            let log = relay.postfix().ok()?.output().split_off(log);
            log.contains(" auth=1 ").then_some(log)
        });
        let log = log.with_context(|| said.clone())?;
        ensure!(log.contains("sasl_username=alice"), "no login of {}: {log}", self.program.name);
        Ok(())
    }

    /// Tries to send a message to a relay that is not the right one: it gets as far as TLS, and shows
    /// no password.
    fn refuses(&self, relay: &Relay<'_>, sink: &Sink) -> Result<()> {
        let before = sink.messages().len();
        let start = relay.postfix()?.output().len();
        let said = self.send()?;
        let log = wait::until("the end of a session", PATIENCE, || {
            let log = relay.postfix().ok()?.output().split_off(start);
            log.contains("disconnect from").then_some(log)
        });
        let log = log.with_context(|| said.clone())?;
        ensure!(log.contains("starttls="), "{} used no TLS: {log}\n{said}", self.program.name);
        ensure!(!log.contains("auth="), "{} sent a password: {log}\n{said}", self.program.name);
        ensure!(sink.messages().len() == before, "{} sent the message", self.program.name);
        Ok(())
    }
}

/// One relay after the other at the same address: the right one, and one with the same name.
fn with_each_trust(program: &Program) -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let authority = Authority::new()?;
        let mut own = relay(lab, "own", None)?;
        let pinned = snippet(&own, program)?;
        Client::new(lab, program, "pinned", &pinned, None)?.sends(&own, &sink)?;
        own.kill()?;

        let signed = relay(lab, "signed", Some(&authority))?;
        let trusting = snippet(&signed, program)?;
        let client = Client::new(lab, program, "trusting", &trusting, Some(&authority))?;
        client.sends(&signed, &sink)?;
        Client::new(lab, program, "wrong-pin", &pinned, None)?.refuses(&signed, &sink)?;
        if program.asks_authorities {
            let other = Authority::new()?;
            let client = Client::new(lab, program, "wrong-authority", &trusting, Some(&other))?;
            client.refuses(&signed, &sink)?;
        }
        Ok(())
    })
}

macro_rules! each_program {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() -> Result<()> {
            let name = stringify!($name).replace('_', "-");
            let program = PROGRAMS.iter().find(|program| program.name == name);
            with_each_trust(program.context("no such program")?)
        }
    )*};
}

each_program!(dma, exim, msmtp, nullmailer, opensmtpd, postfix, s_nail, sendmail);

#[test]
fn a_snippet_says_what_is_missing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", PASSWORD)?;
        for (arguments, expected) in [
            (
                ["alice", "--for", "postfix", "--at", "127.0.0.1:465"],
                "cannot see the relay's certificate",
            ),
            (["bob", "--for", "postfix", "--at", "127.0.0.1:465"], "there is no user bob"),
            (["alice", "--for", "qmail", "--at", "127.0.0.1:465"], "possible values"),
        ] {
            let output = relay.user(&[&["snippet"], &arguments[..]].concat(), "")?;
            let said = String::from_utf8(output.stderr)?;
            ensure!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
        }
        Ok(())
    })
}

#[test]
fn each_tested_program_is_unpacked_by_the_script() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/clients");
    let script = fs::read_to_string(script)?;
    let line = script.lines().find_map(|line| line.strip_prefix("clients=")).context("no list")?;
    let packages: Vec<&str> = PROGRAMS.iter().map(|program| program.package).collect();
    ensure!(line.trim_matches('"').split(' ').eq(packages), "{line}");
    Ok(())
}
