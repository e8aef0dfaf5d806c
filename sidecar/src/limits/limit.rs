//! What may be sent: limits per hour and per day, and the ceiling above which a user is suspended.
//! Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::lists;

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
    pub fn seconds(self) -> u64 {
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
                "{text:?} is not a limit: write 500/day or 100/hour to count recipients, or \
                 messages=50/hour to count messages"
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

/// Limits that all apply; an empty list is no limit at all.
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
        let limits: Vec<Limit> =
            lists::entries(text).map(str::parse).collect::<Result<_, String>>()?;
        for (position, limit) in limits.iter().enumerate() {
            let same = |other: &&Limit| (other.unit, other.period) == (limit.unit, limit.period);
            if limits.iter().skip(position + 1).find(same).is_some() {
                return Err(format!(
                    "{text:?} has two limits for the same {}",
                    limit.period.name()
                ));
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

/// `SUSPEND_AFTER`: trying to send more than this means that the password was stolen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ceiling {
    #[default]
    Off,
    /// This many times the user's own limits on recipients.
    Times(u32),
    Absolute(Limits),
}

impl Ceiling {
    /// The limits on attempts, for a user with these limits of its own.
    pub fn limits(&self, own: &Limits) -> Vec<Limit> {
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
                format!("{text:?}: write 20x for twenty times the user's limit, from 2x to 10000x")
            });
        }
        let limits: Limits = text.parse().map_err(|_| {
            format!("{text:?} is not a ceiling: write 20x, 2000/hour, 10000/day or off")
        })?;
        if limits.0.iter().any(|limit| limit.unit == Unit::Messages) {
            return Err(format!("{text:?}: a ceiling counts recipients: write 2000/hour"));
        }
        Ok(Self::Absolute(limits))
    }
}

/// The limits that settings give to everybody without limits of their own.
#[derive(Debug, Clone, Default)]
pub struct DefaultLimits {
    /// `RATE_LIMIT_USER`
    pub user: Limits,
    /// `RATE_LIMIT_NETWORK`
    pub network: Limits,
    /// `SUSPEND_AFTER`
    pub ceiling: Ceiling,
}

#[cfg(test)]
mod tests;
