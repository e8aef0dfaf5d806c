//! What a check says. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How good it is; the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// It could not be found out, or is not asked for: neither good nor bad.
    Skipped,
    /// Mail arrives, but not as surely as it could.
    Warn,
    /// Receivers refuse mail for this, or it cannot leave.
    Fail,
}

/// What is looked at.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The relay's name, its address and what the address is called
    Name,
    /// Whether mail can leave: port 25, or the smarthost
    WayOut,
    /// Whether bounces find a way back to a sender's domain
    Bounces,
    /// Which servers a sender's domain allows to send
    Spf,
    /// Whether signatures can be verified
    Dkim,
    /// What receivers do with mail that is neither SPF nor DKIM of its author
    Dmarc,
    /// Lists of addresses and names that receivers refuse
    Lists,
    /// What clients see on the ports of this relay
    Ports,
    /// That strangers cannot send
    Closed,
    /// This machine: clock, resolver, queue, volumes, settings
    Here,
}

impl Check {
    pub const ALL: [Self; 10] = [
        Self::Name,
        Self::WayOut,
        Self::Bounces,
        Self::Spf,
        Self::Dkim,
        Self::Dmarc,
        Self::Lists,
        Self::Ports,
        Self::Closed,
        Self::Here,
    ];

    /// As on the command line and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::WayOut => "way-out",
            Self::Bounces => "bounces",
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::Dmarc => "dmarc",
            Self::Lists => "lists",
            Self::Ports => "ports",
            Self::Closed => "closed",
            Self::Here => "here",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One answer of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub check: Check,
    /// A name, an address, a domain, a port.
    pub subject: String,
    pub state: State,
    /// What was found, or why it was not looked for.
    pub found: String,
    /// What to do: a DNS record, a command or a sentence. Empty when there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    pub fn ok(check: Check, subject: impl ToString, found: impl ToString) -> Self {
        Self::new(check, State::Ok, subject, found, "")
    }

    pub fn skipped(check: Check, subject: impl ToString, why: impl ToString) -> Self {
        Self::new(check, State::Skipped, subject, why, "")
    }

    pub fn warn(
        check: Check,
        subject: impl ToString,
        found: impl ToString,
        remedy: impl ToString,
    ) -> Self {
        Self::new(check, State::Warn, subject, found, remedy)
    }

    pub fn fail(
        check: Check,
        subject: impl ToString,
        found: impl ToString,
        remedy: impl ToString,
    ) -> Self {
        Self::new(check, State::Fail, subject, found, remedy)
    }

    fn new(
        check: Check,
        state: State,
        subject: impl ToString,
        found: impl ToString,
        remedy: impl ToString,
    ) -> Self {
        let (subject, found, remedy) = (subject.to_string(), found.to_string(), remedy.to_string());
        Self { check, subject, state, found, remedy }
    }
}

/// Can mail arrive?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Yes,
    /// Some receivers will refuse it, or all of them will put it aside.
    NotYet,
    /// Nothing leaves this machine.
    No,
    /// Too little could be looked at.
    Unknown,
}

impl Verdict {
    pub fn of(findings: &[Finding]) -> Self {
        let failed = |finding: &&Finding| finding.state == State::Fail;
        let ways: Vec<&Finding> =
            findings.iter().filter(|finding| finding.check == Check::WayOut).collect();
        let seen = |finding: &Finding| finding.state != State::Skipped;
        let blocked = ways.iter().any(|way| way.state == State::Fail);
        match findings.iter().filter(failed).count() {
            _ if blocked => Self::No,
            0 if !findings.iter().any(seen) => Self::Unknown,
            0 if !ways.is_empty() && !ways.iter().any(|way| seen(way)) => Self::Unknown,
            0 => Self::Yes,
            _ => Self::NotYet,
        }
    }
}
