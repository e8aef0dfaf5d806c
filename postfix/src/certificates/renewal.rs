//! Whether a pair that was found takes the place of the one in use. Pure: time is an argument.

use std::time::{Duration, SystemTime};

use super::watcher::has_passed;
use crate::certificates::validity::Validity;

/// How long a fault may last before it is one: a certificate and its key are two files, and are
/// seldom written in the same instant.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a fault that stays is said again.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// What matters of a pair here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub validity: Validity,
    pub names_host: bool,
}

/// What is in the place of the pair in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A pair that is no worse.
    Good,
    /// Something else; the text goes on from "the new certificate".
    Broken(String),
}

/// A fault that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    since: SystemTime,
    told: Option<(SystemTime, String)>,
}

impl Trouble {
    pub fn new(since: SystemTime) -> Self {
        Self { since, told: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Wait,
    Warn(String),
}

/// A pair that clients would refuse does not replace one that they take.
pub fn compare(current: Facts, found: Facts, now: SystemTime) -> Finding {
    let time = humantime::format_rfc3339_seconds;
    if current.validity.holds(now) && found.validity.left(now).is_zero() {
        return Finding::Broken(format!("ended at {} already", time(found.validity.not_after)));
    }
    if current.validity.holds(now) && !found.validity.holds(now) {
        return Finding::Broken(format!("holds only from {}", time(found.validity.not_before)));
    }
    if current.names_host && !found.names_host {
        return Finding::Broken("is not for this host".to_owned());
    }
    Finding::Good
}

/// What to do about a fault, and what to remember of it.
pub fn decide(
    found: &Finding,
    trouble: Option<Trouble>,
    now: SystemTime,
) -> (Step, Option<Trouble>) {
    let Finding::Broken(reason) = found else {
        return (Step::Wait, None);
    };
    let Some(mut trouble) = trouble else {
        return (Step::Wait, Some(Trouble::new(now)));
    };
    let is_told = trouble
        .told
        .as_ref()
        .is_some_and(|(at, told)| told == reason && !has_passed(REMINDER, *at, now));
    if is_told || !has_passed(PATIENCE, trouble.since, now) {
        return (Step::Wait, Some(trouble));
    }
    trouble.told = Some((now, reason.clone()));
    (Step::Warn(reason.clone()), Some(trouble))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + second)
    }

    fn facts(from: u64, until: u64, names_host: bool) -> Facts {
        Facts { validity: Validity { not_before: at(from), not_after: at(until) }, names_host }
    }

    #[test]
    fn a_pair_that_clients_would_refuse_replaces_no_good_one() {
        let good = facts(0, 1000, true);
        let ended = facts(0, 50, true);
        let stranger = facts(0, 1000, false);
        for (current, found, expected) in [
            (good, facts(90, 2000, true), ""),
            // Sooner at its end, but good: somebody went back on purpose.
            (good, facts(90, 500, true), ""),
            (good, ended, "ended at"),
            (good, facts(200, 2000, true), "holds only from"),
            (good, stranger, "is not for this host"),
            // Nothing is lost when what is in use is no good either.
            (ended, facts(0, 60, true), ""),
            (ended, good, ""),
            (stranger, good, ""),
            (stranger, facts(90, 2000, false), ""),
            (ended, stranger, "is not for this host"),
        ] {
            match compare(current, found, at(100)) {
                Finding::Good => assert_eq!(expected, "", "{current:?} {found:?}"),
                Finding::Broken(reason) => {
                    assert!(!expected.is_empty() && reason.starts_with(expected), "{reason}");
                }
            }
        }
    }

    /// Asks at each second, and says when there was a warning.
    fn warnings(findings: &[(u64, &str)]) -> Vec<u64> {
        let mut trouble = None;
        let mut warned = Vec::new();
        for (second, reason) in findings {
            let finding = match *reason {
                "" => Finding::Good,
                reason => Finding::Broken(reason.to_owned()),
            };
            let (step, remembered) = decide(&finding, trouble, at(*second));
            trouble = remembered;
            if let Step::Warn(said) = step {
                assert_eq!(said, *reason);
                warned.push(*second);
            }
        }
        warned
    }

    #[test]
    fn a_fault_is_said_when_it_stays_and_then_once_a_day() {
        const DAY: u64 = 24 * 3600;
        assert_eq!(warnings(&[(0, "a"), (10, "a"), (20, "a"), (30, "a"), (40, "a")]), [30]);
        assert_eq!(warnings(&[(0, "a"), (30, "a"), (DAY, "a"), (DAY + 30, "a")]), [30, DAY + 30]);
        // A renewal in two steps.
        assert!(warnings(&[(0, "a"), (10, "a"), (20, ""), (30, "a"), (40, "a")]).is_empty());
        // Another fault is news.
        assert_eq!(warnings(&[(0, "a"), (30, "a"), (40, "b"), (50, "b")]), [30, 40]);
        // The clock was set back.
        assert_eq!(warnings(&[(DAY, "a"), (DAY + 30, "a"), (0, "a"), (10, "a")]), [DAY + 30, 0]);
    }
}
