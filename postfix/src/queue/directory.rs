//! The queue directory: where it is, and how to walk over the messages in it.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::queue_id::is_queue_id;

/// Postfix's queue_directory, on a volume of its own.
pub const QUEUE_DIRECTORY: &str = "/var/spool/postfix";

/// Levels of subdirectories to descend into. hash_queue_depth defaults to 1, and more than 3 is
/// unheard of. A Postfix that was taken over could make more than the stack has room for.
pub const MAX_DEPTH: usize = 3;

/// Calls `act` with path, queue id and metadata of every queue file below a directory.
///
/// Nothing is locked: a message that moves between queues meanwhile may be seen twice or missed.
pub fn for_each_message(directory: &Path, act: &mut impl FnMut(PathBuf, &str, &Metadata)) {
    walk(directory, MAX_DEPTH, act);
}

fn walk(directory: &Path, depth: usize, act: &mut impl FnMut(PathBuf, &str, &Metadata)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        // Of a link itself, so that none is followed. Gone if it was moved or delivered meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name();
        match name.to_str() {
            Some(_) if metadata.is_dir() && depth > 0 => walk(&entry.path(), depth - 1, act),
            Some(id) if metadata.is_file() && is_queue_id(id) => act(entry.path(), id, &metadata),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn messages_below(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for_each_message(directory, &mut |_, id, _| found.push(id.to_owned()));
        found.sort();
        found
    }

    #[test]
    fn messages_are_found_as_deep_as_postfix_puts_them_and_behind_no_link() {
        let base = tempfile::tempdir().unwrap();
        let queue = base.path().join("deferred");
        let outside = base.path().join("outside");
        for (folder, id) in
            [(queue.join("A"), "4A0"), (queue.join("A/B/C"), "4A3"), (queue.join("A/B/C/D"), "4A4")]
        {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{id}B2C3D4E")), "").unwrap();
        }
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("4F0B2C3D4E"), "").unwrap();
        symlink(&outside, queue.join("F")).unwrap();
        symlink(outside.join("4F0B2C3D4E"), queue.join("4F1B2C3D4E")).unwrap();
        assert_eq!(messages_below(&queue), ["4A0B2C3D4E", "4A3B2C3D4E"]);
    }
}
