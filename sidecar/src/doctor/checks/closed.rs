//! That strangers cannot send. Pure.

use crate::doctor::facts::{Dialogue, Facts};
use crate::doctor::finding::{Check, Finding};
use crate::printable::on_a_terminal;

/// Takes no login: one on port 25 would invite everybody who guesses.
const WITHOUT_LOGIN: u16 = 25;

pub fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for port in &facts.ports {
        let Ok(dialogue) = &port.dialogue else { continue };
        let subject = format!("port {}", port.port);
        findings.extend(login(&subject, port.port, dialogue));
        findings.push(recipient(&subject, dialogue, facts));
    }
    findings
}

fn login(subject: &str, port: u16, dialogue: &Dialogue) -> Option<Finding> {
    let in_the_clear = dialogue.plain.as_ref().is_some_and(|greeting| greeting.offers("AUTH"));
    let found = match (in_the_clear, port) {
        (false, _) => return None,
        (true, WITHOUT_LOGIN) => "offers a login on port 25",
        (true, _) => "offers a login without encryption: passwords would go in the clear",
    };
    let remedy = "take out what sets it: docker compose exec postfix relay-init render, and POSTFIX_… in .env";
    Some(Finding::fail(Check::Closed, subject, found, remedy))
}

fn recipient(subject: &str, dialogue: &Dialogue, facts: &Facts) -> Finding {
    let reply = dialogue.recipient_reply.as_str();
    let words = on_a_terminal(reply);
    match (reply.chars().next(), facts.is_allowed) {
        (Some('5'), _) => Finding::ok(Check::Closed, subject, "refuses strangers"),
        (Some('2'), Some(address)) => {
            let why =
                format!("this container ({address}) is in ALLOWED_NETWORKS, so it is no stranger");
            Finding::skipped(Check::Closed, subject, why)
        }
        (Some('2'), None) => Finding::fail(
            Check::Closed,
            subject,
            format!("an OPEN RELAY: took a recipient elsewhere from a stranger ({words})"),
            "stop Postfix (docker compose stop postfix), then look at ALLOWED_NETWORKS and POSTFIX_… in .env",
        ),
        (Some('4'), _) => {
            Finding::skipped(Check::Closed, subject, format!("put the question off: {words}"))
        }
        _ => Finding::skipped(Check::Closed, subject, "could not be asked"),
    }
}
