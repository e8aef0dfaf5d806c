//! What an operator should look at, judged from the figures. Pure.
//!
//! The thresholds are those of `deploy/prometheus/relay.rules.yml`, as far as it has them.

mod failing;
mod fleet;

use serde::{Deserialize, Serialize};

pub use failing::still_fails;

use super::Status;
use super::words::{bytes, duration};

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// Mail that waits longer than this.
const LONG_WAIT: u64 = HOUR;
/// Reports come every ten seconds.
const SILENT: u64 = 30;
/// Postfix is heard of within this after the sidecar started.
const STARTS: u64 = 300;
/// A certificate that ends within this.
const ENDS_SOON: u64 = 14 * DAY;
/// Percent of a volume that must be free.
const FREE: u64 = 10;
/// Wrong passwords in an hour.
const MANY_GUESSES: u64 = 500;
/// Addresses that have to wait.
const MANY_BLOCKED: u64 = 50;

/// Does mail flow?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// Postfix was never heard of.
    #[default]
    Unknown,
    Flows,
    /// It does, and something needs a human.
    Troubled,
    Stopped,
}

/// What may be wrong. Each is told of once when it begins and once when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConcernKind {
    PostfixSilent,
    CertificateExpired,
    VolumeFull,
    Trouble,
    LongWait,
    ManyDeferred,
    ManyBounced,
    CertificateNotRenewed,
    CertificateEnds,
    UserSuspended,
    Guessing,
    HashingBusy,
    FleetAway,
    FleetTrouble,
}

impl ConcernKind {
    pub const ALL: [Self; 14] = [
        Self::PostfixSilent,
        Self::CertificateExpired,
        Self::VolumeFull,
        Self::Trouble,
        Self::LongWait,
        Self::ManyDeferred,
        Self::ManyBounced,
        Self::CertificateNotRenewed,
        Self::CertificateEnds,
        Self::UserSuspended,
        Self::Guessing,
        Self::HashingBusy,
        Self::FleetAway,
        Self::FleetTrouble,
    ];

