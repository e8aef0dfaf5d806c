//! Guessing passwords: by client address and by user, counting *distinct* wrong ones. Pure.
//!
//! A phone with an old password tries the same one for ever, and counts once: it does not lock its
//! owner out. Whether the user exists makes no difference. A user who is guessed at from all over
//! the world can still log in from an address that logged in well in the last days; the caller
//! knows those.

use std::net::IpAddr;
use std::str::FromStr;

use super::client_network;
use crate::bounded::BoundedMap;

/// Identifies a user and password without being either: a keyed hash.
pub type Fingerprint = u64;

/// How many distinct wrong passwords are too many, and for how long each counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimit {
    /// 0 is no limit.
    pub most: usize,
    /// In seconds.
    pub window: u64,
}

/// The most that is counted for one address or user.
const MAX_LIMIT: usize = 1_000;

impl FromStr for GuessLimit {
    type Err = String;

    /// Reads `10/hour`, `100/day` or `off`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("{text:?} is no limit: write 10/hour, 100/day (at most {MAX_LIMIT}) or off");
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

/// Why a login is refused before its password is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuessedBy {
    Address,
    User,
}

/// Wrong passwords and when each was last tried; at most as many as the limit.
#[derive(Debug, Default)]
struct Wrong(Vec<(Fingerprint, u64)>);

impl Wrong {
    fn add(&mut self, fingerprint: Fingerprint, now: u64, limit: GuessLimit) {
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == fingerprint) {
            known.1 = now;
            return;
        }
        if self.0.len() >= limit.most.max(1) {
            // At the limit nothing more is learnt by counting; the oldest makes room.
            if let Some(oldest) = self.0.iter().enumerate().min_by_key(|(_, (_, when))| *when) {
                let position = oldest.0;
                self.0.swap_remove(position);
            }
        }
        self.0.push((fingerprint, now));
    }

    /// A clock that was set back makes entries of the future; they count.
    fn at_limit(&self, now: u64, limit: GuessLimit) -> bool {
        let recent = self.0.iter().filter(|(_, when)| now.saturating_sub(*when) < limit.window);
        limit.most > 0 && recent.count() >= limit.most
    }
}

/// The tables of wrong passwords. Bounded: under a flood of addresses or names, those longest
/// silent are forgotten.
#[derive(Debug)]
pub struct Guesses {
    limits: GuessLimits,
    by_address: BoundedMap<IpAddr, Wrong>,
    by_user: BoundedMap<String, Wrong>,
}

/// Addresses and names that are remembered: with ten passwords each, about 8 MiB in all.
pub const MAX_REMEMBERED: usize = 16_384;

impl Guesses {
    pub fn new(limits: GuessLimits) -> Self {
        Self {
            limits,
            by_address: BoundedMap::new(MAX_REMEMBERED),
            by_user: BoundedMap::new(MAX_REMEMBERED),
        }
    }

    /// Whether a login from this address as this user is refused unseen. `known` says that this
    /// address has logged in as this user lately.
    pub fn judge(
        &self,
        now: u64,
        address: Option<IpAddr>,
        user: &str,
        known: bool,
    ) -> Option<GuessedBy> {
        let limits = &self.limits;
        let by_address = address.map(client_network).and_then(|a| self.by_address.peek(&a));
        if by_address.is_some_and(|wrong| wrong.at_limit(now, limits.per_address)) {
            return Some(GuessedBy::Address);
        }
        let by_user = self.by_user.peek(&user.to_owned());
        let guessed = by_user.is_some_and(|wrong| wrong.at_limit(now, limits.per_user));
        (guessed && !known).then_some(GuessedBy::User)
    }

    /// Whether this very password was wrong for this user lately: it need not be hashed again.
    pub fn known_wrong(&self, user: &str, fingerprint: Fingerprint) -> bool {
        let wrong = self.by_user.peek(&user.to_owned());
        wrong.is_some_and(|wrong| wrong.0.iter().any(|(known, _)| *known == fingerprint))
    }

