//! Guessing passwords: *distinct* wrong ones are counted, by client address and by user. Pure.
//!
//! A phone with an old password tries the same one for ever, and that counts once: it locks nobody
//! out. Whether the user exists makes no difference to what is counted.
//!
//! Over its limit an address is refused. A user must not be: strangers could then lock anybody out,
//! and a server at home has a new address every day. So a user over the limit is only slowed down,
//! and only where a password could be guessed at all: one password is looked at every few seconds, and
//! everybody else is told to come back. Addresses that have not been guessing have a turn of their
//! own, so that a thousand guessers do not crowd out somebody who just arrived: whoever knows the
//! password always comes with the same one, and a guesser does not. Addresses that the user is known
//! to log in from have another, in case they share one with a guesser.

use std::net::IpAddr;
use std::str::FromStr;

use crate::addresses::client_network;
use crate::bounded::BoundedMap;

/// Identifies a user and password without being either: a keyed hash.
pub type Fingerprint = u64;

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

/// An address that was told to come back this often has lost its place among the newcomers.
const NEWCOMER_TRIES: u32 = 12;
/// For how many seconds an address is remembered as one that was told to come back.
const DEFERRALS_COUNT_FOR: u64 = 3_600;

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

/// A login about to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// `None` where many clients share the address, so that nothing can be held against it.
    pub address: Option<IpAddr>,
    pub user: &'a str,
    pub target: Target,
    pub password: Fingerprint,
    /// Whether this address logged in as this user lately.
    pub known: bool,
}

/// Who a login claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nobody. Treated as somebody with a password that could be guessed.
    Nobody,
    /// A user with at least one password that could be guessed.
    Guessable,
    /// A user whose passwords are all too long and random for that.
    Unguessable,
}

/// What to do with a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Check the password.
    Check,
    /// Refuse it: this address has guessed too much.
    AddressOverLimit,
    /// Ask the client to come back: somebody is guessing this user's password.
    ComeBack,
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
            // At the limit, counting more would tell nothing new; the oldest makes room.
            let oldest = self.0.iter().enumerate().min_by_key(|(_, (_, when))| *when);
            if let Some((position, _)) = oldest {
                self.0.swap_remove(position);
            }
        }
        self.0.push((fingerprint, now));
    }

    /// An entry from the future, which a clock that was ahead left behind, counts only as long as
    /// any other.
    fn recent(&self, now: u64, limit: GuessLimit) -> usize {
        self.0.iter().filter(|(_, when)| now.abs_diff(*when) < limit.window).count()
    }

    fn at_limit(&self, now: u64, limit: GuessLimit) -> bool {
        limit.most > 0 && self.recent(now, limit) >= limit.most
    }
}

#[derive(Debug, Default)]
struct ByAddress {
    wrong: Wrong,
    /// The password it was told to come back with, how often, and when last.
    waits_with: Fingerprint,
    deferrals: u32,
    last_deferral: u64,
}

impl ByAddress {
    /// Whether it has shown no sign of guessing. A second password is one.
    fn is_newcomer(&self, now: u64, password: Fingerprint, limit: GuessLimit) -> bool {
        let forgotten = now.saturating_sub(self.last_deferral) >= DEFERRALS_COUNT_FOR;
        let waits_its_turn = self.deferrals <= NEWCOMER_TRIES && self.waits_with == password;
        let is_first = forgotten || self.deferrals == 0;
        self.wrong.recent(now, limit) == 0 && (is_first || waits_its_turn)
    }

    fn deferred(&mut self, now: u64, password: Fingerprint) {
        if now.saturating_sub(self.last_deferral) >= DEFERRALS_COUNT_FOR {
            self.deferrals = 0;
        }
        if self.deferrals == 0 {
            self.waits_with = password;
        }
        // Coming back with the first password again does not make a guesser a newcomer.
        let tries = if self.waits_with == password { 1 } else { NEWCOMER_TRIES };
        self.deferrals = self.deferrals.saturating_add(tries);
        self.last_deferral = now;
    }
}

#[derive(Debug, Default)]
struct ByUser {
    wrong: Wrong,
    /// When each kind of client last had a password looked at.
    last_look: [Option<u64>; 3],
}

/// Who shares a turn.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Newcomers,
    Known,
    Others,
}

impl Turn {
    /// Seconds between two looks at a password. In a day that is 7,200, 1,440 and 720 for a user, which
    /// with the default limit of 100 stays below 10,000 guesses.
    const fn pace(self) -> u64 {
        match self {
            Self::Newcomers => 12,
            Self::Known => 60,
            Self::Others => 120,
        }
    }
}

