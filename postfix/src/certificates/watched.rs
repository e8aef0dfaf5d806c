//! One pair in use: Postfix's copy of it, and the source that it is compared with.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::pair::{Pair, PairError};
use super::renewal::{self, Finding, Step, Trouble, has_passed};
use super::self_signed;
use crate::{files, log};

/// A certificate that expires sooner than this is warned about once a day. Renewals usually happen a
/// month before the end.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);
const ONE_DAY: Duration = Duration::from_secs(24 * 3600);

/// One pair that Postfix has a copy of.
#[derive(Debug)]
pub struct Watched {
    source: Source,
    copy: PathBuf,
    /// The host the certificate must name; `None` for a client certificate, which may name anything.
    hostname: Option<String>,
    current: Pair,
    trouble: Option<Trouble>,
    warned_of_expiry: Option<SystemTime>,
}

#[derive(Debug)]
pub enum Source {
    SelfSigned(PathBuf),
    /// `variables` are the ones that name certificate and key.
    Files {
        certificate: PathBuf,
        key: PathBuf,
        variables: [&'static str; 2],
    },
}

impl Watched {
    /// Reads the pair, checks it, and writes the copy.
    ///
    /// # Errors
    ///
    /// If the pair cannot be used or the copy cannot be written.
    pub fn start(
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
        let mut watched =
            Self { source, copy, hostname, current, trouble: None, warned_of_expiry: None };
        watched.write_copy()?;
        watched.warn_about_faults(now);
        Ok(watched)
    }

    /// Checks this pair; `true` if it was replaced.
    pub fn tick(&mut self, now: SystemTime) -> bool {
        let replaced = match &self.source {
            Source::SelfSigned(folder) => {
                let folder = folder.clone();
                self.tick_self_signed(&folder, now)
            }
            Source::Files { certificate, key, .. } => {
                let (certificate, key) = (certificate.clone(), key.clone());
                self.tick_files(&certificate, &key, now)
            }
        };
        self.warn_about_expiry(now);
        replaced
    }

    /// Who is shown the certificate: our clients, or as our client certificate the next hop.
    pub fn role(&self) -> &'static str {
        if self.hostname.is_some() { "server" } else { "client" }
    }

    pub fn expiry(&self) -> SystemTime {
        self.current.validity.not_after
    }

    /// Whether there is a newer one that cannot be used, and that was warned of.
    pub fn is_not_renewed(&self) -> bool {
        self.trouble.as_ref().is_some_and(Trouble::was_warned_of)
    }

    fn tick_self_signed(&mut self, folder: &Path, now: SystemTime) -> bool {
        let hostname = self.hostname.clone().unwrap_or_default();
        if self_signed::reason_to_replace(&self.current, &hostname, now).is_none() {
            return false;
        }
        match self_signed::ensure(folder, &hostname, now) {
            Ok(pair) => self.replace_with(pair),
            Err(error) => {
                let finding = Finding::Unusable(format!("cannot be made: {error:#}"));
                self.keep_current(&finding, now);
                false
            }
        }
    }

    fn tick_files(&mut self, certificate: &Path, key: &Path, now: SystemTime) -> bool {
        let (finding, pair) = match Pair::load(certificate, key) {
            Ok(pair) if pair.is(&self.current) => {
                // The old pair was put back, or what looked broken is complete now.
                self.trouble = None;
                return false;
            }
            Ok(pair) => (self.compare(&pair, now), Some(pair)),
            Err(error) => (Finding::Unusable(self.describe(&error)), None),
        };
        match (finding, pair) {
            (Finding::Good, Some(pair)) => self.replace_with(pair),
            (finding, _) => {
                self.keep_current(&finding, now);
                false
            }
        }
    }

    fn compare(&self, pair: &Pair, now: SystemTime) -> Finding {
        let names = |pair: &Pair| self.hostname.as_deref().is_none_or(|host| pair.names_host(host));
        renewal::compare(
            renewal::Facts { validity: self.current.validity, names_host: names(&self.current) },
            renewal::Facts { validity: pair.validity, names_host: names(pair) },
            now,
        )
    }

