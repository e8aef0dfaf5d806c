//! What was counted in the last 24 hours. Pure; time is an argument.
//!
//! A sample a minute for the last hour, and one every ten minutes for the last day. Each holds only counters that
//! are not zero, so that with the usual few reasons and users all of it is some tens of kilobytes; with every
//! reason and a hundred users it is under a megabyte.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::metrics::Reading;

/// Seconds between two samples of the last hour.
pub const MINUTE: u64 = 60;
/// Seconds between two points of a plot.
pub const STEP: u64 = 600;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Accepted,
    Recipients,
    Trouble,
    /// Deliveries by status.
    Delivery,
    /// Deferred deliveries by cause.
    Deferral,
    /// Decisions by reason.
    Refusal,
    /// Logins by result.
    LoginRefusal,
    UserMessages,
    UserRecipients,
}

type Counters = BTreeMap<(Kind, Arc<str>), u64>;

/// Every counter at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub time: u64,
    counters: Counters,
    /// Messages in all queues; `None` when Postfix's container is silent.
    pub queued: Option<u64>,
}

impl Sample {
    pub fn of(reading: &Reading, time: u64) -> Self {
        let mut sample = Self { time, queued: queued(reading), ..Self::default() };
        sample.add(Kind::Accepted, "", reading.sum("relay_messages_total"));
        sample.add(Kind::Recipients, "", reading.sum("relay_recipients_total"));
        sample.add(Kind::Trouble, "", reading.sum("relay_trouble_total"));
        for point in reading.series("relay_deliveries_total") {
            sample.add(Kind::Delivery, point.label("status"), point.count());
            if point.label("status") == "deferred" {
                sample.add(Kind::Deferral, point.label("cause"), point.count());
            }
        }
        for point in reading.series("relay_decisions_total") {
            if point.label("action") == "refuse" {
                sample.add(Kind::Refusal, point.label("reason"), point.count());
            }
        }
        for point in reading.series("relay_auth_attempts_total") {
            if point.label("result") != "accepted" {
                sample.add(Kind::LoginRefusal, point.label("result"), point.count());
            }
        }
        for (kind, metric) in [
            (Kind::UserMessages, "relay_user_messages_total"),
            (Kind::UserRecipients, "relay_user_recipients_total"),
        ] {
            for point in reading.series(metric) {
                sample.add(kind, point.label("user"), point.count());
            }
        }
        sample
    }

    fn add(&mut self, kind: Kind, word: &str, number: u64) {
        if number > 0 {
            *self.counters.entry((kind, word.into())).or_default() += number;
        }
    }

    /// One counter.
    pub fn count(&self, kind: Kind, word: &str) -> u64 {
        self.counters.get(&(kind, word.into())).copied().unwrap_or_default()
    }

    /// All counters of a kind that grew since an earlier sample, and by how much. A counter that became smaller
    /// began anew, as that of a user who left the list of those who send most.
    pub fn grown<'a>(
        &'a self,
        since: &'a Self,
        kind: Kind,
    ) -> impl Iterator<Item = (&'a str, u64)> {
        let ours = self.counters.iter().filter(move |((own, _), _)| *own == kind);
        ours.filter_map(move |((_, word), now)| {
            let before = since.count(kind, word);
            let number = now.checked_sub(before).unwrap_or(*now);
            (number > 0).then_some((word.as_ref(), number))
        })
    }

    /// All counters of a kind together.
    pub fn total_grown(&self, since: &Self, kind: Kind) -> u64 {
        self.grown(since, kind).map(|(_, number)| number).sum()
    }
}

fn queued(reading: &Reading) -> Option<u64> {
    let is_fresh = reading.value("relay_postfix_up") == Some(1);
    let is_known = is_fresh && !reading.series("relay_queue_messages").is_empty();
    is_known.then(|| reading.sum("relay_queue_messages"))
}

/// The samples of the last day.
#[derive(Debug)]
pub struct Ring {
    minutes: VecDeque<Sample>,
    steps: VecDeque<Sample>,
}

impl Ring {
    /// Begins with this sample, which stands for the time before.
    pub fn new(first: Sample) -> Self {
        Self { minutes: [first.clone()].into(), steps: [first].into() }
    }

    /// Takes the next sample; a clock that was set back makes it the newest all the same.
    pub fn add(&mut self, sample: Sample) {
        let is_due = self.steps.back().is_none_or(|last| sample.time.abs_diff(last.time) >= STEP);
        if is_due {
            push(&mut self.steps, sample.clone(), DAY);
        }
        push(&mut self.minutes, sample, HOUR);
    }

    /// The sample from which the last hour is counted.
    pub fn hour_ago(&self) -> Option<&Sample> {
        self.minutes.front()
    }

    pub fn day_ago(&self) -> Option<&Sample> {
        self.steps.front()
    }

    /// The samples of the plots, oldest first.
    pub fn steps(&self) -> impl Iterator<Item = &Sample> {
        self.steps.iter()
    }
}

/// Keeps one sample that is as old as the period, or older by less than a step.
fn push(samples: &mut VecDeque<Sample>, sample: Sample, period: u64) {
    let start = sample.time.saturating_sub(period);
    while samples.get(1).is_some_and(|second| second.time <= start || second.time > sample.time) {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A sample with these counters.
    pub fn sample(time: u64, counters: &[(Kind, &str, u64)]) -> Sample {
        let mut sample = Sample { time, ..Sample::default() };
        counters.iter().for_each(|(kind, word, number)| sample.add(*kind, word, *number));
        sample
    }

    #[test]
    fn an_hour_and_a_day_are_kept_and_no_more() {
        let mut ring = Ring::new(sample(0, &[]));
        for minute in 1..=3_000 {
            ring.add(sample(minute * MINUTE, &[(Kind::Accepted, "", minute)]));
        }
        let now = 3_000 * MINUTE;
        assert_eq!(ring.hour_ago().unwrap().time, now - HOUR);
        assert_eq!(ring.day_ago().unwrap().time, now - DAY);
        assert_eq!((ring.minutes.len(), ring.steps.len()), (61, 145));
    }

    #[test]
    fn after_a_start_or_a_pause_the_oldest_sample_is_what_there_is() {
        let mut ring = Ring::new(sample(100, &[]));
        assert_eq!(ring.hour_ago().unwrap().time, 100);
        ring.add(sample(50_000, &[]));
        assert_eq!(ring.hour_ago().unwrap().time, 100, "older than an hour, and all that is known");
        ring.add(sample(50_060, &[]));
        ring.add(sample(54_000, &[]));
        assert_eq!(ring.hour_ago().unwrap().time, 50_060);
        // The clock was set back.
        ring.add(sample(200, &[]));
        assert_eq!(ring.minutes.len(), 2);
    }

    #[test]
    fn only_what_grew_counts_and_a_counter_that_began_anew_counts_whole() {
        let before = sample(0, &[(Kind::UserMessages, "alice", 5), (Kind::UserMessages, "bob", 9)]);
        let now = sample(
            60,
            &[
                (Kind::UserMessages, "alice", 7),
                (Kind::UserMessages, "bob", 9),
                (Kind::UserMessages, "carol", 3),
                (Kind::Accepted, "", 4),
            ],
        );
        let grown: Vec<_> = now.grown(&before, Kind::UserMessages).collect();
        assert_eq!(grown, [("alice", 2), ("carol", 3)]);
        let anew = sample(120, &[(Kind::UserMessages, "alice", 1)]);
        assert_eq!(anew.total_grown(&now, Kind::UserMessages), 1);
    }
}