    /// As in JSON and in an alert's `event`.
    pub fn word(self) -> &'static str {
        match self {
            Self::PostfixSilent => "postfix_silent",
            Self::CertificateExpired => "certificate_expired",
            Self::VolumeFull => "volume_full",
            Self::Trouble => "trouble",
            Self::LongWait => "long_wait",
            Self::ManyDeferred => "many_deferred",
            Self::ManyBounced => "many_bounced",
            Self::CertificateNotRenewed => "certificate_not_renewed",
            Self::CertificateEnds => "certificate_ends",
            Self::UserSuspended => "user_suspended",
            Self::Guessing => "guessing",
            Self::HashingBusy => "hashing_busy",
            Self::FleetAway => "fleet_away",
            Self::FleetTrouble => "fleet_trouble",
        }
    }

    /// Whether mail does not flow while it lasts.
    pub fn stops_mail(self) -> bool {
        matches!(self, Self::PostfixSilent | Self::CertificateExpired)
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concern {
    pub kind: ConcernKind,
    /// What it is about where there can be several, such as a volume; names nobody.
    pub what: String,
    /// What is wrong, and what to do, in a sentence or two. It names nobody.
    pub text: String,
}

fn concern(kind: ConcernKind, what: &str, text: String) -> Concern {
    Concern { kind, what: what.to_owned(), text }
}

/// Everything that is wrong, the worst first.
pub fn of(status: &Status) -> Vec<Concern> {
    let mut concerns: Vec<Concern> = silent(status)
        .into_iter()
        .chain(certificates(status))
        .chain(volumes(status))
        .chain(trouble(status))
        .chain(long_wait(status))
        .chain(failing::of(status))
        .chain(suspended(status))
        .chain(guessing(status))
        .chain(hashing(status))
        .chain(fleet::of(status))
        .collect();
    concerns.sort_by_key(|concern| concern.kind);
    concerns
}

/// The answer that comes first.
pub fn flow(status: &Status) -> Flow {
    if status.concerns.iter().any(|concern| concern.kind.stops_mail()) {
        return Flow::Stopped;
    }
    match status.postfix.up {
        None | Some(false) => Flow::Unknown,
        Some(true) if status.concerns.is_empty() => Flow::Flows,
        Some(true) => Flow::Troubled,
    }
}

fn silent(status: &Status) -> Option<Concern> {
    // relay-init reports before Postfix runs, and one that was never heard of is given time to start.
    let age = match status.postfix.age {
        Some(age) => (age >= SILENT || status.uptime > STARTS).then_some(age)?,
        None => (status.uptime > STARTS).then_some(status.uptime)?,
    };
    let text = format!(
        "Postfix has not been heard of for {}, so no mail is accepted or delivered. Look at `docker compose ps` and \
         `docker compose logs postfix`.",
        duration(age)
    );
    (status.postfix.up != Some(true)).then(|| concern(ConcernKind::PostfixSilent, "", text))
}

fn certificates(status: &Status) -> impl Iterator<Item = Concern> {
    status.certificates.iter().filter_map(|certificate| {
        let left = certificate.expires.saturating_sub(status.time);
        let which = match certificate.role.as_str() {
            "client" => "that is shown to the next hop",
            _ => "of ports 587 and 465",
        };
        let (kind, text) = match left {
            0 => (
                ConcernKind::CertificateExpired,
                format!(
                    "The certificate {which} has expired. Renew it; it is used within a minute."
                ),
            ),
            1..ENDS_SOON => (
                ConcernKind::CertificateEnds,
                format!(
                    "The certificate {which} ends in {}. See why it is not renewed; \
                     `docker compose logs postfix` names a renewed pair that could not be used.",
                    duration(left)
                ),
            ),
            _ if certificate.renewal_failed => (
                ConcernKind::CertificateNotRenewed,
                format!(
                    "There is a new certificate {which} that cannot be used, so the old one still is, for {}. \
                     `docker compose logs postfix` says what is wrong with the new one.",
                    duration(left)
                ),
            ),
            _ => return None,
        };
        Some(concern(kind, &certificate.role, text))
    })
}

fn volumes(status: &Status) -> impl Iterator<Item = Concern> {
    let little = |free: u64, of: u64| free * 100 < of * FREE;
    status.volumes.iter().filter_map(move |volume| {
        let left = match (volume.inodes, volume.inodes_free) {
            _ if little(volume.free, volume.size) => {
                format!("{} of {} left", bytes(volume.free), bytes(volume.size))
            }
            (Some(inodes), Some(free)) if little(free, inodes) => {
                format!("room for {free} more files only (inodes), of {inodes}")
            }
            _ => return None,
        };
        let text =
            format!("The volume of the {} has {left}. Make room, or mail is put off.", volume.name);
        Some(concern(ConcernKind::VolumeFull, &volume.name, text))
    })
}

fn trouble(status: &Status) -> Option<Concern> {
    let number = status.last_hour.trouble;
    let text = format!(
        "{number} questions of Postfix had no answer in the last hour, so its clients were told to try again later. \
         The reason is in `docker compose logs sidecar`."
    );
    (number > 0).then(|| concern(ConcernKind::Trouble, "", text))
}

fn long_wait(status: &Status) -> Option<Concern> {
    let waiting =
        status.queues.iter().filter(|queue| queue.name != "hold" && queue.name != "corrupt");
    let oldest = waiting.filter_map(|queue| queue.oldest).max()?;
    // Old figures are shown with their age, and are no news.
    let is_fresh = status.postfix.up == Some(true);
    let text = format!(
        "Mail has been waiting for {}. `docker compose exec postfix relay-init queue list` says why.",
        duration(oldest)
    );
    (is_fresh && oldest > LONG_WAIT).then(|| concern(ConcernKind::LongWait, "", text))
}

fn suspended(status: &Status) -> Option<Concern> {
    let number = status.suspended.filter(|number| *number > 0)?;
    let text = format!(
        "{number} user{} suspended for trying to send far too much; a password may be stolen. See \
         `docker compose exec sidecar relay user list`.",
        if number == 1 { " is" } else { "s are" }
    );
    Some(concern(ConcernKind::UserSuspended, "", text))
}

fn guessing(status: &Status) -> Option<Concern> {
    let words = ["wrong_password", "user_unknown", "limited_address", "limited_user"];
    let refused = status.last_hour.logins_refused.iter();
    let guesses: u64 = refused
        .filter(|count| words.contains(&count.what.as_str()))
        .map(|count| count.number)
        .sum();
    let text = format!(
        "{guesses} wrong logins in the last hour; {} addresses have to wait. Limits hold them off, and fail2ban can \
         block them (README has the pattern).",
        status.blocked_addresses
    );
    (guesses > MANY_GUESSES || status.blocked_addresses > MANY_BLOCKED)
        .then(|| concern(ConcernKind::Guessing, "", text))
}

fn hashing(status: &Status) -> Option<Concern> {
    let hashing = &status.hashing;
    let text = format!(
        "{} logins are waiting for one of {} hashing threads. If this lasts, somebody guesses passwords, or \
         HASHING_THREADS is too small.",
        hashing.waiting, hashing.threads
    );
    (hashing.waiting > 10 * hashing.threads.max(1))
        .then(|| concern(ConcernKind::HashingBusy, "", text))
}

#[cfg(test)]
mod tests;
