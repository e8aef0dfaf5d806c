//! How many mails an hour. Pure; time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// Mails in an hour.
pub const MOST: usize = 20;
const HOUR: Duration = Duration::from_secs(3600);

/// When the last ones were sent.
#[derive(Debug, Default)]
pub struct Rate(VecDeque<SystemTime>);

impl Rate {
    /// Whether one more may be sent now; it counts, if so.
    pub fn permits(&mut self, now: SystemTime) -> bool {
        // A clock that was set back must not stop alerts.
        self.0.retain(|sent| now.duration_since(*sent).is_ok_and(|age| age < HOUR));
        let permitted = self.0.len() < MOST;
        if permitted {
            self.0.push_back(now);
        }
        permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_twenty_in_any_hour() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        let permitted = (0..3_600).filter(|second| rate.permits(at(*second))).count();
        assert_eq!(permitted, MOST);
        assert!(rate.permits(at(3_600)), "the first is an hour old");
        assert!(!rate.permits(at(3_600)));
        assert!(rate.permits(at(0)), "the clock was set back");
    }
}
