//! The queue directory: where it is, and how to walk over the messages in it.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::queue_id::is_queue_id;

/// Postfix's queue_directory, on a volume of its own.
pub const QUEUE_DIRECTORY: &str = "/var/spool/postfix";

/// Levels of subdirectories to descend into. hash_queue_depth defaults to 1, and more than 3 is
/// unheard of.
const MAX_DEPTH: usize = 3;

/// Calls `act` with path, queue id and metadata of every queue file below a directory.
///
/// Nothing is locked: a message that moves between queues meanwhile may be seen twice or missed.
pub fn for_each_message(directory: &Path, act: &mut impl FnMut(PathBuf, &str, &Metadata)) {
    walk(directory, MAX_DEPTH, act);
}

fn walk(directory: &Path, depth: usize, act: &mut impl FnMut(PathBuf, &str, &Metadata)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        // Gone if it was moved or delivered in the meantime.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name();
        match name.to_str() {
            Some(_) if metadata.is_dir() && depth > 0 => walk(&entry.path(), depth - 1, act),
            Some(id) if metadata.is_file() && is_queue_id(id) => act(entry.path(), id, &metadata),
            _ => {}
        }
    }
}
