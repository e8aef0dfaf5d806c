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
//!
//! A password counts from the moment at which it is looked at, until it turns out to be right: many
//! at once are no way around a limit. Those that would go over it if all before them are wrong wait
//! until that is known, so that nobody is refused for passwords that are right.

mod attempt;
mod limit;
mod pending;
mod turns;
mod wrong;

use std::net::IpAddr;

use attempt::Counter;
pub use attempt::{Attempt, Fingerprint, Target};
pub use limit::{GuessLimit, GuessLimits};
use pending::Pending;
use turns::{ByAddress, ByUser, Turn};
use wrong::Wrong;

use crate::addresses::{client_network, client_site};
use crate::bounded::BoundedMap;

/// What to do with a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Check the password, and then say [`Guesses::looked_at`].
    Check,
    /// Ask again when another password was looked at: with those under way, the limit is reached.
    Wait,
    /// Refuse it: this address has guessed too much.
    AddressOverLimit,
    /// Ask the client to come back: somebody is guessing this user's password.
    ComeBack,
}

/// The tables of wrong passwords. Bounded: under a flood of addresses or names, those not heard of
/// for longest are forgotten.
#[derive(Debug)]
pub struct Guesses {
    limits: GuessLimits,
    by_address: BoundedMap<IpAddr, ByAddress>,
    by_site: BoundedMap<IpAddr, Wrong>,
    by_user: BoundedMap<String, ByUser>,
    /// Names of nobody have a table of their own: made-up names cannot push out real ones.
    by_nobody: BoundedMap<String, ByUser>,
    /// Addresses that other relays of the fleet block, and until when.
    elsewhere: BoundedMap<IpAddr, u64>,
    pending: Pending,
}

/// Addresses, users and other names that are remembered, each: with ten passwords apiece, about
/// 12 MiB in all.
pub const MAX_REMEMBERED: usize = 16_384;
/// Each has room for several times the passwords: 5 MiB with eighty.
const MAX_SITES: usize = MAX_REMEMBERED / 4;

impl Guesses {
    pub fn new(limits: GuessLimits) -> Self {
        Self {
            limits,
            by_address: BoundedMap::new(MAX_REMEMBERED),
            by_site: BoundedMap::new(MAX_SITES),
            by_user: BoundedMap::new(MAX_REMEMBERED),
            by_nobody: BoundedMap::new(MAX_REMEMBERED),
            elsewhere: BoundedMap::new(MAX_REMEMBERED),
            pending: Pending::default(),
        }
    }

    /// Whether the password of this login is looked at now. When it is, that takes the turn.
    pub fn judge(&mut self, now: u64, attempt: &Attempt<'_>) -> Judgement {
        let is_crowded = |counter: Counter| self.is_crowded(now, attempt, &counter);
        if !attempt.is_beyond_guessing() && attempt.counters().any(is_crowded) {
            return Judgement::Wait;
        }
        let judgement = self.judge_by_the_past(now, attempt);
        if judgement == Judgement::Check {
            self.pending.add(attempt);
        }
        judgement
    }

    /// Whether a limit is reached with the passwords that are being looked at, and not without.
    fn is_crowded(&self, now: u64, attempt: &Attempt<'_>, counter: &Counter) -> bool {
        let (wrong, limit) = self.wrong_by(counter);
        let recent = wrong.map_or(0, |wrong| wrong.recent(now, limit));
        limit.most > 0
            && (recent < limit.most && limit.most <= recent + self.pending.of(counter))
            && !attempt.is_exempt_from(counter)
    }

    fn judge_by_the_past(&mut self, now: u64, attempt: &Attempt<'_>) -> Judgement {
        let mut over = attempt.counters().filter(|counter| {
            let (wrong, limit) = self.wrong_by(counter);
            let is_over = || wrong.is_some_and(|wrong| wrong.at_limit(now, limit));
            !attempt.is_exempt_from(counter)
                && (is_over() || self.is_blocked_elsewhere(now, counter))
        });
        let turn = match over.next() {
            None => return Judgement::Check,
            Some(Counter::Address(_)) if attempt.known => Turn::Known,
            Some(Counter::Address(_) | Counter::Site(_)) => return Judgement::AddressOverLimit,
            Some(Counter::User(_) | Counter::Nobody(_)) if self.is_newcomer(now, attempt) => {
                Turn::Newcomers
            }
            Some(Counter::User(_) | Counter::Nobody(_)) => Turn::Others,
        };
        drop(over);
        let user = self.table_mut(attempt.target).touch(attempt.user, ByUser::default);
        if user.is_none_or(|user| user.take_turn(now, turn)) {
            return Judgement::Check;
        }
        let address = attempt.address.map(client_network);
        if let Some(by) = address.and_then(|a| self.by_address.touch(&a, ByAddress::default)) {
            by.deferred(now, attempt.password);
        }
        Judgement::ComeBack
    }

