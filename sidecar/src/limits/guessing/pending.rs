//! Passwords that are being looked at, by what they count for if they are wrong. Pure.

use std::collections::HashMap;

use super::attempt::{Attempt, Counter};

/// No larger than what is under way.
#[derive(Debug, Default)]
pub struct Pending(HashMap<Counter, usize>);

impl Pending {
    pub fn add(&mut self, attempt: &Attempt<'_>) {
        for counter in attempt.counters() {
            *self.0.entry(counter).or_default() += 1;
        }
    }

    pub fn remove(&mut self, attempt: &Attempt<'_>) {
        for counter in attempt.counters() {
            match self.0.get_mut(&counter) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.0.remove(&counter)),
            }
        }
    }

    pub fn of(&self, counter: &Counter) -> usize {
        self.0.get(counter).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
