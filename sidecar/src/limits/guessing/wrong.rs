//! Distinct wrong passwords, and how many of them are recent. Pure.

use super::attempt::Fingerprint;
use super::limit::GuessLimit;

/// Wrong passwords and when each was last tried; at most as many as the limit.
#[derive(Debug, Default)]
pub struct Wrong(Vec<(Fingerprint, u64)>);

impl Wrong {
    pub fn add(&mut self, fingerprint: Fingerprint, now: u64, limit: GuessLimit) {
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
    pub fn recent(&self, now: u64, limit: GuessLimit) -> usize {
        self.0.iter().filter(|(_, when)| now.abs_diff(*when) < limit.window).count()
    }

    pub fn at_limit(&self, now: u64, limit: GuessLimit) -> bool {
        limit.most > 0 && self.recent(now, limit) >= limit.most
    }

    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.0.iter().any(|(known, _)| *known == fingerprint)
    }
}
