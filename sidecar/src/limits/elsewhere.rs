//! What accounts used by way of other relays of a fleet. Pure.
//!
//! Each relay tells its own counts, which only grow; the sum of all is what a limit is about. So nobody needs a lock or
//! an order, and what comes twice or late does no harm.

use std::collections::HashMap;
use std::sync::Arc;

use super::account::AccountKey;
use super::usage::Usage;

/// Relays that are remembered for one account; more than a fleet that is limited by this has.
const MAX_NODES: usize = 1_024;

/// What one account used by way of this relay, for others to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub key: AccountKey,
    /// The id of the user record that it is about; 0 for clients.
    pub owner: u64,
    pub usage: Usage,
}

/// The counts of other relays, by account.
#[derive(Debug, Default)]
pub struct Elsewhere {
    accounts: HashMap<AccountKey, Vec<Part>>,
}

/// What one account used by way of one relay.
#[derive(Debug, Clone)]
pub struct Part {
    pub node: Arc<str>,
    /// The id of the user record that it is about; 0 for clients.
    pub owner: u64,
    pub usage: Usage,
}

impl Elsewhere {
    /// Takes what a relay says of an account, in the place of what it said before.
    pub fn set(&mut self, key: AccountKey, part: Part) {
        let parts = self.accounts.entry(key).or_default();
        let is_full = parts.len() >= MAX_NODES;
        match parts.iter_mut().find(|known| known.node == part.node) {
            Some(known) => *known = part,
            None if is_full => {}
            None => parts.push(part),
        }
    }

    /// The counts of one account, unless they are about somebody who had the name before.
    pub fn parts(&self, key: &AccountKey, owner: u64) -> impl Iterator<Item = &Part> {
        let parts = self.accounts.get(key).into_iter().flatten();
        parts.filter(move |part| part.owner == owner)
    }

    /// As [`Elsewhere::parts`], to be added up.
    pub fn usage(&self, key: &AccountKey, owner: u64) -> Vec<Usage> {
        // Without a fleet there is nothing to look up.
        if self.accounts.is_empty() {
            return Vec::new();
        }
        self.parts(key, owner).map(|part| part.usage.clone()).collect()
    }

    /// Forgets what no longer counts.
    pub fn forget_over(&mut self, now: u64) {
        self.accounts.retain(|_, parts| {
            parts.retain(|part| !part.usage.is_over(now));
            !parts.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::limit::Limits;

    const NOW: u64 = 1_795_600_000;

    fn key() -> AccountKey {
        "user:alice".parse().unwrap()
    }

    fn sent(messages: u32) -> Usage {
        let mut usage = Usage::default();
        (0..messages).for_each(|_| usage.charge(NOW, 1));
        usage
    }

    fn part(node: &str, owner: u64, messages: u32) -> Part {
        Part { node: node.into(), owner, usage: sent(messages) }
    }

    #[test]
    fn a_limit_is_about_the_sum_of_all_relays_and_what_comes_twice_counts_once() {
        let mut elsewhere = Elsewhere::default();
        for part in [part("b", 7, 2), part("c", 7, 3), part("b", 7, 4), part("b", 7, 4)] {
            elsewhere.set(key(), part);
        }
        let limits: Limits = "10/hour".parse().unwrap();
        let others = elsewhere.usage(&key(), 7);
        assert!(sent(2).check(NOW, &limits, 1, &others).is_ok());
        assert_eq!(sent(3).check(NOW, &limits, 1, &others).unwrap_err().used, 10);
    }

    #[test]
    fn an_earlier_user_of_the_name_and_an_earlier_day_do_not_count() {
        let mut elsewhere = Elsewhere::default();
        elsewhere.set(key(), part("b", 7, 2));
        assert!(elsewhere.usage(&key(), 8).is_empty());
        elsewhere.forget_over(NOW);
        assert_eq!(elsewhere.usage(&key(), 7).len(), 1);
        elsewhere.forget_over(NOW + 2 * 86_400);
        assert!(elsewhere.accounts.is_empty());
    }

    #[test]
    fn counts_are_read_as_they_are_sent() {
        let usage = sent(5);
        assert_eq!(Usage::from_figures(&usage.to_figures()), usage);
    }
}
