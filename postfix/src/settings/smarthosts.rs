//! Where mail goes from here: to one next hop, to one per sender, or to each recipient's own server.

use std::path::PathBuf;

use super::environment::Problem;
use super::next_hop::{self, Names, NextHop};
use super::paths::{parse_path, read_pair};
use super::reader::Reader;
use super::secret::Secret;
use super::sender_map::{self, SenderHop};
use super::tls_level::TlsLevel;
use super::variables::{
    RELAYHOST, RELAYHOST_CERT, RELAYHOST_FALLBACK, RELAYHOST_FALLBACK_PASSWORD,
    RELAYHOST_FALLBACK_USERNAME, RELAYHOST_KEY, RELAYHOST_PASSWORD, RELAYHOST_TLS_LEVEL,
    RELAYHOST_USERNAME, TLS_CA,
};
use crate::certificates::pair;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// RELAYHOST; `None` means each recipient's own server.
    pub main: Option<NextHop>,
    /// RELAYHOST_FALLBACK, for mail whose next hop is unreachable.
    pub fallback: Option<NextHop>,
    /// RELAYHOST_MAP.
    pub by_sender: Vec<SenderHop>,
    /// RELAYHOST_TLS_LEVEL, for `main` or for each recipient's own server.
    pub level: Option<TlsLevel>,
    /// TLS_CA: CA certificates to check a next hop against instead of the public ones.
    pub ca: Option<PathBuf>,
    /// RELAYHOST_CERT and RELAYHOST_KEY: the client certificate that `main` is shown.
    pub client_pair: Option<(PathBuf, PathBuf)>,
}

const MAIN: Names =
    Names { host: &RELAYHOST, username: &RELAYHOST_USERNAME, password: &RELAYHOST_PASSWORD };
const FALLBACK: Names = Names {
    host: &RELAYHOST_FALLBACK,
    username: &RELAYHOST_FALLBACK_USERNAME,
    password: &RELAYHOST_FALLBACK_PASSWORD,
};

impl NextHops {
    /// The password table of the default transport.
    pub fn password_lines(&self) -> Vec<Secret> {
        let hops = self.main.iter().chain(&self.fallback);
        hops.filter_map(NextHop::password_line).collect()
    }

    /// Whether the default transport logs in anywhere.
    pub fn logs_in(&self) -> bool {
        self.main.iter().chain(&self.fallback).any(|hop| hop.login.is_some())
    }

    /// Wipes every password from memory.
    pub fn wipe_passwords(&mut self) {
        let by_sender = self.by_sender.iter_mut().map(|entry| &mut entry.hop);
        for hop in self.main.iter_mut().chain(&mut self.fallback).chain(by_sender) {
            hop.wipe_password();
        }
    }
}

pub fn read(reader: &mut Reader<'_>) -> NextHops {
    let ca = reader.parse_path(&TLS_CA, |text| {
        let path = parse_path(text)?;
        pair::load_certificates(&path).map_err(|error| error.to_string())?;
        Ok(path)
    });
    let mut main = next_hop::read(reader, MAIN);
    let mut fallback = next_hop::read(reader, FALLBACK);
    let level = read_level(reader, main.as_ref());
    // The level applies to both, unless the fallback's login rules it out.
    for hop in main.iter_mut().chain(&mut fallback) {
        if let Some(level) = level.filter(|level| hop.objection_to(*level).is_none()) {
            hop.level = level;
        }
    }
    check_fallback(reader, main.as_ref(), fallback.as_ref());
    let client_pair = read_pair(reader, &RELAYHOST_CERT, &RELAYHOST_KEY).flatten();
    if client_pair.is_some() && !reader.is_set(&RELAYHOST) {
        let advice = "needs RELAYHOST, because a client certificate is meant for one next hop";
        reader.problems.push(Problem::without_value(RELAYHOST_CERT.name, advice));
    }
    NextHops { main, fallback, by_sender: sender_map::read(reader), level, ca, client_pair }
}

fn read_level(reader: &mut Reader<'_>, main: Option<&NextHop>) -> Option<TlsLevel> {
    let level = reader.parse(&RELAYHOST_TLS_LEVEL, TlsLevel::parse)?;
    let objection = match main {
        Some(hop) => hop.objection_to(level),
        // RELAYHOST is wrong, which was reported.
        None if reader.is_set(&RELAYHOST) => None,
        None => (level == TlsLevel::Secure).then_some(
            "needs RELAYHOST: with direct delivery the server's name comes from the DNS, so its \
             certificate proves nothing; use none, may, encrypt, dane or dane-only",
        ),
    };
    if let Some(objection) = objection {
        let problem = Problem::new(RELAYHOST_TLS_LEVEL.name, &level.to_string(), objection);
        reader.problems.push(problem);
    }
    Some(level)
}

/// The same Postfix service talks to both, and uses implicit TLS with both or with neither.
fn check_fallback(reader: &mut Reader<'_>, main: Option<&NextHop>, fallback: Option<&NextHop>) {
    let Some(fallback) = fallback else { return };
    let at_main = main.is_some_and(NextHop::implicit_tls);
    if at_main != fallback.implicit_tls() && (main.is_some() || !reader.is_set(&RELAYHOST)) {
        let advice = match at_main {
            true => "must have port 465 too, because RELAYHOST has",
            false => {
                "cannot have port 465, because what it is the fallback for does not use it; use 587"
            }
        };
        let problem = Problem::new(RELAYHOST_FALLBACK.name, &fallback.to_string(), advice);
        reader.problems.push(problem);
    }
}

#[cfg(test)]
mod tests;
