//! Everything that is known to have opened a relay, tried on every port by a stranger, by a client of an
//! allowed network and by a user who is logged in.
//!
//! The table says what the server answers. The other oracle is the next hop: nothing reaches it but what the
//! server took with a `250` from somebody who may send, and nothing of a stranger's ever.

mod cases;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relay_tests::lab::{HOME, RELAY, STRANGER, in_a_lab};
use relay_tests::relay::Relay;
use relay_tests::sink::Sink;
use relay_tests::smtp::{Client, Reply};
use relay_tests::wait::{A_WHILE, until};

use cases::{Case, Place, REFUSED, Talk};

const PASSWORD: &str = "correct horse battery";
const SENDER: &str = "MAIL FROM:<alice@example.org>";
const VICTIM: &str = "RCPT TO:<victim@victim.test>";

/// Who tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Stranger,
    Neighbour,
    Alice,
}

impl Who {
    fn address(self) -> IpAddr {
        if self == Self::Neighbour { HOME } else { STRANGER }
    }

    fn expected(self, case: &Case) -> u16 {
        match self {
            Self::Stranger => case.stranger,
            Self::Neighbour => case.neighbour,
            Self::Alice => case.alice,
        }
    }
}

#[test]
fn port_25_is_no_open_relay() -> Result<()> {
    try_everything(25, &[Who::Stranger, Who::Neighbour])
}

#[test]
fn port_587_is_no_open_relay() -> Result<()> {
    try_everything(587, &[Who::Stranger, Who::Neighbour, Who::Alice])
}

#[test]
fn port_465_is_no_open_relay() -> Result<()> {
    try_everything(465, &[Who::Stranger, Who::Neighbour, Who::Alice])
}

#[test]
fn the_corpus_is_large() {
    assert!(corpus().count() >= 60);
}

fn corpus() -> impl Iterator<Item = &'static Case> {
    [cases::ADDRESSES, cases::PARAMETERS, cases::IDENTITY, cases::LOGIN, cases::FRAMING]
        .into_iter()
        .flatten()
}

fn try_everything(port: u16, everybody: &[Who]) -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay_to_sink()
            // The logins here are meant to fail, and many are.
            .env("LOGIN_FAILURES_ADDRESS", "off")
            .env("LOGIN_FAILURES_USER", "off")
            .start()?;
        let add = ["add", "alice", "--password-stdin", "--sender", "*@example.org"];
        relay.manage_user(&add, PASSWORD)?;
        relay.add_user("admin", PASSWORD)?;
        let mut taken = 0;
        for &who in everybody {
            let outcomes = everything_at_once(&relay, port, who)?;
            taken += outcomes.iter().map(|outcome| outcome.attempt.taken).sum::<usize>();
            let surprises: Vec<String> =
                outcomes.iter().filter_map(|outcome| outcome.surprise(who)).collect();
            assert_eq!(surprises, Vec::<String>::new(), "{who:?} on {port}");
            if who == Who::Stranger {
                assert_eq!(taken, 0, "something was taken from a stranger");
            }
            positive_control(&relay, port)?;
            taken += 1;
            assert_arrived(&relay, &sink, taken)?;
        }
        Ok(())
    })
}

/// Some of the cases at a time: many wait for the second that a refused login takes.
const AT_A_TIME: usize = 6;

fn everything_at_once(relay: &Relay<'_>, port: u16, who: Who) -> Result<Vec<Outcome>> {
    let work = |first: usize| -> Result<Vec<Outcome>> {
        let cases = corpus().filter(|case| case.ports.contains(&port));
        cases
            .skip(first)
            .step_by(AT_A_TIME)
            .map(|case| {
                let what = || format!("{who:?} on {port}: {}", case.name);
                let attempt = attempt(relay, port, who, case).with_context(what)?;
                Ok(Outcome { case, attempt })
            })
            .collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..AT_A_TIME).map(|first| scope.spawn(move || work(first))).collect();
        let mut outcomes = Vec::new();
        for thread in threads {
            let worked = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcomes.extend(worked?);
        }
        Ok(outcomes)
    })
}

/// A refusal says nothing while nobody can send at all.
fn positive_control(relay: &Relay<'_>, port: u16) -> Result<()> {
    let mut client = relay.session(HOME, port)?;
    let control = b"From: control@example.org\r\nSubject: control\r\n\r\nhello\r\n";
    client.send("control@example.org", &["bob@recipient.test"], control)?.expect(250)?;
    Ok(())
}

