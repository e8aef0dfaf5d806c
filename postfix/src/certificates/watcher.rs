//! Certificates in use: Postfix's private copies of checked pairs, and the watch over their sources.
//!
//! Postfix reads a key and a certificate whenever one of its processes starts. Were it to read the
//! operator's files, a renewal that is written in two steps, or goes wrong, would end every TLS
//! session until somebody mends it. So Postfix reads a copy in one file, which only ever changes
//! from one good pair to another, and then reloads, which ends no session.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::renewal::{Finding, Step, Trouble};
use crate::certificates::pair::{Pair, PairError};
use crate::certificates::{renewal, self_signed};
use crate::settings::{ServerTls, Settings};
use crate::{files, log};

/// What Postfix shows its clients.
pub const SERVER_COPY: &str = "/run/postfix/server.pem";
/// What Postfix shows the next hop.
pub const CLIENT_COPY: &str = "/run/postfix/client.pem";

/// On a volume, so that clients that pinned the self-signed certificate still know it tomorrow.
const SELF_SIGNED_FOLDER: &str = "/var/lib/relay-tls";

/// An end that is nearer than this is said, once a day: renewals usually come a month before.
const NEAR_END: Duration = Duration::from_secs(14 * 24 * 3600);
const ONE_DAY: Duration = Duration::from_secs(24 * 3600);

/// The pairs in use.
#[derive(Debug, Default)]
pub struct Watcher(Vec<Watched>);

/// One pair that Postfix has a copy of.
#[derive(Debug)]
struct Watched {
    source: Source,
    copy: PathBuf,
    /// Whom the certificate has to name; a client certificate names whatever its reader wants.
    hostname: Option<String>,
    current: Pair,
    trouble: Option<Trouble>,
    end_told: Option<SystemTime>,
}