impl ByUser {
    /// Takes the turn, if it is free.
    fn take_turn(&mut self, now: u64, turn: Turn) -> bool {
        let [newcomers, known, others] = &mut self.last_look;
        let last_look = match turn {
            Turn::Newcomers => newcomers,
            Turn::Known => known,
            Turn::Others => others,
        };
        // After a clock was set back the turn is free at once, and not only when it catches up.
        let busy = last_look.is_some_and(|last| (last..last + turn.pace()).contains(&now));
        if !busy {
            *last_look = Some(now);
        }
        !busy
    }
}

/// The tables of wrong passwords. Bounded: under a flood of addresses or names, those not heard of
/// for longest are forgotten.
#[derive(Debug)]
pub struct Guesses {
    limits: GuessLimits,
    by_address: BoundedMap<IpAddr, ByAddress>,
    by_user: BoundedMap<String, ByUser>,
    /// Names of nobody have a table of their own: made-up names cannot push out real ones.
    by_nobody: BoundedMap<String, ByUser>,
}

/// Addresses, users and other names that are remembered, each: with ten passwords apiece, about
/// 12 MiB in all.
pub const MAX_REMEMBERED: usize = 16_384;

impl Guesses {
    pub fn new(limits: GuessLimits) -> Self {
        Self {
            limits,
            by_address: BoundedMap::new(MAX_REMEMBERED),
            by_user: BoundedMap::new(MAX_REMEMBERED),
            by_nobody: BoundedMap::new(MAX_REMEMBERED),
        }
    }

    /// Whether the password of this login is looked at now. When it is, that takes the turn.
    pub fn judge(&mut self, now: u64, attempt: &Attempt<'_>) -> Judgement {
        let limits = self.limits;
        let address = attempt.address.map(client_network);
        let by_address = address.and_then(|address| self.by_address.peek(&address));
        let guesses = by_address.is_some_and(|by| by.wrong.at_limit(now, limits.per_address));
        let guessed = |by: &ByUser| by.wrong.at_limit(now, limits.per_user);
        let exempt = attempt.known || attempt.target == Target::Unguessable;
        let turn = if guesses && attempt.known {
            Turn::Known
        } else if guesses {
            return Judgement::AddressOverLimit;
        } else if exempt || !self.table(attempt.target).peek(attempt.user).is_some_and(guessed) {
            return Judgement::Check;
        } else if by_address.map_or(address.is_some(), |by| {
            by.is_newcomer(now, attempt.password, limits.per_address)
        }) {
            Turn::Newcomers
        } else {
            Turn::Others
        };
        let user = self.table_mut(attempt.target).touch(attempt.user, ByUser::default);
        if user.is_none_or(|user| user.take_turn(now, turn)) {
            return Judgement::Check;
        }
        if let Some(by) = address.and_then(|a| self.by_address.touch(&a, ByAddress::default)) {
            by.deferred(now, attempt.password);
        }
        Judgement::ComeBack
    }

    /// Whether this very password was already wrong for this user: it need not be hashed again.
    pub fn is_known_wrong(&self, attempt: &Attempt<'_>) -> bool {
        let by_user = self.table(attempt.target).peek(attempt.user);
        by_user.is_some_and(|by| by.wrong.0.iter().any(|(known, _)| *known == attempt.password))
    }

    /// Counts a wrong password.
    pub fn count_wrong(&mut self, now: u64, attempt: &Attempt<'_>) {
        let limits = self.limits;
        let address = attempt.address.map(client_network);
        if let Some(by) = address.and_then(|a| self.by_address.touch(&a, ByAddress::default)) {
            by.wrong.add(attempt.password, now, limits.per_address);
        }
        if let Some(by) = self.table_mut(attempt.target).touch(attempt.user, ByUser::default) {
            by.wrong.add(attempt.password, now, limits.per_user);
        }
    }

    fn table(&self, target: Target) -> &BoundedMap<String, ByUser> {
        match target {
            Target::Nobody => &self.by_nobody,
            Target::Guessable | Target::Unguessable => &self.by_user,
        }
    }

    fn table_mut(&mut self, target: Target) -> &mut BoundedMap<String, ByUser> {
        match target {
            Target::Nobody => &mut self.by_nobody,
            Target::Guessable | Target::Unguessable => &mut self.by_user,
        }
    }

    /// Addresses and names in the tables.
    pub fn remembered(&self) -> usize {
        self.by_address.entries() + self.by_user.entries() + self.by_nobody.entries()
    }

    /// How many were dropped to make room since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        self.by_address.take_evicted() + self.by_user.take_evicted() + self.by_nobody.take_evicted()
    }
}

#[cfg(test)]
mod tests;
