//! Port 25 of receivers, or the smarthost.

use std::net::IpAddr;

use tokio::task::JoinSet;

use super::smtp::{self, Stream, Talk};
use super::{Questions, bounded, tls};
use crate::dns::Dns;
use crate::doctor::facts::{Greeting, NoGreeting, Receiver, Smarthost, WayOut};
use crate::history::{Entry, Event};

/// Receivers that everybody writes to; both tell a client its address.
const WELL_KNOWN: [&str; 2] = ["gmail.com", "outlook.com"];
const SMTP: u16 = 25;
const SUBMISSIONS: u16 = 465;

pub async fn look(dns: &Dns, questions: &Questions) -> WayOut {
    let settings = &questions.settings;
    let relayhost = settings.relayhost.as_str();
    if !relayhost.is_empty() {
        let entries = questions.daemon.as_ref().map_or(&[][..], |(_, entries)| entries);
        return WayOut::Smarthost(
            smarthost(dns, relayhost, settings.greeting_name(), entries).await,
        );
    }
    let mut asking = JoinSet::new();
    for domain in WELL_KNOWN {
        let (dns, host, ipv6) =
            (dns.clone(), settings.greeting_name().to_owned(), settings.sends_over_ipv6());
        asking.spawn(async move { receiver(&dns, domain, &host, ipv6).await });
    }
    let mut receivers = asking.join_all().await;
    receivers.sort_by(|a, b| a.host.cmp(&b.host));
    WayOut::Direct(receivers)
}

/// Greets the best mail exchanger of a domain, and says QUIT.
async fn receiver(dns: &Dns, domain: &str, host: &str, ipv6: bool) -> Receiver {
    let found = match bounded(domain, dns.mx(domain)).await {
        Ok(found) => found,
        Err(error) => {
            let greeting = Err(NoGreeting::NoAddress(error.to_string()));
            return Receiver { host: domain.to_owned(), greeting };
        }
    };
    let exchanger = found.records.into_iter().next().map(|(_, name)| name);
    let exchanger = exchanger.unwrap_or_else(|| domain.to_owned());
    let greeting = match addresses(dns, &exchanger, ipv6).await {
        Ok(addresses) => first_greeting(&addresses, SMTP, host).await,
        Err(error) => Err(NoGreeting::NoAddress(error)),
    };
    Receiver { host: exchanger, greeting }
}

/// The first address of each kind, IPv6 first if Postfix uses it, as Postfix would.
async fn addresses(dns: &Dns, host: &str, ipv6: bool) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let (v4, v6) = tokio::join!(bounded(host, dns.a(host)), async {
        if ipv6 { Some(bounded(host, dns.aaaa(host)).await) } else { None }
    });
    let v6 = v6.and_then(Result::ok).and_then(|found| found.records.first().copied());
    let v4 = v4.map_err(|error| error.to_string())?.records.first().copied();
    let found: Vec<IpAddr> = v6.map(IpAddr::V6).into_iter().chain(v4.map(IpAddr::V4)).collect();
    if found.is_empty() { Err(format!("{host} has no address in DNS")) } else { Ok(found) }
}

