//! Deliveries that fail more often than usual. Pure.

use super::{Concern, ConcernKind, concern};
use crate::status::{Period, Status};

/// Failed deliveries in an hour up to which their share says nothing.
const FEW: u64 = 10;
/// Percent of the deliveries of an hour that fail.
const MANY_DEFERRED: u64 = 30;
const MANY_BOUNCED: u64 = 10;
/// A share is unusual when it is more than this many times that of the last day.
const UNUSUAL: u64 = 2;
/// Percent that are unusual whatever the last day was like.
const MOST_UNUSUAL: u64 = 90;

/// How deliveries can fail.
struct Failing {
    kind: ConcernKind,
    failed: fn(&Period) -> u64,
    /// Percent that are many.
    most: u64,
    words: &'static str,
}

const FAILING: [Failing; 2] = [
    Failing {
        kind: ConcernKind::ManyDeferred,
        failed: |period| period.deferred.unwrap_or_default(),
        most: MANY_DEFERRED,
        words: "put off",
    },
    Failing {
        kind: ConcernKind::ManyBounced,
        failed: |period| period.returned().unwrap_or_default(),
        most: MANY_BOUNCED,
        words: "returned as undeliverable",
    },
];

impl Failing {
    /// Percent of all deliveries; `None` without any.
    fn share(&self, period: &Period) -> Option<u64> {
        let all = deliveries(period);
        (all > 0).then(|| (self.failed)(period) * 100 / all)
    }

    fn is_high(&self, period: &Period) -> bool {
        (self.failed)(period) > FEW && self.share(period).is_some_and(|share| share > self.most)
    }
}

fn deliveries(period: &Period) -> u64 {
    [period.sent, period.deferred, period.returned()].into_iter().flatten().sum()
}

/// Whether as many deliveries fail as this concern is about, be that usual or not. When a failure lasts for long, it
/// becomes usual; it is not over then.
pub fn still_fails(kind: ConcernKind, status: &Status) -> bool {
    FAILING.iter().any(|failing| failing.kind == kind && failing.is_high(&status.last_hour))
}

pub fn of(status: &Status) -> impl Iterator<Item = Concern> {
    let (hour, day) = (&status.last_hour, &status.last_day);
    FAILING.iter().filter_map(move |failing| {
        let now = failing.share(hour)?;
        // An hour that is the whole day cannot be compared with it.
        let is_comparable = day.seconds > hour.seconds;
        let usual = failing.share(day).filter(|_| is_comparable).unwrap_or_default();
        let is_unusual = now > usual.saturating_mul(UNUSUAL).min(MOST_UNUSUAL);
        let text = format!(
            "{now} % of the {} deliveries of the last hour were {}. `docker compose exec sidecar relay history` \
             shows what the receivers said.",
            deliveries(hour),
            failing.words
        );
        (failing.is_high(hour) && is_unusual).then(|| concern(failing.kind, "", text))
    })
}