    /// Counts a wrong password.
    pub fn wrong(
        &mut self,
        now: u64,
        address: Option<IpAddr>,
        user: &str,
        fingerprint: Fingerprint,
    ) {
        let address = address.map(client_network);
        if let Some(wrong) = address.and_then(|a| self.by_address.touch(&a, Wrong::default)) {
            wrong.add(fingerprint, now, self.limits.per_address);
        }
        if let Some(wrong) = self.by_user.touch(&user.to_owned(), Wrong::default) {
            wrong.add(fingerprint, now, self.limits.per_user);
        }
    }

    /// Addresses and names in the tables.
    pub fn remembered(&self) -> usize {
        self.by_address.entries() + self.by_user.entries()
    }

    /// How many were forgotten for want of room since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        self.by_address.take_evicted() + self.by_user.take_evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GuessLimits = GuessLimits {
        per_address: GuessLimit { most: 3, window: 3600 },
        per_user: GuessLimit { most: 5, window: 3600 },
    };

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_same_wrong_password_counts_once() {
        let mut guesses = Guesses::new(LIMITS);
        for second in 0..10_000 {
            guesses.wrong(second, address("192.0.2.7"), "alice", 42);
        }
        assert_eq!(guesses.judge(10_000, address("192.0.2.7"), "alice", false), None);
        assert!(guesses.known_wrong("alice", 42));
        assert!(!guesses.known_wrong("alice", 43) && !guesses.known_wrong("bob", 42));
    }

    #[test]
    fn distinct_ones_count_by_address_and_for_each_user() {
        let mut guesses = Guesses::new(LIMITS);
        for guess in 0..3 {
            guesses.wrong(0, address("192.0.2.7"), "alice", guess);
        }
        let by_address = Some(GuessedBy::Address);
        assert_eq!(guesses.judge(1, address("192.0.2.7"), "bob", true), by_address);
        assert_eq!(guesses.judge(1, address("192.0.2.8"), "alice", false), None);
        assert_eq!(guesses.judge(3600, address("192.0.2.7"), "alice", false), None);
    }

    #[test]
    fn a_user_guessed_at_from_everywhere_can_log_in_from_a_known_address() {
        let mut guesses = Guesses::new(LIMITS);
        for guess in 0..5 {
            guesses.wrong(0, address(&format!("198.51.100.{guess}")), "alice", guess);
        }
        let by_user = Some(GuessedBy::User);
        assert_eq!(guesses.judge(1, address("192.0.2.7"), "alice", false), by_user);
        assert_eq!(guesses.judge(1, address("192.0.2.7"), "alice", true), None);
        assert_eq!(guesses.judge(1, None, "alice", false), by_user);
        assert_eq!(guesses.judge(1, address("192.0.2.7"), "bob", false), None);
    }

    #[test]
    fn an_ipv6_guesser_cannot_hide_in_its_64() {
        let mut guesses = Guesses::new(LIMITS);
        for guess in 0..3 {
            guesses.wrong(0, address(&format!("2001:db8::{guess:x}")), "alice", guess);
        }
        let judged = guesses.judge(1, address("2001:db8::ffff"), "bob", false);
        assert_eq!(judged, Some(GuessedBy::Address));
    }

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
    fn a_limit_of_zero_is_off() {
        let off = GuessLimit { most: 0, window: 3600 };
        let mut guesses = Guesses::new(GuessLimits { per_address: off, per_user: off });
        for guess in 0..100 {
            guesses.wrong(0, address("192.0.2.7"), "alice", guess);
        }
        assert_eq!(guesses.judge(1, address("192.0.2.7"), "alice", false), None);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_says_what_it_forgot() {
        let mut guesses = Guesses::new(LIMITS);
        for number in 0..100_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            guesses.wrong(0, Some(address), &format!("user{number}"), 1);
        }
        assert!(guesses.remembered() <= 2 * MAX_REMEMBERED + 2);
        assert!(guesses.take_evicted() > 100_000);
    }
}
