//! What was sent lately, counted in messages and recipients. Pure; time is an argument.
//!
//! A period is counted with two numbers: what was sent in the current hour (or day) of the clock,
//! and in the one before, of which only the part still counts that the sliding period covers. That
//! is exact for somebody who sends evenly, and never off by more than the earlier period's count.

use serde::{Deserialize, Serialize};

use super::limit::{Ceiling, Limit, Limits, Period, Unit};

/// The count of one period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    /// Number of the hour or day since 1970 that `current` counts.
    index: u64,
    current: u32,
    previous: u32,
}

impl Window {
    fn advanced(self, now: u64, period: Period) -> Self {
        let index = now / period.seconds();
        match index.checked_sub(self.index) {
            Some(0) => self,
            Some(1) => Self { index, current: 0, previous: self.current },
            Some(_) => Self { index, current: 0, previous: 0 },
            // The clock was set back: what was counted still counts, and does so from now on.
            None => Self { index, ..self },
        }
    }

    /// Brings a count from the future, which a clock that was ahead left behind, back to now.
    fn settle(&mut self, now: u64, period: Period) {
        self.index = self.index.min(now / period.seconds());
    }

    fn used(self, now: u64, period: Period) -> u32 {
        let window = self.advanced(now, period);
        let length = period.seconds();
        let left = length - now % length;
        let carried = u64::from(window.previous) * left / length;
        window.current.saturating_add(u32::try_from(carried).unwrap_or(u32::MAX))
    }

    fn add(&mut self, now: u64, period: Period, amount: u32) {
        *self = self.advanced(now, period);
        self.current = self.current.saturating_add(amount);
    }
}

/// Hour and day of one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    hour: Window,
    day: Window,
}

impl Counter {
    fn used(&self, now: u64, period: Period) -> u32 {
        match period {
            Period::Hour => self.hour.used(now, period),
            Period::Day => self.day.used(now, period),
        }
    }

    fn settle(&mut self, now: u64) {
        self.hour.settle(now, Period::Hour);
        self.day.settle(now, Period::Day);
    }

    fn add(&mut self, now: u64, amount: u32) {
        self.hour.add(now, Period::Hour, amount);
        self.day.add(now, Period::Day, amount);
    }
}

/// What somebody sent lately, and tried to send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    messages: Counter,
    recipients: Counter,
    /// Recipients of everything that was tried, whether a limit refused it or not.
    attempts: Counter,
    /// When an operator last lifted a suspension; earlier attempts do not count.
    lifted: u64,
}

/// Index, current and previous count of an hour and a day, of three counters; and when a suspension was
/// lifted.
pub const FIGURES: usize = 3 * 2 * 3 + 1;

/// A limit that has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    pub limit: Limit,
    pub used: u32,
}

impl Usage {
    /// Lets what was counted while the clock was ahead count from now on, and not until real time
    /// catches up.
    pub fn settle(&mut self, now: u64) {
        for counter in [&mut self.messages, &mut self.recipients, &mut self.attempts] {
            counter.settle(now);
        }
    }

    /// What has been used of a limit.
    pub fn used(&self, now: u64, limit: &Limit) -> u32 {
        match limit.unit {
            Unit::Recipients => self.recipients.used(now, limit.period),
            Unit::Messages => self.messages.used(now, limit.period),
        }
    }

    /// Whether one more message to this many recipients stays within all limits, with what was sent
    /// by way of other relays.
    ///
    /// # Errors
    ///
    /// The first limit that it would exceed.
    pub fn check(
        &self,
        now: u64,
        limits: &Limits,
        recipients: u32,
        elsewhere: &[Self],
    ) -> Result<(), Exceeded> {
        for limit in &limits.0 {
            let used = self.used_in_all(now, limit, elsewhere);
            let amount = match limit.unit {
                Unit::Recipients => recipients,
                Unit::Messages => 1,
            };
            if used.saturating_add(amount) > limit.most {
                return Err(Exceeded { limit: *limit, used });
            }
        }
        Ok(())
    }

    /// Counts one message to this many recipients.
    pub fn charge(&mut self, now: u64, recipients: u32) {
        self.messages.add(now, 1);
        self.recipients.add(now, recipients);
    }

    /// What has been used of a limit, with what was sent by way of other relays.
    pub fn used_in_all(&self, now: u64, limit: &Limit, elsewhere: &[Self]) -> u32 {
        let elsewhere = elsewhere.iter().map(|usage| usage.used(now, limit));
        elsewhere.fold(self.used(now, limit), u32::saturating_add)
    }

    /// Counts an attempt, and says whether it goes over the ceiling, with those by way of other
    /// relays. `lifted` is when the last suspension was lifted.
    pub fn attempt(
        &mut self,
        now: u64,
        recipients: u32,
        (limits, ceiling): (&Limits, &Ceiling),
        lifted: u64,
        elsewhere: &[Self],
    ) -> bool {
        // Not "later": the clock may have been set back in between.
        if lifted != self.lifted {
            self.lifted = lifted;
            self.attempts = Counter::default();
        }
        self.attempts.add(now, recipients);
        let others = || elsewhere.iter().filter(|usage| usage.lifted == lifted);
        ceiling.limits(limits).iter().any(|limit| {
            let attempts = others().map(|usage| usage.attempts.used(now, limit.period));
            let here = self.attempts.used(now, limit.period);
            attempts.fold(here, u32::saturating_add) > limit.most
        })
    }

    /// All counts in a fixed order, to be sent to another relay.
    pub fn to_figures(&self) -> [u64; FIGURES] {
        let mut figures = [self.lifted; FIGURES];
        let windows = [&self.messages, &self.recipients, &self.attempts]
            .into_iter()
            .flat_map(|counter| [counter.hour, counter.day])
            .flat_map(|window| [window.index, window.current.into(), window.previous.into()]);
        figures.iter_mut().zip(windows).for_each(|(figure, value)| *figure = value);
        figures
    }

    /// What [`Usage::to_figures`] wrote. Counts that are too large become the largest there are.
    pub fn from_figures(figures: &[u64; FIGURES]) -> Self {
        let count = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let [windows @ .., lifted] = figures;
        let mut windows = windows.as_chunks::<3>().0.iter().map(|[index, current, previous]| {
            Window { index: *index, current: count(*current), previous: count(*previous) }
        });
        let mut counter = || {
            let hour = windows.next().unwrap_or_default();
            Counter { hour, day: windows.next().unwrap_or_default() }
        };
        let (messages, recipients, attempts) = (counter(), counter(), counter());
        Self { messages, recipients, attempts, lifted: *lifted }
    }

    /// Whether nothing in it counts any longer.
    pub fn is_over(&self, now: u64) -> bool {
        [self.messages, self.recipients, self.attempts].iter().all(|counter| {
            counter.used(now, Period::Day) == 0 && counter.used(now, Period::Hour) == 0
        })
    }
}

#[cfg(test)]
mod tests;
