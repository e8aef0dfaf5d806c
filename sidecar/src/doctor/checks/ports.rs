//! What clients see on the ports of this relay. Pure.

use crate::doctor::facts::{Certificate, Encrypted, Facts, Greeting, NoGreeting, PortFacts};
use crate::doctor::finding::{Check, Finding};
use crate::printable::{Printable, on_a_terminal};

/// STARTTLS on one, TLS from the first byte on the other (RFC 8314).
const SUBMISSION: [u16; 2] = [587, 465];

pub fn check(facts: &Facts) -> Vec<Finding> {
    let host = facts.settings.hostname.as_str();
    let mut findings: Vec<Finding> =
        facts.ports.iter().flat_map(|port| judge(host, port)).collect();
    if !findings.is_empty() {
        let why = format!(
            "whether the Internet reaches it only another machine can tell; from there: openssl s_client -connect \
             {host}:465 -quiet </dev/null"
        );
        findings.push(Finding::skipped(Check::Ports, "from outside", why));
    }
    findings
}

fn judge(host: &str, facts: &PortFacts) -> Vec<Finding> {
    let subject = format!("port {}", facts.port);
    let dialogue = match &facts.dialogue {
        Ok(dialogue) => dialogue,
        Err(trouble) => {
            let found = match trouble {
                NoGreeting::NoAddress(error) => {
                    return vec![Finding::skipped(Check::Ports, subject, error)];
                }
                NoGreeting::NoConnection(error) => format!("Postfix does not answer: {error}"),
                NoGreeting::Refused(reply) => format!("Postfix refuses: {reply}"),
            };
            let remedy = "docker compose logs postfix says why";
            return vec![Finding::fail(Check::Ports, subject, found, remedy)];
        }
    };
    if !SUBMISSION.contains(&facts.port) {
        let mut findings = vec![Finding::ok(Check::Ports, subject, "answers")];
        findings.extend(dialogue.plain.as_ref().and_then(|greeting| other_name(host, greeting)));
        return findings;
    }
    match &dialogue.tls {
        Some(Ok(encrypted)) => submission(host, &subject, encrypted),
        Some(Err(error)) => {
            let remedy = "docker compose logs postfix; see TLS_CERT and TLS_KEY";
            vec![Finding::fail(
                Check::Ports,
                subject,
                format!("TLS does not work: {error}"),
                remedy,
            )]
        }
        None => {
            let found = "offers no STARTTLS: nobody can log in";
            let remedy = "set ENABLE_TLS=true, which is the default";
            vec![Finding::fail(Check::Ports, subject, found, remedy)]
        }
    }
}

/// Postfix greets receivers with the name that it greets clients with.
fn other_name(host: &str, greeting: &Greeting) -> Option<Finding> {
    let name = greeting.reply.split(' ').nth(1).unwrap_or_default();
    if host.is_empty() || name.eq_ignore_ascii_case(host) {
        return None;
    }
    let name = Printable(name.as_bytes());
    let found = format!("Postfix calls itself {name}, and RELAY_MYHOSTNAME is {host}");
    let remedy = "docker compose up -d, so that both containers have the same .env; take POSTFIX_… names out of it";
    Some(Finding::fail(Check::Name, host, found, remedy))
}

fn submission(host: &str, subject: &str, encrypted: &Encrypted) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !encrypted.greeting.offers("AUTH") {
        let found = "offers no login";
        let remedy = "set ENABLE_SASL=true, which is the default";
        findings.push(Finding::warn(Check::Ports, subject, found, remedy));
    }
    findings.push(match &encrypted.certificate {
        Certificate::Good => {
            let found = format!("{}, and the certificate is good for {host}", encrypted.version);
            Finding::ok(Check::Ports, subject, found)
        }
        Certificate::SelfSigned => {
            let found = format!(
                "{}, with the relay's own certificate: clients have to pin it",
                encrypted.version
            );
            let found = format!("{found} (relay user snippet NAME --for PROGRAM prints how)");
            Finding::ok(Check::Ports, subject, found)
        }
        Certificate::Bad(error) => {
            let error = on_a_terminal(error);
            let remedy =
                format!("a certificate for {host}, with its chain, in TLS_CERT and TLS_KEY");
            Finding::fail(
                Check::Ports,
                subject,
                format!("clients refuse the certificate: {error}"),
                remedy,
            )
        }
    });
    findings
}
