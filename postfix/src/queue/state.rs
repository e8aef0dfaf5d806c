//! The state of the queue: how many messages, how many bytes, and since when the oldest waits.
//!
//! The folders are read, and no file is opened: Postfix's own `showq` opens every message. Nothing
//! is locked, so a message that is moved meanwhile may be counted twice or not at all, once.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::maillog::line::is_queue_id;

/// Postfix's queues, in the order in which a message meets them.
const QUEUES: [&str; 5] = ["incoming", "active", "deferred", "hold", "corrupt"];
/// hash_queue_depth is at most this in practice; the queues' subfolders have one letter each.
const DEEPEST: usize = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueState {
    pub queues: Vec<(&'static str, Totals)>,
}

/// What is in one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub count: u64,
    /// Of the files: a message and its envelope.
    pub bytes: u64,
    /// When the oldest message arrived.
    pub oldest: Option<SystemTime>,
}

/// Reads the queues below a queue directory.
pub fn read(queue_directory: &Path) -> QueueState {
    let queues = QUEUES.map(|name| {
        let mut totals = Totals::default();
        for_each_message(&queue_directory.join(name), &mut |_, id, metadata| {
            totals.count += 1;
            totals.bytes += metadata.len();
            let arrival = arrival(id).or_else(|| metadata.created().ok());
            totals.oldest = totals.oldest.into_iter().chain(arrival).min();
        });
        (name, totals)
    });
    QueueState { queues: queues.to_vec() }
}

/// Calls with path, queue id and metadata of every message below a folder.
pub fn for_each_message(folder: &Path, act: &mut impl FnMut(PathBuf, &str, &Metadata)) {
    walk(folder, DEEPEST, act);
}

fn walk(folder: &Path, depth: usize, act: &mut impl FnMut(PathBuf, &str, &Metadata)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Moved or delivered since.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name();
        match name.to_str() {
            Some(_) if metadata.is_dir() && depth > 0 => walk(&entry.path(), depth - 1, act),
            Some(id) if metadata.is_file() && is_queue_id(id) => act(entry.path(), id, &metadata),
            _ => {}
        }
    }
}

/// The digits of a long queue id: no vowels, so that no id is a word.
const DIGITS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
/// The microseconds' digits in a long queue id, which end at the last `z`.
const MICROSECOND_DIGITS: usize = 4;

/// When a message came, which a long queue id tells (Postfix's mail_queue.h): seconds since 1970,
/// microseconds, `z`, inode. The file's own times do not: that of its last change is when it is due.
pub fn arrival(id: &str) -> Option<SystemTime> {
    let (time, _inode) = id.rsplit_once('z')?;
    let (seconds, microseconds) =
        time.split_at_checked(time.len().checked_sub(MICROSECOND_DIGITS)?)?;
    let since_1970 =
        Duration::from_secs(number(seconds)?) + Duration::from_micros(number(microseconds)?);
    // A short id never holds a z.
    SystemTime::UNIX_EPOCH.checked_add(since_1970).filter(|_| seconds.len() >= 6)
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |number, digit| {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        number.checked_mul(DIGITS.len() as u64)?.checked_add(value as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seconds: u64) -> String {
        let digits = |mut number: u64, width: usize| {
            let mut text = Vec::new();
            while number > 0 || text.len() < width {
                text.insert(0, DIGITS[usize::try_from(number % 52).unwrap()]);
                number /= 52;
            }
            String::from_utf8(text).unwrap()
        };
        format!("{}{}zjk", digits(seconds, 6), digits(7, 4))
    }

    #[test]
    fn a_long_queue_id_says_when_its_message_came() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, 7000);
        for seconds in [0, 1_795_000_000, 4_000_000_000] {
            assert_eq!(arrival(&id(seconds)), Some(at(seconds)), "{}", id(seconds));
        }
        for other in ["", "z", "4C5F2A8D01", "0000z"] {
            assert_eq!(arrival(other), None, "{other}");
        }
    }

    #[test]
    fn messages_are_counted_in_all_subfolders_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deferred/4")).unwrap();
        fs::create_dir_all(folder.path().join("active")).unwrap();
        for (path, content) in [
            (format!("deferred/4/{}", id(2000)), "12345"),
            (format!("deferred/4/{}", id(1000)), "123"),
            ("deferred/4/README".to_owned(), "no message"),
            (format!("active/{}", id(3000)), "1"),
        ] {
            fs::write(folder.path().join(path), content).unwrap();
        }
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, 7000));
        let state = read(folder.path());
        assert_eq!(
            state.queues,
            [
                ("incoming", Totals::default()),
                ("active", Totals { count: 1, bytes: 1, oldest: at(3000) }),
                ("deferred", Totals { count: 2, bytes: 8, oldest: at(1000) }),
                ("hold", Totals::default()),
                ("corrupt", Totals::default()),
            ]
        );
    }
}
