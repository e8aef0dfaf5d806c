//! Notices when the clock is set back, and reschedules the queue.
//!
//! Postfix stores the time at which a message is due in the modification time of its queue file. When
//! the clock is set back by a day, perhaps because it was wrong when the machine started, every message
//! waits for that day to pass, and so do the timers in Postfix's programs.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use crate::queue::directory::for_each_message;

/// Postfix's maximal_backoff_time: no message is deferred for longer.
const MAX_BACKOFF: Duration = Duration::from_secs(4000);
/// A smaller step is an ordinary correction, and delays no message by more than itself.
const MIN_STEP: Duration = Duration::from_secs(60);

/// The queues in which a message waits for the time in its time stamp.
const SCHEDULED: [&str; 4] = ["maildrop", "incoming", "active", "deferred"];

/// The wall clock at a moment of the monotonic clock, which is never set.
#[derive(Debug)]
pub struct Clock {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clock {
    pub fn new(wall: SystemTime, monotonic: Instant) -> Self {
        Self { wall, monotonic }
    }

    /// How far the wall clock was set back since the last call, if it was by a minute or more.
    pub fn set_back(&mut self, wall: SystemTime, monotonic: Instant) -> Option<Duration> {
        let expected = self.wall + monotonic.saturating_duration_since(self.monotonic);
        *self = Self::new(wall, monotonic);
        expected.duration_since(wall).ok().filter(|by| *by >= MIN_STEP)
    }
}

/// Makes every message due now that is scheduled later than Postfix ever would. Returns how many.
pub fn reschedule(queue_directory: &Path, now: SystemTime) -> usize {
    let mut count = 0;
    for queue in SCHEDULED {
        for_each_message(&queue_directory.join(queue), &mut |path, _, metadata| {
            let due = metadata.modified().unwrap_or(now);
            if due > now + MAX_BACKOFF && touch(&path).is_ok() {
                count += 1;
            }
        });
    }
    count
}

/// Sets the time to now: only the owner of a file may set any other time.
fn touch(path: &Path) -> rustix::io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_clock_set_back_by_a_minute_or_more_is_noticed_once() {
        let (wall, monotonic) = (SystemTime::UNIX_EPOCH + 10 * DAY, Instant::now());
        for (later, expected) in [
            (wall + MINUTE, None),
            (wall + DAY, None),
            (wall + MINUTE / 2, None),
            (wall, Some(MINUTE)),
            (wall - DAY + MINUTE, Some(DAY)),
        ] {
            let mut clock = Clock::new(wall, monotonic);
            assert_eq!(clock.set_back(later, monotonic + MINUTE), expected);
            assert_eq!(clock.set_back(later + MINUTE, monotonic + 2 * MINUTE), None);
        }
    }

    #[test]
    fn messages_scheduled_too_far_ahead_become_due_and_deferred_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let file = |path: &str, due: SystemTime| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(&path).unwrap().set_modified(due).unwrap();
            path
        };
        let tomorrow = file("deferred/4/4C5F2A8D01", now + DAY);
        let soon = file("deferred/4/4C5F2A8D02", now + 60 * MINUTE);
        let held = file("hold/4C5F2A8D03", now + DAY);
        assert_eq!(reschedule(folder.path(), now), 1);
        let due = |path| fs::metadata(path).unwrap().modified().unwrap();
        assert!(due(&tomorrow) <= SystemTime::now());
        assert_eq!((due(&soon), due(&held)), (now + 60 * MINUTE, now + DAY));
    }
}