#[derive(Debug)]
enum Source {
    SelfSigned(PathBuf),
    Files { certificate: PathBuf, key: PathBuf, names: [&'static str; 2] },
}

/// Puts every pair of the settings in use.
pub fn prepare(settings: &Settings, now: SystemTime) -> anyhow::Result<Watcher> {
    let mut watcher = Watcher::default();
    let source = match &settings.tls {
        ServerTls::Off => None,
        ServerTls::SelfSigned => Some(Source::SelfSigned(PathBuf::from(SELF_SIGNED_FOLDER))),
        ServerTls::Files { certificate, key } => {
            let (certificate, key) = (certificate.clone(), key.clone());
            Some(Source::Files { certificate, key, names: ["TLS_CERT", "TLS_KEY"] })
        }
    };
    if let Some(source) = source {
        let hostname = Some(settings.hostname.clone());
        let watched = Watched::start(source, Path::new(SERVER_COPY), hostname, now)?;
        watched.introduce(&settings.hostname);
        watcher.0.push(watched);
    }
    if let Some((certificate, key)) = &settings.next_hops.client_pair {
        let (certificate, key) = (certificate.clone(), key.clone());
        let names = ["RELAYHOST_CERT", "RELAYHOST_KEY"];
        let source = Source::Files { certificate, key, names };
        watcher.0.push(Watched::start(source, Path::new(CLIENT_COPY), None, now)?);
    }
    Ok(watcher)
}

impl Watcher {
    /// Looks after every pair; `true` when Postfix has to reload, to use a new one.
    ///
    /// Cheap enough for every few seconds: it reads two small files for each pair.
    pub fn tick(&mut self, now: SystemTime) -> bool {
        let mut changed = false;
        for watched in &mut self.0 {
            changed |= watched.tick(now);
        }
        changed
    }
}

impl Watched {
    fn start(
        source: Source,
        copy: &Path,
        hostname: Option<String>,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let current = match &source {
            Source::SelfSigned(folder) => {
                self_signed::ensure(folder, hostname.as_deref().unwrap_or_default(), now)?
            }
            Source::Files { certificate, key, .. } => Pair::load(certificate, key)?,
        };
        let copy = copy.to_path_buf();
        let mut watched = Self { source, copy, hostname, current, trouble: None, end_told: None };
        watched.write_copy()?;
        watched.warn_of_faults(now);
        Ok(watched)
    }

    /// Whether there is a new pair in use.
    fn tick(&mut self, now: SystemTime) -> bool {
        let renewed = match &self.source {
            Source::SelfSigned(folder) => {
                let folder = folder.clone();
                self.tick_self_signed(&folder, now)
            }
            Source::Files { certificate, key, .. } => {
                let (certificate, key) = (certificate.clone(), key.clone());
                self.tick_files(&certificate, &key, now)
            }
        };
        self.warn_of_end(now);
        renewed
    }

    fn tick_self_signed(&mut self, folder: &Path, now: SystemTime) -> bool {
        let hostname = self.hostname.clone().unwrap_or_default();
        if self_signed::is_due(&self.current, &hostname, now).is_none() {
            return false;
        }
        match self_signed::ensure(folder, &hostname, now) {
            Ok(pair) => self.take(pair),
            Err(error) => {
                let found = Finding::Broken(format!("{error:#}"));
                self.keep(&found, now);
                false
            }
        }
    }

    fn tick_files(&mut self, certificate: &Path, key: &Path, now: SystemTime) -> bool {
        let (finding, pair) = match Pair::load(certificate, key) {
            Ok(pair) if pair.is(&self.current) => {
                // Somebody put the old pair back, or finished what looked broken for a moment.
                self.trouble = None;
                return false;
            }
            Ok(pair) => (self.compare(&pair, now), Some(pair)),
            Err(error) => (Finding::Broken(self.describe(&error)), None),
        };
        match (finding, pair) {
            (Finding::Good, Some(pair)) => self.take(pair),
            (finding, _) => {
                self.keep(&finding, now);
                false
            }
        }
    }

    /// A renewal that is worse than what is in use is none.
    fn compare(&self, pair: &Pair, now: SystemTime) -> Finding {
        let names = |pair: &Pair| self.hostname.as_deref().is_none_or(|host| pair.names_host(host));
        renewal::compare(
            renewal::Facts { validity: self.current.validity, names_host: names(&self.current) },
            renewal::Facts { validity: pair.validity, names_host: names(pair) },
            now,
        )
    }

    fn keep(&mut self, found: &Finding, now: SystemTime) {
        let (step, trouble) = renewal::decide(found, self.trouble.take(), now);
        self.trouble = trouble;
        if let Step::Warn(reason) = step {
            log::warning(format_args!(
                "the new certificate {reason}; the one in use stays, until {}",
                humantime::format_rfc3339_seconds(self.current.validity.not_after)
            ));
        }
    }

    fn take(&mut self, pair: Pair) -> bool {
        let before = std::mem::replace(&mut self.current, pair);
        if let Err(error) = self.write_copy() {
            // The next tick finds the difference again.
            self.current = before;
            log::warning(format_args!("{error:#}; the certificate in use stays"));
            return false;
        }
        self.trouble = None;
        self.end_told = None;
        log::info(format_args!("a renewed certificate is in use, {}", self.summary()));
        if before.pin() != self.current.pin() {
            log::info(format_args!("its key is a new one: {}", key_of(&self.current)));
        }
        true
    }

    fn write_copy(&self) -> anyhow::Result<()> {
        files::write_atomically(&self.copy, self.current.to_pem().as_bytes(), 0o600)
    }

    fn introduce(&self, hostname: &str) {
        let kind = match self.source {
            Source::SelfSigned(_) => "self-signed certificate",
            Source::Files { .. } => "certificate",
        };
        log::info(format_args!("{kind}, {}", self.summary()));
        log::info(format_args!(
            "for clients that pin the key or check it by DNSSEC (_465._tcp.{hostname}): {}",
            key_of(&self.current)
        ));
    }

    fn summary(&self) -> String {
        format!(
            "valid until {}, SHA-256 fingerprint {}",
            humantime::format_rfc3339_seconds(self.current.validity.not_after),
            self.current.fingerprint()
        )
    }

    /// What does not keep the relay from starting: to refuse to start would help nobody.
    fn warn_of_faults(&mut self, now: SystemTime) {
        let Source::Files { names: [variable, _], .. } = self.source else { return };
        if let Some(hostname) = &self.hostname {
            if !self.current.names_host(hostname) {
                log::warning(format_args!(
                    "the certificate in {variable} is not for {hostname}; clients that check will \
                     refuse it"
                ));
            }
        }
        if self.current.validity.not_before > now {
            log::warning(format_args!(
                "the certificate in {variable} holds only from {}; clients that check will refuse it",
                humantime::format_rfc3339_seconds(self.current.validity.not_before)
            ));
        }
        self.warn_of_end(now);
    }

    fn warn_of_end(&mut self, now: SystemTime) {
        let Source::Files { names: [variable, _], .. } = self.source else { return };
        let left = self.current.validity.left(now);
        if left > NEAR_END || self.end_told.is_some_and(|told| !has_passed(ONE_DAY, told, now)) {
            return;
        }
        self.end_told = Some(now);
        let end = humantime::format_rfc3339_seconds(self.current.validity.not_after);
        let what = match left.is_zero() {
            true => format!("ended at {end}; clients that check refuse it"),
            false => format!("ends at {end}"),
        };
        log::warning(format_args!("the certificate in {variable} {what}: renew it"));
    }

    fn describe(&self, error: &PairError) -> String {
        let mut text = String::from("cannot be used: ");
        if let Source::Files { certificate, key, names: [certificate_name, key_name] } =
            &self.source
        {
            let (name, path) = match error.concerns_key() {
                true => (key_name, key),
                false => (certificate_name, certificate),
            };
            // Writing to a String cannot fail.
            write!(text, "{name}={}: ", path.display()).ok();
        }
        text + &error.to_string()
    }
}

fn key_of(pair: &Pair) -> String {
    format!("SPKI pin sha256//{}, TLSA {}", pair.pin(), pair.tlsa())
}

/// A clock that was set back has let everything pass: better said twice than never.
pub fn has_passed(duration: Duration, since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).map_or(true, |passed| passed >= duration)
}

#[cfg(test)]
mod tests;
