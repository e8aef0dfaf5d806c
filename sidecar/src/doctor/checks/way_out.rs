//! Whether mail can leave. Pure.

use crate::doctor::facts::{Certificate, Facts, NoGreeting, Receiver, Smarthost, WayOut};
use crate::doctor::finding::{Check, Finding};
use crate::printable::on_a_terminal;

pub fn check(facts: &Facts) -> Vec<Finding> {
    match &facts.way_out {
        None => Vec::new(),
        Some(WayOut::Direct(receivers)) => direct(receivers),
        Some(WayOut::Smarthost(smarthost)) => through(smarthost),
    }
}

/// Where the usual clouds have the switch.
const OPEN_PORT_25: &str = "many clouds block outgoing port 25 until they are asked: Hetzner Cloud (Limits → request, \
     after the first invoice), DigitalOcean, Vultr, Linode and Scaleway (support ticket), OVH (nothing to do, but its \
     anti-spam may block), AWS EC2 (\"Request to remove email sending limitations\"), Oracle Cloud (limit increase); \
     Google Cloud and Azure never open it: set RELAYHOST to a smarthost on port 587 there";

fn direct(receivers: &[Receiver]) -> Vec<Finding> {
    let subject = "port 25";
    let greeted = receivers.iter().find(|receiver| receiver.greeting.is_ok());
    if let Some(receiver) = greeted {
        let mut findings = vec![Finding::ok(
            Check::WayOut,
            subject,
            format!("{} greets this server", receiver.host),
        )];
        findings.extend(receivers.iter().filter_map(refusal));
        return findings;
    }
    if let Some(finding) = receivers.iter().find_map(refusal) {
        return vec![finding];
    }
    let unconnected = receivers.iter().find_map(|receiver| match &receiver.greeting {
        Err(NoGreeting::NoConnection(error)) => Some((&receiver.host, error)),
        _ => None,
    });
    let Some((host, error)) = unconnected else {
        let why = "no receiver could be looked up in DNS";
        return vec![Finding::skipped(Check::WayOut, subject, why)];
    };
    let found = match receivers.len() {
        1 => format!("{host} does not answer: {error}"),
        many => format!("none of {many} receivers answers; {host}: {error}"),
    };
    vec![Finding::fail(Check::WayOut, subject, found, OPEN_PORT_25)]
}

/// A receiver that answers with a refusal before it has heard a word knows this address.
fn refusal(receiver: &Receiver) -> Option<Finding> {
    let Err(NoGreeting::Refused(reply)) = &receiver.greeting else { return None };
    let reply = on_a_terminal(reply);
    let remedy = match crate::answers::explain(&reply) {
        Some(explanation) => explanation.to_string(),
        None => "see the lists below; the reply says what it wants".to_owned(),
    };
    let found = format!("{} refuses this server: {reply}", receiver.host);
    Some(Finding::warn(Check::WayOut, "port 25", found, remedy))
}

fn through(smarthost: &Smarthost) -> Vec<Finding> {
    let name = smarthost.name.as_str();
    match &smarthost.greeting {
        Ok(_) => {}
        Err(NoGreeting::NoAddress(error)) => {
            let remedy = "check RELAYHOST: [host]:port in brackets is a server, without brackets its MX is used";
            return vec![Finding::fail(Check::WayOut, name, error, remedy)];
        }
        Err(NoGreeting::NoConnection(error)) => {
            let remedy = "check host and port of RELAYHOST (587 is the usual one), and whether a firewall is between";
            let found = format!("does not answer: {error}");
            return vec![Finding::fail(Check::WayOut, name, found, remedy)];
        }
        Err(NoGreeting::Refused(reply)) => {
            let found = format!("refuses this server: {}", on_a_terminal(reply));
            return vec![Finding::fail(
                Check::WayOut,
                name,
                found,
                "its owner must let this address in",
            )];
        }
    }
    let mut findings = vec![Finding::ok(Check::WayOut, name, "answers")];
    findings.push(match &smarthost.tls {
        None => Finding::warn(
            Check::WayOut,
            name,
            "offers no TLS: mail would go in the clear, and Postfix sends no password",
            "use a smarthost with TLS (port 587 or 465)",
        ),
        Some(Err(error)) => {
            let found = format!("offers TLS, and it does not work: {error}");
            Finding::fail(Check::WayOut, name, found, "tell its owner")
        }
        Some(Ok(Certificate::Good)) => {
            Finding::ok(Check::WayOut, name, "its certificate is good for its name")
        }
        Some(Ok(bad)) => {
            let what = match bad {
                Certificate::Bad(error) => error.as_str(),
                _ => "nobody but its owner stands behind it",
            };
            let remedy = "name the host as its certificate does; RELAYHOST_TLS_LEVEL=encrypt sends without \
                          looking at it";
            Finding::warn(Check::WayOut, name, format!("its certificate is not good: {what}"), remedy)
        }
    });
    findings.push(login(smarthost));
    findings
}

/// The password is in Postfix's container alone, so the login is judged by what became of mail.
fn login(smarthost: &Smarthost) -> Finding {
    let name = smarthost.name.as_str();
    match &smarthost.last_delivery {
        Some((true, _)) => {
            Finding::ok(Check::WayOut, name, "took the last message that it was given")
        }
        Some((false, answer)) => {
            let answer = on_a_terminal(answer);
            let remedy = crate::answers::explain(&answer).map_or_else(
                || "docker compose exec postfix relay-init queue list".to_owned(),
                |e| e.to_string(),
            );
            let found = format!("did not take the last message: {answer}");
            Finding::fail(Check::WayOut, name, found, remedy)
        }
        None => Finding::skipped(
            Check::WayOut,
            name,
            "the password is in Postfix's container alone; there, docker compose exec postfix relay-init smarthost tries the \
             login",
        ),
    }
}