    /// Takes it from another relay that this address guessed too much there.
    pub fn block(&mut self, address: IpAddr, until: u64) {
        let address = client_network(address);
        if self.limits.per_address.most > 0
            && let Some(known) = self.elsewhere.touch(&address, || until)
        {
            *known = until;
        }
    }

    /// No longer than the limit's own period, whatever the other relay says.
    fn is_blocked_elsewhere(&self, now: u64, counter: &Counter) -> bool {
        let Counter::Address(address) = counter else { return false };
        let last = now.saturating_add(self.limits.per_address.window);
        self.elsewhere.peek(address).is_some_and(|until| (now + 1..=last).contains(until))
    }

    /// Until when an address is blocked that has just reached its limit by this attempt.
    pub fn blocked_until(&self, now: u64, attempt: &Attempt<'_>) -> Option<(IpAddr, u64)> {
        let address = attempt.address.map(client_network)?;
        let limit = self.limits.per_address;
        let is_over = self.by_address.peek(&address)?.wrong.at_limit(now, limit);
        is_over.then_some((address, now + limit.window))
    }

    fn is_newcomer(&self, now: u64, attempt: &Attempt<'_>) -> bool {
        let Some(address) = attempt.address.map(client_network) else { return false };
        let by_address = self.by_address.peek(&address);
        let limit = self.limits.per_address;
        by_address.is_none_or(|by| by.is_newcomer(now, attempt.password, limit))
    }

    /// Whether this very password was already wrong for this user: it need not be hashed again.
    pub fn is_known_wrong(&self, attempt: &Attempt<'_>) -> bool {
        let by_user = self.table(attempt.target).peek(attempt.user);
        by_user.is_some_and(|by| by.wrong.contains(attempt.password))
    }

    /// Says that a password was looked at, or could not be. Whether it was wrong is for
    /// [`Guesses::count_wrong`].
    pub fn looked_at(&mut self, attempt: &Attempt<'_>) {
        self.pending.remove(attempt);
    }

    /// Counts a wrong password.
    pub fn count_wrong(&mut self, now: u64, attempt: &Attempt<'_>) {
        let limits = self.limits;
        let address = attempt.address.map(client_network);
        if let Some(by) = address.and_then(|a| self.by_address.touch(&a, ByAddress::default)) {
            by.wrong.add(attempt.password, now, limits.per_address);
        }
        let site = attempt.address.and_then(client_site);
        if let Some(wrong) = site.and_then(|site| self.by_site.touch(&site, Wrong::default)) {
            wrong.add(attempt.password, now, limits.per_site());
        }
        if let Some(by) = self.table_mut(attempt.target).touch(attempt.user, ByUser::default) {
            by.wrong.add(attempt.password, now, limits.per_user);
        }
    }

    fn wrong_by(&self, counter: &Counter) -> (Option<&Wrong>, GuessLimit) {
        let limits = self.limits;
        match counter {
            Counter::Address(address) => {
                (self.by_address.peek(address).map(|by| &by.wrong), limits.per_address)
            }
            Counter::Site(site) => (self.by_site.peek(site), limits.per_site()),
            Counter::User(name) => (self.by_user.peek(name).map(|by| &by.wrong), limits.per_user),
            Counter::Nobody(name) => {
                (self.by_nobody.peek(name).map(|by| &by.wrong), limits.per_user)
            }
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

    /// Addresses over their limit. It looks at all of them, which are bounded.
    pub fn blocked_addresses(&self, now: u64) -> usize {
        let limit = self.limits.per_address;
        self.by_address.values().filter(|by| by.wrong.at_limit(now, limit)).count()
    }

    /// Addresses and names in the tables.
    pub fn remembered(&self) -> usize {
        let names = self.by_user.entries() + self.by_nobody.entries();
        self.by_address.entries() + self.by_site.entries() + names
    }

    /// How many were dropped to make room since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        let names = self.by_user.take_evicted() + self.by_nobody.take_evicted();
        self.by_address.take_evicted() + self.by_site.take_evicted() + names
    }
}

#[cfg(test)]
mod tests;
