//! Removes the temporary queue files that a killed Postfix left behind.
//!
//! Checked in the source of Postfix 3.10.13. mail_queue_enter (src/global/mail_queue.c) creates every
//! queue file as `<microseconds>.<pid>`, directly in `incoming` (cleanup) or `maildrop` (postdrop), and
//! renames it to its queue id before writing the first byte. A process that is killed in between leaves
//! an empty file that nobody will ever open again. postsuper warns about it at every start ("bogus file
//! name") and only removes it after seven days (MAX_TEMP_AGE in src/postsuper/postsuper.c).
//!
//! Nobody was ever told that such a message was accepted: its queue id did not exist yet. A file that is
//! not empty has another history, such as a file system that lost the rename, and may be a message that
//! was accepted. It stays, and postsuper's warning tells the operator.

use std::fs;
use std::path::Path;

/// The queues in which Postfix creates files.
const ENTRY_QUEUES: [&str; 2] = ["incoming", "maildrop"];

/// Removes the leftovers and returns how many there were. Call it only while no Postfix can be running
/// on the queue.
pub fn remove(queue_directory: &Path) -> usize {
    let entries = ENTRY_QUEUES
        .iter()
        .filter_map(|queue| fs::read_dir(queue_directory.join(queue)).ok())
        .flat_map(Iterator::flatten);
    let leftovers = entries.filter(|entry| {
        let is_temporary = entry.file_name().to_str().is_some_and(is_temporary_name);
        // The metadata of a directory entry is that of a symbolic link itself.
        let is_empty_file = |metadata: fs::Metadata| metadata.is_file() && metadata.len() == 0;
        is_temporary && entry.metadata().is_ok_and(is_empty_file)
    });
    leftovers.filter(|entry| fs::remove_file(entry.path()).is_ok()).count()
}

/// `123456.789`: no queue id contains a dot.
fn is_temporary_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('.').is_some_and(|(time, pid)| is_number(time) && is_number(pid))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_empty_files_with_a_temporary_name_are_removed() {
        let queue = tempfile::tempdir().unwrap();
        let path = |name: &str| queue.path().join(name);
        for folder in ["incoming/1", "incoming/5.6", "maildrop", "active"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        for leftover in ["incoming/123456.789", "incoming/0.1", "maildrop/999999.4194304"] {
            fs::write(path(leftover), "").unwrap();
        }
        let kept = [
            ("incoming/1.2", "a message whose rename was lost"),
            ("incoming/4hLkX53kNtzjk", ""),
            ("incoming/4C5F2A8D01", ""),
            ("incoming/123456.789.1", ""),
            ("incoming/123456.", ""),
            ("incoming/.789", ""),
            ("incoming/123456.78a", ""),
            ("incoming/-1.2", ""),
            ("incoming/1/123456.789", ""),
            ("active/123456.789", ""),
        ];
        for (name, content) in kept {
            fs::write(path(name), content).unwrap();
        }
        symlink(path("incoming/4C5F2A8D01"), path("incoming/7.8")).unwrap();

        assert_eq!(remove(queue.path()), 3);

        for (name, _) in kept {
            assert!(path(name).exists(), "{name}");
        }
        let names = fs::read_dir(path("incoming")).unwrap();
        let names: BTreeSet<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.contains("5.6") && names.contains("7.8"), "{names:?}");
        assert!(!names.contains("123456.789") && !names.contains("0.1"), "{names:?}");
        assert_eq!(fs::read_dir(path("maildrop")).unwrap().count(), 0);
        assert_eq!(remove(queue.path()), 0);
    }

    #[test]
    fn a_new_queue_has_no_leftovers() {
        assert_eq!(remove(Path::new("/nowhere")), 0);
    }
}
