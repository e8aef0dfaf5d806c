//! Decides whether a pair found on disk replaces the one in use. Pure: time is an argument.

use std::time::{Duration, SystemTime};

use super::validity::Validity;

/// How long a fault may last without a warning: certificate and key are two files, which are rarely
/// written at the same instant.
const GRACE_PERIOD: Duration = Duration::from_secs(30);
/// How often the warning is repeated while a fault lasts.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// What the decision depends on, for one pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub validity: Validity,
    pub names_host: bool,
}

/// What was found on disk instead of the pair in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A pair that clients accept at least as well.
    Good,
    /// Anything else; the text continues "the new certificate …".
    Unusable(String),
}

/// A fault that has been found and not yet mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    since: SystemTime,
    warned: Option<(SystemTime, String)>,
}

impl Trouble {
    pub fn new(since: SystemTime) -> Self {
        Self { since, warned: None }
    }

    /// Whether it has lasted for long enough to be told.
    pub fn was_warned_of(&self) -> bool {
        self.warned.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Wait,
    Warn(String),
}

/// A pair that clients would reject never replaces one that they accept.
pub fn compare(current: Facts, found: Facts, now: SystemTime) -> Finding {
    let time = humantime::format_rfc3339_seconds;
    if current.validity.contains(now) && found.validity.left(now).is_zero() {
        return Finding::Unusable(format!("expired at {}", time(found.validity.not_after)));
    }
    if current.validity.contains(now) && !found.validity.contains(now) {
        return Finding::Unusable(format!(
            "is not valid before {}",
            time(found.validity.not_before)
        ));
    }
    if current.names_host && !found.names_host {
        return Finding::Unusable("is not for this host name".to_owned());
    }
    Finding::Good
}

/// What to do about a finding, and the fault to remember until the next one.
pub fn decide(
    found: &Finding,
    trouble: Option<Trouble>,
    now: SystemTime,
) -> (Step, Option<Trouble>) {
    let Finding::Unusable(reason) = found else {
        return (Step::Wait, None);
    };
    let Some(mut trouble) = trouble else {
        return (Step::Wait, Some(Trouble::new(now)));
    };
    let has_been_warned_of = trouble
        .warned
        .as_ref()
        .is_some_and(|(at, warned)| warned == reason && !has_passed(REMINDER, *at, now));
    if has_been_warned_of || !has_passed(GRACE_PERIOD, trouble.since, now) {
        return (Step::Wait, Some(trouble));
    }
    trouble.warned = Some((now, reason.clone()));
    (Step::Warn(reason.clone()), Some(trouble))
}

/// True as well if the clock was set back since: a warning too many is better than none.
pub fn has_passed(duration: Duration, since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).map_or(true, |passed| passed >= duration)
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
    fn a_pair_that_clients_would_reject_replaces_no_good_one() {
        let good = facts(0, 1000, true);
        let ended = facts(0, 50, true);
        let stranger = facts(0, 1000, false);
        for (current, found, expected) in [
            (good, facts(90, 2000, true), ""),
            // Expires sooner, but is good: somebody went back on purpose.
            (good, facts(90, 500, true), ""),
            (good, ended, "expired at"),
            (good, facts(200, 2000, true), "is not valid before"),
            (good, stranger, "is not for this host name"),
            // The one in use is no better.
            (ended, facts(0, 60, true), ""),
            (ended, good, ""),
            (stranger, good, ""),
            (stranger, facts(90, 2000, false), ""),
            (ended, stranger, "is not for this host name"),
        ] {
            match compare(current, found, at(100)) {
                Finding::Good => assert_eq!(expected, "", "{current:?} {found:?}"),
                Finding::Unusable(reason) => {
                    assert!(!expected.is_empty() && reason.starts_with(expected), "{reason}");
                }
            }
        }
    }

    /// Takes findings at these seconds, and returns the seconds at which there was a warning.
    fn warnings(findings: &[(u64, &str)]) -> Vec<u64> {
        let mut trouble = None;
        let mut warned = Vec::new();
        for (second, reason) in findings {
            let finding = match *reason {
                "" => Finding::Good,
                reason => Finding::Unusable(reason.to_owned()),
            };
            let (step, remembered) = decide(&finding, trouble, at(*second));
            trouble = remembered;
            if let Step::Warn(text) = step {
                assert_eq!(text, *reason);
                warned.push(*second);
            }
        }
        warned
    }

    #[test]
    fn a_lasting_fault_is_warned_about_after_30_seconds_and_then_once_a_day() {
        const DAY: u64 = 24 * 3600;
        assert_eq!(warnings(&[(0, "a"), (10, "a"), (20, "a"), (30, "a"), (40, "a")]), [30]);
        assert_eq!(warnings(&[(0, "a"), (30, "a"), (DAY, "a"), (DAY + 30, "a")]), [30, DAY + 30]);
        // Certificate and key are written one after the other.
        assert!(warnings(&[(0, "a"), (10, "a"), (20, ""), (30, "a"), (40, "a")]).is_empty());
        // A different fault gets its own warning.
        assert_eq!(warnings(&[(0, "a"), (30, "a"), (40, "b"), (50, "b")]), [30, 40]);
        // The clock was set back.
        assert_eq!(warnings(&[(DAY, "a"), (DAY + 30, "a"), (0, "a"), (10, "a")]), [DAY + 30, 0]);
    }
}
