//! Messages that could not be delivered, until it is known when Postfix tries again.
//!
//! qmgr writes that time into the queue file, as its time of modification, and only when all recipients
//! have been tried: later than the delivery is logged. So it is looked for with the next reports.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Messages that are looked for; what is deferred while there are as many is not.
const CAPACITY: usize = 1_000;
/// Reports for which a message is looked for: it may be in delivery to others for minutes, or deleted.
const LOOKS: u8 = 30;

/// Shared between the log, which adds messages, and the report, which finds them.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<HashMap<String, u8>>>);

impl Waiting {
    /// A delivery of this message was deferred.
    pub fn add(&self, queue_id: &str) {
        let mut waiting = self.lock();
        if waiting.len() < CAPACITY || waiting.contains_key(queue_id) {
            waiting.insert(queue_id.to_owned(), LOOKS);
        }
    }

    /// The messages to look for. A copy, because the log must not wait while the queue is read.
    pub fn look(&self) -> Search {
        let mut waiting = self.lock();
        waiting.retain(|_, looks| {
            *looks = looks.saturating_sub(1);
            *looks > 0
        });
        Search { wanted: waiting.clone(), found: Vec::new() }
    }

    /// What was found need not be looked for again.
    pub fn found(&self, found: &[(String, u64)]) {
        let mut waiting = self.lock();
        for (id, _) in found {
            waiting.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One look through the queue.
#[derive(Debug)]
pub struct Search {
    wanted: HashMap<String, u8>,
    /// Queue ids, and the second since 1970 of the next try.
    pub found: Vec<(String, u64)>,
}

impl Search {
    /// A message in `deferred`, and when its file was modified: in the future, as a rule.
    pub fn see(&mut self, queue_id: &str, modified: SystemTime) {
        if self.wanted.contains_key(queue_id) {
            let next_try = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            self.found.push((queue_id.to_owned(), next_try));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_message_is_looked_for_until_it_is_found() {
        let waiting = Waiting::default();
        waiting.add("A");
        waiting.add("A");
        let mut search = waiting.look();
        search.see("B", UNIX_EPOCH);
        assert!(search.found.is_empty());
        let mut search = waiting.look();
        search.see("A", UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!(search.found, [("A".to_owned(), 7)]);
        waiting.found(&search.found);
        assert!(waiting.look().wanted.is_empty());
    }

    #[test]
    fn a_message_that_is_gone_is_forgotten_and_their_number_is_bounded() {
        let waiting = Waiting::default();
        (0..2 * CAPACITY).for_each(|number| waiting.add(&number.to_string()));
        assert_eq!(waiting.look().wanted.len(), CAPACITY);
        (0..LOOKS).for_each(|_| drop(waiting.look()));
        assert!(waiting.look().wanted.is_empty());
    }
}
