//! What is signed holds at the next hop, in the eyes of verifiers that other people wrote.

mod corpus;
mod keys;
mod load;
mod messages;
mod verdicts;

use anyhow::{Context, Result};
use relay_tests::dkim::{NAME_SERVER, NameServer};
use relay_tests::lab::Lab;
use relay_tests::relay::{Builder, Relay};
use relay_tests::sink::Message;

const PASSWORD: &str = "correct horse battery";
const BOB: &[&str] = &["bob@example.net"];

/// The selectors of a domain's keys: RSA, then Ed25519, as `relay dkim list` has them.
fn selector(relay: &Relay<'_>, domain: &str, algorithm: &str) -> Result<String> {
    let list = relay.manage_dkim(&["list"])?;
    let line = list.lines().find(|line| line.starts_with(domain) && line.contains(algorithm));
    let selector = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(selector.with_context(|| format!("no {algorithm} key of {domain} in:\n{list}"))?.to_owned())
}

/// A relay that signs for these domains, whose records are served.
fn signing_relay<'lab>(
    lab: &'lab Lab,
    builder: Builder<'lab>,
    domains: &[&str],
) -> Result<(Relay<'lab>, NameServer)> {
    let mut relay = builder.build()?;
    relay.use_name_server(NAME_SERVER.into())?;
    for domain in domains {
        relay.manage_dkim(&["add", domain])?;
    }
    let zones: Vec<(&str, String)> = domains
        .iter()
        .map(|domain| Ok((*domain, relay.dkim_records(domain)?)))
        .collect::<Result<_>>()?;
    let zones: Vec<(&str, &str)> =
        zones.iter().map(|(zone, text)| (*zone, text.as_str())).collect();
    let server = NameServer::serve(lab, &zones)?;
    for domain in domains {
        relay.manage_dkim(&["check", domain])?;
    }
    relay.start()?;
    Ok((relay, server))
}

fn message(from: &str, fields: &str) -> Vec<u8> {
    format!(
        "Date: Mon, 23 Nov 2026 08:00:00 +0100\r\nFrom: {from}\r\nTo: bob@example.net\r\n\
         Message-ID: <1@example.org>\r\nSubject: hello\r\n{fields}\r\nHello Bob.\r\n"
    )
    .into_bytes()
}

fn signatures(message: &Message) -> usize {
    let text = String::from_utf8_lossy(&message.data).to_lowercase();
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    header.lines().filter(|line| line.starts_with("dkim-signature:")).count()
}
