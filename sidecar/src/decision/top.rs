//! Which users have series of their own: those who send most. Pure; time is an argument.
//!
//! A list of fixed size. Whoever is not on it gets there by having sent more than twice as much as
//! the least of those who are, so that users who send about as much as each other do not take turns:
//! each change starts a new time series. What was sent counts half as much with every day.

use std::collections::HashMap;

use crate::bounded::BoundedMap;
use crate::user_name::UserName;

/// Users off the list whose recipients are counted as well.
const CANDIDATES: usize = 4_096;
const DAY: u64 = 86_400;

/// What a user sent lately.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    day: u64,
    recipients: u64,
}

impl Score {
    fn at(self, day: u64) -> u64 {
        // The clock may have been set back.
        let days = day.saturating_sub(self.day);
        u32::try_from(days).ok().and_then(|days| self.recipients.checked_shr(days)).unwrap_or(0)
    }

    fn add(&mut self, day: u64, recipients: u64) {
        *self = Self { day, recipients: self.at(day).saturating_add(recipients) };
    }
}

/// Where a message counts.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// Under its user's name.
    Listed,
    /// The same, from now on; for that, another user may have left the list.
    Entered { left: Option<UserName> },
    /// With everybody else.
    Other,
}

#[derive(Debug)]
pub struct Top {
    size: usize,
    listed: HashMap<UserName, Score>,
    candidates: BoundedMap<UserName, Score>,
}

impl Top {
    /// A list of at most `size` users.
    pub fn new(size: usize) -> Self {
        Self { size, listed: HashMap::new(), candidates: BoundedMap::new(CANDIDATES) }
    }

    /// Counts what a user sent.
    pub fn count(&mut self, now: u64, user: &UserName, recipients: u64) -> Place {
        let day = now / DAY;
        if let Some(score) = self.listed.get_mut(user) {
            score.add(day, recipients);
            return Place::Listed;
        }
        if self.size == 0 {
            return Place::Other;
        }
        let Some(candidate) = self.candidates.touch(user, Score::default) else {
            return Place::Other;
        };
        candidate.add(day, recipients);
        let score = *candidate;
        let mut left = None;
        if self.listed.len() >= self.size {
            let least = self.listed.iter().min_by_key(|(_, score)| score.at(day));
            let Some((least, its_score)) = least.map(|(name, score)| (name.clone(), *score)) else {
                return Place::Other;
            };
            if score.at(day) <= its_score.at(day).saturating_mul(2) {
                return Place::Other;
            }
            self.listed.remove(&least);
            if let Some(place) = self.candidates.touch(&least, Score::default) {
                *place = its_score;
            }
            left = Some(least);
        }
        self.listed.insert(user.clone(), score);
        Place::Entered { left }
    }

    pub fn listed(&self) -> impl Iterator<Item = &UserName> {
        self.listed.keys()
    }

    /// Makes room, because the user is no longer there.
    pub fn remove(&mut self, user: &UserName) {
        self.listed.remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserName {
        UserName::parse(&format!("user-{number}")).unwrap()
    }

    #[test]
    fn the_list_fills_and_whoever_sends_much_more_takes_the_place_of_the_least() {
        let mut top = Top::new(2);
        let entered = |left| Place::Entered { left };
        for (number, recipients, expected) in [
            (1, 5, entered(None)),
            (2, 3, entered(None)),
            (1, 1, Place::Listed),
            (3, 6, Place::Other),
            (3, 1, entered(Some(user(2)))),
            (2, 4, Place::Other),
            // With what it had before it left the list.
            (2, 6, entered(Some(user(1)))),
        ] {
            assert_eq!(top.count(0, &user(number), recipients), expected, "user {number}");
        }
    }

    #[test]
    fn no_flood_of_users_makes_the_list_longer_or_turns_it_over() {
        let mut top = Top::new(20);
        let mut changes = 0;
        for round in 0..3 {
            for number in 0..10_000 {
                let place = top.count(round * 60, &user(number), 1);
                changes += usize::from(matches!(place, Place::Entered { .. }));
                assert!(top.listed().count() <= 20);
            }
        }
        assert!(changes < 40, "{changes} changes");
    }

    #[test]
    fn who_sent_much_long_ago_makes_way() {
        let mut top = Top::new(1);
        top.count(0, &user(1), 1_000);
        assert_eq!(top.count(DAY, &user(2), 500), Place::Other);
        assert_eq!(top.count(10 * DAY, &user(2), 5), Place::Entered { left: Some(user(1)) });
        assert_eq!(top.count(100 * DAY, &user(1), 1), Place::Entered { left: Some(user(2)) });
        // A clock that was set back.
        assert_eq!(top.count(0, &user(1), 1), Place::Listed);
    }

    #[test]
    fn a_list_of_no_size_lists_nobody_and_a_removed_user_makes_room() {
        assert_eq!(Top::new(0).count(0, &user(1), 9), Place::Other);
        let mut top = Top::new(1);
        top.count(0, &user(1), 9);
        top.remove(&user(1));
        assert_eq!(top.count(0, &user(2), 1), Place::Entered { left: None });
    }
}
