//! A clock that is set back, and what it does to the queue.
//!
//! Postfix notes in the time stamp of a queue file when the message is due. When the clock is set
//! back by a day, say because it was wrong at the start of the machine, every message waits for that
//! day to pass, and so do the timers of Postfix's programs.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use crate::queue::state::for_each_message;

/// maximal_backoff_time of Postfix: no message is put off for longer than that.
const LONGEST_DELAY: Duration = Duration::from_secs(4000);
/// Less than this is a correction, and costs a message no more than the same time.
const NOTABLE: Duration = Duration::from_secs(60);

/// The queues whose files wait for the time in their stamp.
const WAITING: [&str; 4] = ["maildrop", "incoming", "active", "deferred"];

/// What the clock said, and when.
#[derive(Debug)]
pub struct Clock {
    wall: SystemTime,
    steady: Instant,
}

impl Clock {
    pub fn new(wall: SystemTime, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// By how much the clock was set back since the last time, if that is worth a word.
    pub fn set_back(&mut self, wall: SystemTime, steady: Instant) -> Option<Duration> {
        let expected = self.wall + steady.saturating_duration_since(self.steady);
        *self = Self::new(wall, steady);
        expected.duration_since(wall).ok().filter(|by| *by >= NOTABLE)
    }
}

/// Makes messages due whose time is further ahead than any delay; says how many.
pub fn make_due(queue_directory: &Path, now: SystemTime) -> u64 {
    let mut count = 0;
    for queue in WAITING {
        for_each_message(&queue_directory.join(queue), &mut |path, _, metadata| {
            let due = metadata.modified().unwrap_or(now);
            if due > now + LONGEST_DELAY && touch(&path).is_ok() {
                count += 1;
            }
        });
    }
    count
}

/// Any other time than the present may be set only by a file's owner.
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
    fn only_a_clock_that_is_set_back_by_a_minute_is_noted() {
        let (wall, steady) = (SystemTime::UNIX_EPOCH + 10 * DAY, Instant::now());
        for (later, expected) in [
            (wall + MINUTE, None),
            (wall + DAY, None),
            (wall + MINUTE / 2, None),
            (wall, Some(MINUTE)),
            (wall - DAY + MINUTE, Some(DAY)),
        ] {
            let mut clock = Clock::new(wall, steady);
            assert_eq!(clock.set_back(later, steady + MINUTE), expected);
            // Said once.
            assert_eq!(clock.set_back(later + MINUTE, steady + 2 * MINUTE), None);
        }
    }

    #[test]
    fn messages_from_the_future_are_due_and_those_that_were_put_off_are_not() {
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
        assert_eq!(make_due(folder.path(), now), 1);
        let due = |path| fs::metadata(path).unwrap().modified().unwrap();
        assert!(due(&tomorrow) <= SystemTime::now());
        assert_eq!((due(&soon), due(&held)), (now + 60 * MINUTE, now + DAY));
    }
}
