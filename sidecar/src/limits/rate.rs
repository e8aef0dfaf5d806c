//! Messages and recipients per hour and per day. Pure; time is an argument.
//!
//! A period is counted with two numbers: what was sent in the current hour (or day) of the clock,
//! and in the one before, of which only the part counts that the sliding period still covers. That
//! is exact when somebody sends evenly, and never off by more than the earlier period's count.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::access::networks::is_separator;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Each recipient of each message.
    Recipients,
    Messages,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Hour,
    Day,
}

impl Period {
    fn seconds(self) -> u64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// One limit, such as 500 recipients a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub most: u32,
    pub unit: Unit,
    pub period: Period,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Recipients => "",
            Unit::Messages => "messages=",
        };
        write!(f, "{unit}{}/{}", self.most, self.period.name())
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is no limit: write 500/day, 100/hour, or messages=50/hour (without \
                 \"messages=\" each recipient counts)"
            )
        };
        let (unit, rest) = match text.split_once('=') {
            None => (Unit::Recipients, text),
            Some(("recipients", rest)) => (Unit::Recipients, rest),
            Some(("messages", rest)) => (Unit::Messages, rest),
            Some(_) => return Err(expected()),
        };
        let (number, period) = rest.split_once('/').ok_or_else(expected)?;
        let period = match period {
            "hour" | "h" => Period::Hour,
            "day" | "d" => Period::Day,
            _ => return Err(expected()),
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let most = number.parse().ok().filter(|most| digits && *most > 0).ok_or_else(expected)?;
        Ok(Self { most, unit, period })
    }
}

/// Some limits that all hold; none means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Limits(pub Vec<Limit>);

impl FromStr for Limits {
    type Err = String;

    /// Reads limits separated by spaces or commas; `none` is no limit.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        let entries = text.split(is_separator).filter(|entry| !entry.is_empty());
        let limits: Vec<Limit> = entries.map(str::parse).collect::<Result<_, String>>()?;
        for (position, limit) in limits.iter().enumerate() {
            let same = |other: &&Limit| (other.unit, other.period) == (limit.unit, limit.period);
            if limits.iter().skip(position + 1).find(same).is_some() {
                return Err(format!("{text:?} has two limits for one {}", limit.period.name()));
            }
        }
        Ok(Self(limits))
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (position, limit) in self.0.iter().enumerate() {
            write!(f, "{}{limit}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Limits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Limits> for String {
    fn from(limits: Limits) -> Self {
        limits.to_string()
    }
}

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
            // The clock was set back: what was counted still counts, from now on.
            None => Self { index, ..self },
        }
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

    fn add(&mut self, now: u64, amount: u32) {
        self.hour.add(now, Period::Hour, amount);
        self.day.add(now, Period::Day, amount);
    }
}

/// What somebody has sent lately, and tried to send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    messages: Counter,
    recipients: Counter,
    /// Recipients of everything that was tried, refused by a limit or not.
    attempts: Counter,
    /// When an operator last lifted a suspension; attempts before do not count.
    lifted: u64,
}

/// A limit that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    pub limit: Limit,
    pub used: u32,
}

impl Usage {
    /// What has been used of a limit.
    pub fn used(&self, now: u64, limit: &Limit) -> u32 {
        match limit.unit {
            Unit::Recipients => self.recipients.used(now, limit.period),
            Unit::Messages => self.messages.used(now, limit.period),
        }
    }

    /// Whether one more message to this many recipients stays within all limits.
    ///
    /// # Errors
    ///
    /// The first limit that it would exceed.
    pub fn check(&self, now: u64, limits: &Limits, recipients: u32) -> Result<(), Exceeded> {
        for limit in &limits.0 {
            let used = self.used(now, limit);
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

    /// Counts an attempt, and says whether it passes the ceiling. `lifted` is when the last
    /// suspension was lifted.
    pub fn attempt(
        &mut self,
        now: u64,
        recipients: u32,
        limits: &Limits,
        ceiling: &Ceiling,
        lifted: u64,
    ) -> bool {
        if lifted > self.lifted {
            self.lifted = lifted;
            self.attempts = Counter::default();
        }
        self.attempts.add(now, recipients);
        ceiling
            .limits(limits)
            .iter()
            .any(|limit| self.attempts.used(now, limit.period) > limit.most)
    }

    /// Whether nothing in it counts any more.
    pub fn is_over(&self, now: u64) -> bool {
        [self.messages, self.recipients, self.attempts].iter().all(|counter| {
            counter.used(now, Period::Day) == 0 && counter.used(now, Period::Hour) == 0
        })
    }
}

/// `SUSPEND_AFTER`: how much somebody must try to send to be taken for a thief.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ceiling {
    #[default]
    Off,
    /// So many times the user's own limits on recipients.
    Times(u32),
    Absolute(Limits),
}

impl Ceiling {
    fn limits(&self, own: &Limits) -> Vec<Limit> {
        match self {
            Self::Off => Vec::new(),
            Self::Absolute(limits) => limits.0.clone(),
            Self::Times(factor) => {
                let counted = own.0.iter().filter(|limit| limit.unit == Unit::Recipients);
                counted
                    .map(|limit| Limit { most: limit.most.saturating_mul(*factor), ..*limit })
                    .collect()
            }
        }
    }
}

impl FromStr for Ceiling {
    type Err = String;

    /// Reads `20x`, `2000/hour` or `off`.
    fn from_str(text: &str) -> Result<Self, String> {
        if ["off", "none"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(Self::Off);
        }
        if let Some(factor) = text.strip_suffix('x') {
            let factor = factor.parse().ok().filter(|factor| (2..=10_000).contains(factor));
            return factor.map(Self::Times).ok_or_else(|| {
                format!("{text:?}: write 20x for twenty times the user's limit, 2 to 10000")
            });
        }
        let limits: Limits = text.parse().map_err(|_| {
            format!("{text:?} is no ceiling: write 20x, 2000/hour, 10000/day or off")
        })?;
        if limits.0.iter().any(|limit| limit.unit == Unit::Messages) {
            return Err(format!("{text:?}: a ceiling counts recipients: write 2000/hour"));
        }
        Ok(Self::Absolute(limits))
    }
}

#[cfg(test)]
mod tests;