async fn first_greeting(
    addresses: &[IpAddr],
    port: u16,
    host: &str,
) -> Result<Greeting, NoGreeting> {
    let mut last = NoGreeting::NoConnection("no address".to_owned());
    for address in addresses {
        let greeted = match smtp::connect(*address, port).await {
            Ok(stream) => smtp::greet(stream, host).await,
            Err(error) => Err(error),
        };
        match greeted {
            Ok((greeting, mut talk)) => {
                talk.quit().await;
                return Ok(greeting);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `host`, `[host]:port` and `host:port`, as Postfix reads them.
fn parse(relayhost: &str) -> (&str, u16, bool) {
    let (host, port) = match relayhost.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()),
        _ => (relayhost, None),
    };
    let (host, port) = port.map_or((relayhost, SMTP), |port| (host, port));
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    (bare.unwrap_or(host), port, bare.is_none())
}

async fn smarthost(dns: &Dns, relayhost: &str, own: &str, entries: &[Entry]) -> Smarthost {
    let (host, port, asks_mx) = parse(relayhost);
    let (greeting, tls) = match server(dns, host, asks_mx).await {
        Err(error) => (Err(NoGreeting::NoAddress(error)), None),
        Ok((name, address)) => match smtp::connect(address, port).await {
            Ok(stream) if port == SUBMISSIONS => implicit(stream, &name, own).await,
            Ok(stream) => explicit(stream, &name, own).await,
            Err(error) => (Err(error), None),
        },
    };
    let of_smarthost = |entry: &&Entry| {
        matches!(entry.event, Event::Sent | Event::Deferred | Event::Bounced)
            && entry.next_hop.starts_with(host)
    };
    let last = entries.iter().filter(of_smarthost).max_by_key(|entry| entry.time);
    let last_delivery = last.map(|entry| (entry.event == Event::Sent, entry.answer.clone()));
    Smarthost { name: relayhost.to_owned(), greeting, tls, last_delivery }
}

/// Postfix looks for the MX of a name without brackets.
async fn server(dns: &Dns, host: &str, asks_mx: bool) -> Result<(String, IpAddr), String> {
    let exchanger = if asks_mx && host.parse::<IpAddr>().is_err() {
        let found = bounded(host, dns.mx(host)).await.map_err(|error| error.to_string())?;
        found.records.into_iter().next().map(|(_, name)| name)
    } else {
        None
    };
    let name = exchanger.unwrap_or_else(|| host.to_owned());
    let address = addresses(dns, &name, false).await?.into_iter().next();
    address.map(|address| (name, address)).ok_or_else(|| format!("{host} has no address in DNS"))
}

type Met =
    (Result<Greeting, NoGreeting>, Option<Result<crate::doctor::facts::Certificate, String>>);

async fn implicit<S: Stream>(stream: S, name: &str, own: &str) -> Met {
    match tls::over(stream, name).await {
        Ok((stream, agreed)) => match smtp::greet(stream, own).await {
            Ok((greeting, mut talk)) => {
                talk.quit().await;
                (Ok(greeting), Some(Ok(agreed.certificate)))
            }
            Err(error) => (Err(error), Some(Ok(agreed.certificate))),
        },
        Err(error) => (Err(NoGreeting::NoConnection(error.to_string())), None),
    }
}

async fn explicit<S: Stream>(stream: S, name: &str, own: &str) -> Met {
    let (greeting, mut talk) = match smtp::greet(stream, own).await {
        Ok(greeted) => greeted,
        Err(error) => return (Err(error), None),
    };
    if !greeting.offers("STARTTLS") {
        talk.quit().await;
        return (Ok(greeting), None);
    }
    let tls = match talk.say("STARTTLS").await {
        Ok(reply) if reply.code == 220 => over(talk, name).await,
        Ok(reply) => Err(reply.text()),
        Err(error) => Err(error.to_string()),
    };
    (Ok(greeting), Some(tls))
}

async fn over<S: Stream>(
    talk: Talk<S>,
    name: &str,
) -> Result<crate::doctor::facts::Certificate, String> {
    let (stream, agreed) =
        tls::over(talk.into_inner(), name).await.map_err(|error| error.to_string())?;
    Talk::new(stream).quit().await;
    Ok(agreed.certificate)
}

/// What did not work of late, newest first.
pub fn troubled(entries: Vec<Entry>) -> Vec<Entry> {
    let is_trouble =
        |entry: &Entry| matches!(entry.event, Event::Deferred | Event::Bounced | Event::Expired);
    entries.into_iter().filter(is_trouble).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayhost_is_read_as_postfix_reads_it() {
        for (text, expected) in [
            ("smtp.example.net", ("smtp.example.net", 25, true)),
            ("[smtp.example.net]", ("smtp.example.net", 25, false)),
            ("[smtp.example.net]:587", ("smtp.example.net", 587, false)),
            ("smtp.example.net:465", ("smtp.example.net", 465, true)),
            ("[192.0.2.25]:2525", ("192.0.2.25", 2525, false)),
            ("[2001:db8::1]:587", ("2001:db8::1", 587, false)),
            ("[2001:db8::1]", ("2001:db8::1", 25, false)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
