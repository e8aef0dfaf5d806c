//! How many distinct wrong passwords are too many, as settings have it. Pure.

use std::str::FromStr;

/// The most distinct wrong passwords in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimit {
    /// 0 is no limit.
    pub most: usize,
    /// In seconds.
    pub window: u64,
}

/// The most that can be counted for one address or user.
const MAX_LIMIT: usize = 1_000;

/// How many times the guesses of an address its IPv6 /48 may have: it may be a provider's, with other
/// people in it.
const SITE_ALLOWANCE: usize = 8;

impl FromStr for GuessLimit {
    type Err = String;

    /// Reads `10/hour`, `100/day` or `off`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("{text:?} is not a limit: write 10/hour, 100/day (at most {MAX_LIMIT}) or off")
        };
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self { most: 0, window: 3_600 });
        }
        let (number, period) = text.split_once('/').ok_or_else(expected)?;
        let window = match period {
            "hour" | "h" => 3_600,
            "day" | "d" => 86_400,
            _ => return Err(expected()),
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let most = number.parse().ok().filter(|most| digits && (1..=MAX_LIMIT).contains(most));
        Ok(Self { most: most.ok_or_else(expected)?, window })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimits {
    pub per_address: GuessLimit,
    pub per_user: GuessLimit,
}

impl GuessLimits {
    /// For all addresses of an IPv6 /48 together.
    pub fn per_site(&self) -> GuessLimit {
        let most = (self.per_address.most * SITE_ALLOWANCE).min(MAX_LIMIT);
        GuessLimit { most, ..self.per_address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!("10/hour".parse(), Ok(GuessLimit { most: 10, window: 3_600 }));
        assert_eq!("100/d".parse(), Ok(GuessLimit { most: 100, window: 86_400 }));
        assert_eq!("off".parse(), Ok(GuessLimit { most: 0, window: 3_600 }));
        for text in ["", "10", "0/hour", "1001/hour", "+5/hour", "10/week"] {
            assert!(text.parse::<GuessLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_48_has_several_times_the_limit_of_an_address_within_bounds() {
        for (per_address, expected) in [("10/hour", 80), ("1000/day", MAX_LIMIT), ("off", 0)] {
            let per_address: GuessLimit = per_address.parse().unwrap();
            let limits = GuessLimits { per_address, per_user: per_address };
            assert_eq!(limits.per_site(), GuessLimit { most: expected, ..per_address });
        }
    }
}
