//! When something begins, and when it is over: told once, and not once a minute. Pure; time is an argument.

use std::collections::BTreeMap;

use super::alert::{Alert, State};
use crate::status::{Concern, ConcernKind};

const MINUTE: u64 = 60;
/// It has to be good for this long before it is over, so that what comes and goes is told once.
const GOOD_FOR: u64 = 10 * MINUTE;
/// What lasts is told again after a day.
const REMIND: u64 = 86_400;

/// For how long something must last before it is told.
fn hold(kind: ConcernKind) -> u64 {
    match kind {
        // They do not come and go.
        ConcernKind::CertificateExpired
        | ConcernKind::CertificateEnds
        | ConcernKind::CertificateNotRenewed
        | ConcernKind::UserSuspended => 0,
        ConcernKind::PostfixSilent | ConcernKind::Trouble | ConcernKind::VolumeFull => 2 * MINUTE,
        ConcernKind::LongWait
        | ConcernKind::ManyDeferred
        | ConcernKind::ManyBounced
        | ConcernKind::Guessing
        | ConcernKind::HashingBusy => 5 * MINUTE,
    }
}

/// What is wrong now, and what was told of it.
#[derive(Debug, Default)]
pub struct Tracker(BTreeMap<(ConcernKind, String), Course>);

#[derive(Debug, Clone, Copy)]
struct Course {
    since: u64,
    /// When it was last seen.
    seen: u64,
    /// When it was last told of.
    told: Option<u64>,
}

impl Tracker {
    /// What there is to tell, given what is wrong now. To be called at least once a minute.
    pub fn step(&mut self, concerns: &[Concern], now: u64) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for concern in concerns {
            let new = Course { since: now, seen: now, told: None };
            let key = (concern.kind, concern.what.clone());
            let course = self.0.entry(key).or_insert(new);
            course.seen = now;
            // Who was suspended was told at once, with the name.
            let is_told_elsewhere = concern.kind == ConcernKind::UserSuspended;
            let state = match course.told {
                None if now.saturating_sub(course.since) >= hold(concern.kind) => State::Raised,
                Some(told) if now.saturating_sub(told) >= REMIND => State::Lasts,
                _ => continue,
            };
            course.told = Some(now);
            if !(is_told_elsewhere && state == State::Raised) {
                alerts.push(Alert::concern(concern, state, now));
            }
        }
        self.0.retain(|(kind, what), course| {
            let is_good = now.saturating_sub(course.seen);
            match course.told {
                // It came and went, and nobody heard of it.
                None => is_good == 0 || is_good < hold(*kind),
                Some(_) if is_good < GOOD_FOR => true,
                Some(_) => {
                    alerts.push(Alert::over(*kind, what, course.since, now));
                    false
                }
            }
        });
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concern(kind: ConcernKind) -> Concern {
        Concern { kind, what: String::new(), text: "Look.".to_owned() }
    }

    /// What is told in each minute in which there is something to tell, when the concern holds in those minutes.
    fn told(kind: ConcernKind, minutes: u64, holds: impl Fn(u64) -> bool) -> Vec<(u64, State)> {
        let mut tracker = Tracker::default();
        let mut told = Vec::new();
        for minute in 0..minutes {
            let concerns = if holds(minute) { vec![concern(kind)] } else { vec![] };
            let alerts = tracker.step(&concerns, minute * MINUTE);
            told.extend(alerts.into_iter().map(|alert| (minute, alert.state)));
        }
        told
    }

    #[test]
    fn what_lasts_is_told_once_then_daily_and_once_when_it_is_over() {
        let day = 24 * 60;
        assert_eq!(
            told(ConcernKind::LongWait, 2 * day, |minute| (10..day + 30).contains(&minute)),
            [(15, State::Raised), (day + 15, State::Lasts), (day + 39, State::Over)]
        );
    }

    #[test]
    fn what_comes_and_goes_is_told_once() {
        let flapping = |minute: u64| minute < 600 && minute % 8 < 7;
        let expected = [(5, State::Raised), (608, State::Over)];
        assert_eq!(told(ConcernKind::Guessing, 700, flapping), expected);
    }

    #[test]
    fn what_is_short_is_not_told_and_what_cannot_be_short_at_once() {
        assert_eq!(told(ConcernKind::LongWait, 60, |minute| minute < 5), []);
        let once = |minute: u64| minute < 1;
        let expected = [(0, State::Raised), (10, State::Over)];
        assert_eq!(told(ConcernKind::CertificateEnds, 60, once), expected);
        // The alert with the name was sent when it happened.
        assert_eq!(told(ConcernKind::UserSuspended, 60, once), [(10, State::Over)]);
    }

    #[test]
    fn several_of_a_kind_are_told_apart() {
        let mut tracker = Tracker::default();
        let of = |what: &str| Concern {
            what: what.to_owned(),
            ..concern(ConcernKind::CertificateExpired)
        };
        assert_eq!(tracker.step(&[of("server"), of("client")], 0).len(), 2);
        let over = tracker.step(&[of("client")], GOOD_FOR);
        assert_eq!((over[0].what.as_str(), over[0].state, over.len()), ("server", State::Over, 1));
        assert_eq!(over[0].text, "Over after 10 min: server certificate expired.");
    }
}
