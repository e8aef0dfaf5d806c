//! Asks the world, all at once, each question with a bound on its time: everything takes less than 15 seconds, also when
//! nobody answers.
//!
//! What leaves this machine: DNS queries, a greeting and QUIT on port 25 of two receivers (or RELAYHOST), one query for
//! the time, and a dialogue with the relay's own ports that ends before any message.

mod clock;
mod domains;
mod names;
mod ports;
pub mod senders;
pub mod smtp;
pub mod tls;
mod way_out;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::blocklists;
use super::facts::{Facts, HereFacts, ListAnswer, NameFacts, Settings, WayOut, published};
use super::finding::Check;
use crate::access::networks::Networks;
use crate::dkim::key::NamedKey;
use crate::dns::{Dns, DnsTrouble, Found};
use crate::history::Entry;
use crate::status::Status;

/// One lookup, its second try included.
const LOOKUP: Duration = Duration::from_secs(3);
const ONE_TRY: Duration = Duration::from_millis(1_400);

/// What is to be looked at.
#[derive(Debug)]
pub struct Questions {
    pub settings: Settings,
    pub domains: Vec<String>,
    /// Keys of those domains and their parents.
    pub keys: Vec<NamedKey>,
    /// Where Postfix's ports are.
    pub postfix: String,
    pub allowed: Networks,
    /// How the running relay is, and its deliveries of late.
    pub daemon: Result<(Box<Status>, Vec<Entry>), String>,
    /// All checks if empty.
    pub only: Vec<Check>,
    /// Leave out what asks strangers: receivers, lists, time.
    pub quick: bool,
}

impl Questions {
    fn wants(&self, check: Check) -> bool {
        self.only.is_empty() || self.only.contains(&check)
    }

    fn wants_any(&self, checks: &[Check]) -> bool {
        checks.iter().any(|check| self.wants(*check))
    }
}

/// Asks everything. Never fails: what could not be found out is among the facts.
pub async fn facts(questions: Questions) -> Facts {
    let dns = match Dns::with(ONE_TRY, 1) {
        Ok(dns) => dns,
        Err(error) => return without_dns(questions, &error),
    };
    let by_address = [Check::Name, Check::Spf, Check::Lists];
    let wants_name = questions.wants_any(&by_address);
    let wants_domains =
        questions.wants_any(&[Check::Bounces, Check::Spf, Check::Dkim, Check::Dmarc]);
    let wants_way = (questions.wants(Check::WayOut) || wants_name) && !questions.quick;
    let wants_ports = questions.wants_any(&[Check::Ports, Check::Closed]);
    let wants_here = questions.wants(Check::Here);
    let host = questions.settings.hostname.clone();
    let (forward, way_out, mut domains, (ports, is_allowed), clock, resolver) = tokio::join!(
        wanted(wants_name, names::forward(&dns, &host)),
        wanted(wants_way, way_out::look(&dns, &questions)),
        if_wanted(wants_domains, domains::look(&dns, &questions.domains, &questions.keys)),
        if_wanted(wants_ports, ports::look(&questions)),
        wanted(wants_here && !questions.quick, clock::ahead(&dns)),
        wanted(wants_here, names::validates(&dns)),
    );
    let seen = way_out.as_ref().map(seen).unwrap_or_default();
    // Mail may come from where a receiver saw it come from, and from where the name is.
    let of_name = forward.iter().flat_map(|(v4, v6)| published(v4, v6));
    let addresses: BTreeSet<IpAddr> = seen.iter().copied().chain(of_name).collect();
    let (reverse, lists, ()) = tokio::join!(
        names::reverse(&dns, &addresses, &seen),
        if_wanted(
            questions.wants(Check::Lists) && !questions.quick,
            look_up(&dns, &host, &addresses, &questions.domains)
        ),
        domains::evaluate(&dns, &mut domains, &addresses, &host),
    );
    let name = forward.map(|(v4, v6)| NameFacts { v4, v6, addresses: reverse });
    let here = wants_here.then(|| here(questions.daemon, clock, resolver));
    let settings = questions.settings;
    Facts { settings, name, way_out, domains, lists, ports, is_allowed, here }
}

/// Without a resolver, only what is in this container can be looked at.
fn without_dns(questions: Questions, error: &DnsTrouble) -> Facts {
    let name = NameFacts { v4: Err(error.clone()), v6: Err(error.clone()), addresses: Vec::new() };
    let here = Some(here(questions.daemon, None, Some(Err(error.to_string()))));
    Facts { settings: questions.settings, name: Some(name), here, ..Facts::default() }
}

fn here(
    daemon: Result<(Box<Status>, Vec<Entry>), String>,
    clock: Option<Result<f64, String>>,
    resolver: Option<Result<bool, String>>,
) -> HereFacts {
    let (status, troubled) = match daemon {
        Ok((status, entries)) => (Ok(status), way_out::troubled(entries)),
        Err(error) => (Err(error), Vec::new()),
    };
    HereFacts { status: Some(status), troubled, clock, resolver }
}

async fn wanted<T>(is_wanted: bool, asking: impl Future<Output = T>) -> Option<T> {
    if is_wanted { Some(asking.await) } else { None }
}

async fn if_wanted<T: Default>(is_wanted: bool, asking: impl Future<Output = T>) -> T {
    if is_wanted { asking.await } else { T::default() }
}

/// A lookup that ends.
async fn bounded<T>(name: &str, asking: impl Future<Output = Found<T>>) -> Found<T> {
    match timeout(LOOKUP, asking).await {
        Ok(found) => found,
        Err(_) => {
            Err(DnsTrouble::new(name, format!("nothing within {} seconds", LOOKUP.as_secs())))
        }
    }
}

/// The addresses that receivers saw.
fn seen(way_out: &WayOut) -> BTreeSet<IpAddr> {
    match way_out {
        WayOut::Direct(receivers) => {
            receivers.iter().filter_map(|receiver| receiver.greeting.as_ref().ok()?.seen).collect()
        }
        // What a smarthost sees is of no importance to receivers.
        WayOut::Smarthost(_) => BTreeSet::new(),
    }
}

/// One query to each list for each address, and for each name.
async fn look_up(
    dns: &Dns,
    host: &str,
    addresses: &BTreeSet<IpAddr>,
    domains: &[String],
) -> Vec<ListAnswer> {
    let mut names: BTreeSet<&str> = domains.iter().map(String::as_str).collect();
    names.extend((!host.is_empty()).then_some(host));
    let mut asking = tokio::task::JoinSet::new();
    for list in &blocklists::ALL {
        let of_addresses = addresses
            .iter()
            .filter_map(|address| Some((address.to_string(), list.query_of_address(*address)?)));
        let of_names =
            names.iter().filter_map(|name| Some(((*name).to_owned(), list.query_of_name(name)?)));
        for (subject, query) in of_addresses.chain(of_names) {
            let dns = dns.clone();
            asking.spawn(async move {
                let answer = bounded(&query, dns.a(&query)).await;
                ListAnswer { list, subject, answer }
            });
        }
    }
    let mut answers = asking.join_all().await;
    answers.sort_by(|a, b| (a.list.name, &a.subject).cmp(&(b.list.name, &b.subject)));
    answers
}