/// Exactly what was taken arrives, and nothing is left that could arrive later.
fn assert_arrived(relay: &Relay<'_>, sink: &Sink, taken: usize) -> Result<()> {
    until("an empty queue", A_WHILE, || {
        let queue = relay.postfix().ok()?.exec(&["/usr/sbin/postqueue", "-j"]).ok()?;
        queue.stdout.is_empty().then_some(())
    })?;
    let arrived = sink.messages();
    for message in &arrived {
        let smuggled = message.recipients.iter().any(|recipient| recipient.contains("smuggled"));
        assert!(!smuggled, "a message was smuggled through: {message:?}");
    }
    assert_eq!(arrived.len(), taken, "{arrived:#?}");
    Ok(())
}

struct Outcome {
    case: &'static Case,
    attempt: Attempt,
}

impl Outcome {
    fn surprise(&self, who: Who) -> Option<String> {
        let (expected, got) = (who.expected(self.case), &self.attempt);
        let surprise = || format!("{}: expected {expected}, got {}", self.case.name, got.shown);
        let as_expected = got.code == expected || (expected == REFUSED && is_refusal(got.code));
        (!as_expected).then(surprise)
    }
}

/// What came of a case.
struct Attempt {
    code: u16,
    shown: String,
    /// Messages that the server took.
    taken: usize,
}

impl Attempt {
    fn of(reply: &Reply, taken: usize) -> Self {
        Self { code: reply.code, shown: reply.to_string(), taken }
    }
}

fn attempt(relay: &Relay<'_>, port: u16, who: Who, case: &Case) -> Result<Attempt> {
    let (mut client, attempt) = match case.talk {
        Talk::First(bytes) => return first(relay, port, who, bytes),
        Talk::BehindStarttls(bytes) => return behind_starttls(relay, port, who, bytes),
        Talk::BeforeTls(lines) => {
            let mut client = relay.connect(who.address(), port)?;
            client.ehlo()?;
            let attempt = say(&mut client, lines)?;
            (client, attempt)
        }
        talk => {
            let mut client = session(relay, port, who)?;
            let attempt = talk_in_session(&mut client, who, talk)?;
            (client, attempt)
        }
    };
    // Whatever was tried, a stranger is a stranger still; unless the case was a good login.
    if who == Who::Stranger && attempt.code != 235 {
        let after = last_attempt(&mut client)?;
        ensure!(after.is_none_or(|code| code / 100 == 5), "{}, and then {after:?}", attempt.shown);
    }
    finish(&mut client)?;
    Ok(attempt)
}

fn session(relay: &Relay<'_>, port: u16, who: Who) -> Result<Client> {
    match who {
        Who::Alice => relay.login(who.address(), port, "alice", PASSWORD),
        Who::Stranger | Who::Neighbour => relay.session(who.address(), port),
    }
}

fn talk_in_session(client: &mut Client, who: Who, talk: Talk) -> Result<Attempt> {
    match talk {
        Talk::Envelope(sender, recipient) => {
            let envelope =
                [&format!("MAIL FROM:{sender}"), &format!("RCPT TO:{recipient}"), "DATA"];
            say(client, &envelope)
        }
        Talk::Lines(lines) => say(client, lines),
        Talk::Plain(response) => {
            let response = response.replace("PASSWORD", PASSWORD);
            say(client, &[&format!("AUTH PLAIN {}", BASE64.encode(response))])
        }
        Talk::EndOfData(end) => {
            // Bare postmaster is taken from a stranger until the end of the message.
            let to = if who == Who::Stranger { "RCPT TO:<postmaster>" } else { VICTIM };
            let second = b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<smuggled@victim.test>\r\n\
                DATA\r\nFrom: alice@example.org\r\n\r\nsmuggled";
            let attempt =
                say_with_content(client, to, &[b"text", end, second.as_slice()].concat())?;
            // The whole was one message: nothing in it was taken for a command and answered.
            if attempt.taken > 0 {
                client.command("QUIT")?.expect(221).context("a command was smuggled")?;
            }
            Ok(attempt)
        }
        Talk::Repeated(place, begin, again, count) => {
            let text = format!("{begin}{}", again.repeat(count));
            let to = if who == Who::Stranger { "RCPT TO:<postmaster>" } else { VICTIM };
            match place {
                Place::Command => say(client, &[&text]),
                Place::Header => content(client, to, format!("{text}\r\ntext").as_bytes()),
                Place::Body => content(client, to, format!("\r\n{text}").as_bytes()),
            }
        }
        Talk::First(_) | Talk::BehindStarttls(_) | Talk::BeforeTls(_) => {
            unreachable!("these have no session yet")
        }
    }
}

