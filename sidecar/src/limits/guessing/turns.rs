//! Who has a password looked at next, of a user whose password is being guessed. Pure.

use super::attempt::Fingerprint;
use super::limit::GuessLimit;
use super::wrong::Wrong;

/// An address that was told to come back this often has lost its place among the newcomers.
const NEWCOMER_TRIES: u32 = 12;
/// For how many seconds an address is remembered as one that was told to come back.
const DEFERRALS_COUNT_FOR: u64 = 3_600;

#[derive(Debug, Default)]
pub struct ByAddress {
    pub wrong: Wrong,
    /// The password it was told to come back with, how often, and when last.
    waits_with: Fingerprint,
    deferrals: u32,
    last_deferral: u64,
}

impl ByAddress {
    /// Whether it has shown no sign of guessing. A second password is one.
    pub fn is_newcomer(&self, now: u64, password: Fingerprint, limit: GuessLimit) -> bool {
        let forgotten = now.saturating_sub(self.last_deferral) >= DEFERRALS_COUNT_FOR;
        let waits_its_turn = self.deferrals <= NEWCOMER_TRIES && self.waits_with == password;
        let is_first = forgotten || self.deferrals == 0;
        self.wrong.recent(now, limit) == 0 && (is_first || waits_its_turn)
    }

    pub fn deferred(&mut self, now: u64, password: Fingerprint) {
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
pub struct ByUser {
    pub wrong: Wrong,
    /// When each kind of client last had a password looked at.
    last_look: [Option<u64>; 3],
}

/// Who shares a turn.
#[derive(Debug, Clone, Copy)]
pub enum Turn {
    Newcomers,
    Known,
    Others,
}

impl Turn {
    /// Seconds between two looks at a password. In a day that is 7,200, 1,440 and 720 for a user, which
    /// with the default limit of 100 stays below 10,000 guesses.
    pub const fn pace(self) -> u64 {
        match self {
            Self::Newcomers => 12,
            Self::Known => 60,
            Self::Others => 120,
        }
    }
}

impl ByUser {
    /// Takes the turn, if it is free.
    pub fn take_turn(&mut self, now: u64, turn: Turn) -> bool {
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
