//! When something begins, and when it is over: told once, and not once a minute. Pure; time is an argument.

use std::collections::BTreeMap;

use super::alert::{Alert, State};
use crate::status::concerns::still_fails;
use crate::status::{ConcernKind, Status};

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
        ConcernKind::PostfixSilent
        | ConcernKind::Trouble
        | ConcernKind::VolumeFull
        | ConcernKind::FleetTrouble => 2 * MINUTE,
        ConcernKind::LongWait
        | ConcernKind::ManyDeferred
        | ConcernKind::ManyBounced
        | ConcernKind::Guessing
        | ConcernKind::HashingBusy
        | ConcernKind::FleetAway => 5 * MINUTE,
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
    /// What there is to tell, given how the relay is now. `suspensions_are_told` if each suspension is told when it
    /// happens; those from before a restart are not. To be called at least once a minute.
    pub fn step(&mut self, status: &Status, suspensions_are_told: bool, now: u64) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for concern in &status.concerns {
            let new = Course { since: now, seen: now, told: None };
            let key = (concern.kind, concern.what.clone());
            let course = self.0.entry(key).or_insert(new);
            course.seen = now;
            let is_told_elsewhere =
                concern.kind == ConcernKind::UserSuspended && suspensions_are_told;
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
            if course.told.is_some() && !is_known(*kind, status) {
                course.seen = now;
            }
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

/// Whether a concern that is not there is known to be over. While Postfix's container is silent, nobody can tell that its
/// queue is empty or its certificate renewed; and a failure that lasts until it is usual still is one.
fn is_known(kind: ConcernKind, status: &Status) -> bool {
    match kind {
        ConcernKind::LongWait
        | ConcernKind::CertificateExpired
        | ConcernKind::CertificateEnds
        | ConcernKind::CertificateNotRenewed => status.postfix.up == Some(true),
        ConcernKind::ManyDeferred | ConcernKind::ManyBounced => !still_fails(kind, status),
        ConcernKind::UserSuspended => status.suspended.is_some(),
        ConcernKind::PostfixSilent
        | ConcernKind::VolumeFull
        | ConcernKind::Trouble
        | ConcernKind::Guessing
        | ConcernKind::HashingBusy
        | ConcernKind::FleetAway
        | ConcernKind::FleetTrouble => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Concern, Period, Postfix};

    fn concern(kind: ConcernKind) -> Concern {
        Concern { kind, what: String::new(), text: "Look.".to_owned() }
    }

    /// A relay whose Postfix is heard, with these concerns.
    fn status(concerns: Vec<Concern>) -> Status {
        let postfix = Postfix { up: Some(true), ..Postfix::default() };
        Status { postfix, concerns, suspended: Some(0), ..Status::default() }
    }

    /// What is told in each minute in which there is something to tell, when the concern holds in those minutes.
    fn told(kind: ConcernKind, minutes: u64, holds: impl Fn(u64) -> bool) -> Vec<(u64, State)> {
        let mut tracker = Tracker::default();
        let mut told = Vec::new();
        for minute in 0..minutes {
            let concerns = if holds(minute) { vec![concern(kind)] } else { vec![] };
            let alerts = tracker.step(&status(concerns), true, minute * MINUTE);
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
    fn nothing_is_over_because_nobody_can_see_it_or_because_it_became_usual() {
        let mut silent = status(vec![]);
        silent.postfix.up = Some(false);
        let mut usual = status(vec![]);
        usual.last_hour = Period { sent: Some(60), deferred: Some(40), ..Period::default() };
        for (kind, unclear) in [(ConcernKind::LongWait, silent), (ConcernKind::ManyDeferred, usual)]
        {
            let mut tracker = Tracker::default();
            let bad = status(vec![concern(kind)]);
            tracker.step(&bad, true, 0);
            assert_eq!(tracker.step(&bad, true, 5 * MINUTE).len(), 1, "{kind:?}");
            for minute in 6..600 {
                assert_eq!(tracker.step(&unclear, true, minute * MINUTE), vec![], "{kind:?}");
            }
            tracker.step(&status(vec![]), true, 600 * MINUTE);
            let over = tracker.step(&status(vec![]), true, 610 * MINUTE);
            assert_eq!(over.first().map(|alert| alert.state), Some(State::Over), "{kind:?}");
        }
    }

    #[test]
    fn who_was_suspended_before_a_restart_is_told_of() {
        let suspended = status(vec![concern(ConcernKind::UserSuspended)]);
        for (are_told, expected) in [(true, 0), (false, 1)] {
            assert_eq!(Tracker::default().step(&suspended, are_told, 0).len(), expected);
        }
    }

    #[test]
    fn several_of_a_kind_are_told_apart() {
        let mut tracker = Tracker::default();
        let of = |what: &str| Concern {
            what: what.to_owned(),
            ..concern(ConcernKind::CertificateExpired)
        };
        assert_eq!(tracker.step(&status(vec![of("server"), of("client")]), true, 0).len(), 2);
        let over = tracker.step(&status(vec![of("client")]), true, GOOD_FOR);
        assert_eq!((over[0].what.as_str(), over[0].state, over.len()), ("server", State::Over, 1));
        assert_eq!(over[0].text, "Over after 10 min: server certificate expired.");
    }
}