fn say_with_content(client: &mut Client, recipient: &str, text: &[u8]) -> Result<Attempt> {
    content(client, recipient, &[b"\r\n", text].concat())
}

/// Sends a message whose header and body these bytes continue, its end included.
fn content(client: &mut Client, recipient: &str, text: &[u8]) -> Result<Attempt> {
    for line in [SENDER, recipient] {
        client.command(line)?.expect(250)?;
    }
    let reply = client.command("DATA")?;
    if reply.code != 354 {
        return Ok(Attempt::of(&reply, 0));
    }
    client.raw(&[b"From: alice@example.org\r\n", text, b"\r\n.\r\n"].concat())?;
    let reply = client.reply()?;
    Ok(Attempt::of(&reply, usize::from(reply.is_positive())))
}

/// Says lines until one is refused. After `354` comes a message.
fn say(client: &mut Client, lines: &[&str]) -> Result<Attempt> {
    let mut last = Attempt { code: 0, shown: "no answer".to_owned(), taken: 0 };
    for line in lines {
        client.raw(format!("{line}\r\n").as_bytes())?;
        // A bare LF in a line ends a command, too.
        for _ in line.split('\n') {
            let Ok(mut reply) = client.reply() else { return Ok(last) };
            let mut taken = 0;
            if reply.code == 354 {
                client.raw(b"From: alice@example.org\r\n\r\ntext\r\n.\r\n")?;
                reply = client.reply()?;
                taken = usize::from(reply.is_positive());
            }
            last = Attempt::of(&reply, last.taken + taken);
            if is_refusal(reply.code) {
                return Ok(last);
            }
        }
    }
    Ok(last)
}

/// 221 is Postfix's answer to what no mail client says.
fn is_refusal(code: u16) -> bool {
    code == 221 || code >= 400
}

/// Sends bytes before anything is read.
fn first(relay: &Relay<'_>, port: u16, who: Who, bytes: &[u8]) -> Result<Attempt> {
    let to = SocketAddr::new(RELAY, port);
    let mut client = Client::connect(relay.namespace(), who.address(), to)?;
    client.raw(bytes)?;
    let mut last = Attempt { code: 0, shown: "no answer".to_owned(), taken: 0 };
    while let Ok(reply) = client.reply() {
        last = Attempt::of(&reply, 0);
        if is_refusal(reply.code) {
            break;
        }
    }
    if port != 465 && who == Who::Stranger {
        let after = last_attempt(&mut client)?;
        ensure!(after.is_none_or(|code| code / 100 == 5), "{}, and then {after:?}", last.shown);
    }
    Ok(last)
}

/// What was sent in clear must not be taken for something that came encrypted (CVE-2011-0411).
fn behind_starttls(relay: &Relay<'_>, port: u16, who: Who, bytes: &[u8]) -> Result<Attempt> {
    let mut client = relay.connect(who.address(), port)?;
    client.ehlo()?;
    client.raw(&[b"STARTTLS\r\n", bytes].concat())?;
    let reply = client.reply()?;
    if reply.code == 220 {
        client.handshake()?;
        let ehlo = client.command("EHLO client.example")?;
        ensure!(ehlo.offers("PIPELINING"), "the answer to EHLO is {ehlo}");
        client.command(VICTIM)?.expect(503).context("a sender from before TLS is remembered")?;
    }
    Ok(Attempt::of(&reply, 0))
}

/// An ordinary message; the code of the refusal, or nothing when the connection is gone.
fn last_attempt(client: &mut Client) -> Result<Option<u16>> {
    for line in ["RSET", SENDER, VICTIM] {
        match client.command(line) {
            Ok(reply) if reply.is_positive() => {}
            Ok(reply) => return Ok(Some(reply.code)),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(250))
}

/// Lets the server work off whatever it still has.
fn finish(client: &mut Client) -> Result<()> {
    if client.raw(b"QUIT\r\n").is_err() {
        return Ok(());
    }
    while let Ok(reply) = client.reply() {
        if reply.code == 221 || reply.code == 421 {
            break;
        }
    }
    Ok(())
}
