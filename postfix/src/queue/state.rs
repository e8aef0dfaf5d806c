//! How many messages each queue holds, how many bytes, and how old the oldest message is.
//!
//! Only directories are read and no file is opened, unlike Postfix's own `showq`, which opens every
//! message. So this is cheap enough for every few seconds.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use super::directory::for_each_message;
use crate::queue_id::arrival;

/// Postfix's queues, in the order in which a message passes through them.
const QUEUES: [&str; 5] = ["incoming", "active", "deferred", "hold", "corrupt"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueState {
    pub queues: Vec<(&'static str, Totals)>,
}

/// What one queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub count: u64,
    /// Size of the queue files, which contain the envelope as well as the message.
    pub bytes: u64,
    /// When the oldest message arrived.
    pub oldest: Option<SystemTime>,
}

/// Reads the queues below a queue directory, and shows every message in `deferred`.
pub fn read(queue_directory: &Path, deferred: &mut impl FnMut(&str, &Metadata)) -> QueueState {
    let queues = QUEUES.map(|name| {
        let mut totals = Totals::default();
        for_each_message(&queue_directory.join(name), &mut |_, id, metadata| {
            totals.count += 1;
            totals.bytes += metadata.len();
            let arrival = arrival(id).or_else(|| metadata.created().ok());
            totals.oldest = totals.oldest.into_iter().chain(arrival).min();
            if name == "deferred" {
                deferred(id, metadata);
            }
        });
        (name, totals)
    });
    QueueState { queues: queues.to_vec() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::queue_id::id_of;

    #[test]
    fn messages_are_counted_in_all_subdirectories_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deferred/4")).unwrap();
        fs::create_dir_all(folder.path().join("active")).unwrap();
        for (path, content) in [
            (format!("deferred/4/{}", id_of(2000)), "12345"),
            (format!("deferred/4/{}", id_of(1000)), "123"),
            ("deferred/4/README".to_owned(), "no message"),
            (format!("active/{}", id_of(3000)), "1"),
        ] {
            fs::write(folder.path().join(path), content).unwrap();
        }
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, 7000));
        let mut deferred = Vec::new();
        let state = read(folder.path(), &mut |id, _| deferred.push(id.to_owned()));
        deferred.sort();
        assert_eq!(deferred, [id_of(1000), id_of(2000)]);
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