    fn keep_current(&mut self, finding: &Finding, now: SystemTime) {
        let (step, trouble) = renewal::decide(finding, self.trouble.take(), now);
        self.trouble = trouble;
        if let Step::Warn(reason) = step {
            log::warning(format_args!(
                "the new certificate {reason}; still using the old one, which expires at {}",
                humantime::format_rfc3339_seconds(self.current.validity.not_after)
            ));
        }
    }

    fn replace_with(&mut self, pair: Pair) -> bool {
        let previous = std::mem::replace(&mut self.current, pair);
        if let Err(error) = self.write_copy() {
            // The next tick finds the new pair again.
            self.current = previous;
            log::warning(format_args!("{error:#}; still using the old certificate"));
            return false;
        }
        self.trouble = None;
        self.warned_of_expiry = None;
        log::info(format_args!("now using the renewed certificate, {}", self.summary()));
        if previous.pin() != self.current.pin() {
            log::info(format_args!(
                "the renewed certificate has a new key: {}",
                key_of(&self.current)
            ));
        }
        true
    }

    fn write_copy(&self) -> anyhow::Result<()> {
        files::write_atomically(&self.copy, self.current.to_pem().as_bytes(), 0o600)
    }

    /// Logs what clients can compare the certificate with.
    pub fn announce(&self, hostname: &str) {
        let kind = match self.source {
            Source::SelfSigned(_) => "self-signed certificate",
            Source::Files { .. } => "certificate",
        };
        log::info(format_args!("using the {kind}, {}", self.summary()));
        log::info(format_args!(
            "for clients that pin the key, and for DANE at _465._tcp.{hostname}: {}",
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

    /// Warns about faults that do not justify refusing to start.
    fn warn_about_faults(&mut self, now: SystemTime) {
        let Source::Files { variables: [variable, _], .. } = self.source else { return };
        if let Some(hostname) = &self.hostname
            && !self.current.names_host(hostname)
        {
            log::warning(format_args!(
                "the certificate in {variable} is not valid for {hostname}; clients that check it \
                 will reject it"
            ));
        }
        if self.current.validity.not_before > now {
            log::warning(format_args!(
                "the certificate in {variable} is not valid before {}; clients that check it will \
                 reject it",
                humantime::format_rfc3339_seconds(self.current.validity.not_before)
            ));
        }
        self.warn_about_expiry(now);
    }

    fn warn_about_expiry(&mut self, now: SystemTime) {
        let Source::Files { variables: [variable, _], .. } = self.source else { return };
        let left = self.current.validity.left(now);
        let is_recent = |warned| !has_passed(ONE_DAY, warned, now);
        if left > EXPIRES_SOON || self.warned_of_expiry.is_some_and(is_recent) {
            return;
        }
        self.warned_of_expiry = Some(now);
        let end = humantime::format_rfc3339_seconds(self.current.validity.not_after);
        let what = match left.is_zero() {
            true => format!("expired at {end}; clients that check it reject it"),
            false => format!("expires at {end}"),
        };
        log::warning(format_args!("the certificate in {variable} {what}: renew it"));
    }

    fn describe(&self, error: &PairError) -> String {
        let mut text = String::from("cannot be used: ");
        if let Source::Files { certificate, key, variables: [of_certificate, of_key] } =
            &self.source
        {
            let (variable, path) = match error.concerns_key() {
                true => (of_key, key),
                false => (of_certificate, certificate),
            };
            // Writing to a String cannot fail.
            write!(text, "{variable}={}: ", path.display()).ok();
        }
        text + &error.to_string()
    }
}

/// What identifies the key of a pair to clients.
fn key_of(pair: &Pair) -> String {
    format!("SPKI pin sha256//{}, TLSA {}", pair.pin(), pair.tlsa())
}

#[cfg(test)]
mod tests;
