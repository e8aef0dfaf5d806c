//! Folders as Postfix wants them, and files that appear whole or not at all.
//!
//! The table is what `postfix check`, `post-install` and `set-permissions` of Postfix 3.10 would do
//! with its `postfix-files`, without the shell they need. It works with the capabilities CHOWN and
//! DAC_OVERRIDE: only the owner of a folder may change its mode, so a folder with the wrong mode is
//! taken by root first, changed, and given back. Everything can be done again after a crash.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown,
};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Numbers, not names, so that a volume fits every image we ever build.
const ROOT: u32 = 0;
const POSTFIX: u32 = 10026;
/// The primary group of `postfix`, which may open the sockets of the sidecar.
const RELAY: u32 = 10025;
const POSTDROP: u32 = 10028;

/// The queue's volume.
pub const QUEUE: &str = "/var/spool/postfix";

/// Master's process number, and its lock.
pub const PID_FILE: &str = "/var/spool/postfix/pid/master.pid";

#[derive(Debug, Clone, Copy)]
struct Folder {
    path: &'static str,
    user: u32,
    group: u32,
    mode: u32,
    /// Whether everything inside belongs to the folder's owner.
    owns_content: bool,
}

const fn folder(path: &'static str, user: u32, group: u32, mode: u32) -> Folder {
    Folder { path, user, group, mode, owns_content: false }
}

const fn queue(path: &'static str) -> Folder {
    Folder { path, user: POSTFIX, group: ROOT, mode: 0o700, owns_content: true }
}

const FOLDERS: &[Folder] = &[
    folder("/run/postfix", ROOT, ROOT, 0o755),
    folder("/var/lib/relay-tls", ROOT, ROOT, 0o755),
    Folder { owns_content: true, ..folder("/var/lib/postfix", POSTFIX, RELAY, 0o700) },
    folder("/var/spool/postfix", ROOT, ROOT, 0o755),
    folder("/var/spool/postfix/pid", ROOT, ROOT, 0o755),
    queue("/var/spool/postfix/active"),
    queue("/var/spool/postfix/bounce"),
    queue("/var/spool/postfix/corrupt"),
    queue("/var/spool/postfix/defer"),
    queue("/var/spool/postfix/deferred"),
    queue("/var/spool/postfix/flush"),
    queue("/var/spool/postfix/hold"),
    queue("/var/spool/postfix/incoming"),
    queue("/var/spool/postfix/saved"),
    queue("/var/spool/postfix/trace"),
    folder("/var/spool/postfix/private", POSTFIX, ROOT, 0o700),
    folder("/var/spool/postfix/maildrop", POSTFIX, POSTDROP, 0o730),
    folder("/var/spool/postfix/public", POSTFIX, POSTDROP, 0o710),
];

/// Makes sure that no other container works on the queue: two masters would send everything twice.
///
/// The lock is master's own, which holds it while it lives. A file without a lock is only stale.
pub fn claim_queue() -> anyhow::Result<()> {
    match File::open(PID_FILE) {
        Ok(file) => try_lock(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot open {PID_FILE}")),
    }
}

fn try_lock(file: &File) -> anyhow::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => bail!(
            "another Postfix works on the queue in /var/spool/postfix; stop that container, or give \
             each its own volume"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {PID_FILE}")),
    }
}

/// Makes and repairs all folders.
pub fn prepare_folders() -> anyhow::Result<()> {
    FOLDERS.iter().try_for_each(|folder| {
        prepare(Path::new(folder.path), folder).with_context(|| {
            format!(
                "cannot prepare {}; it must be on a writable volume or tmpfs, and the container \
                 needs the capabilities CHOWN and DAC_OVERRIDE",
                folder.path
            )
        })
    })
}

fn prepare(path: &Path, folder: &Folder) -> io::Result<()> {
    match DirBuilder::new().mode(folder.mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "there is no folder"));
    }
    if folder.owns_content {
        own_content(path, folder)?;
    }
    if found.mode() & 0o7777 != folder.mode {
        if found.uid() != ROOT {
            chown(path, Some(ROOT), None)?;
        }
        fs::set_permissions(path, Permissions::from_mode(folder.mode))?;
    }
    let now = fs::symlink_metadata(path)?;
    if (now.uid(), now.gid()) != (folder.user, folder.group) {
        chown(path, Some(folder.user), Some(folder.group))?;
    }
    Ok(())
}

/// Gives everything below to the owner: a volume from another image may belong to another number.
fn own_content(path: &Path, folder: &Folder) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.uid() != folder.user {
            lchown(entry.path(), Some(folder.user), Some(folder.group))?;
        }
        if found.is_dir() {
            own_content(&entry.path(), folder)?;
        }
    }
    Ok(())
}

/// Writes a file that a reader sees either whole or not at all, also after a power cut.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    write_and_rename(path, content, mode)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_and_rename(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path has no name");
    let folder = path.parent().ok_or_else(no_name)?;
    let mut temporary_name = OsString::from(".");
    temporary_name.push(path.file_name().ok_or_else(no_name)?);
    temporary_name.push(".new");
    let temporary = folder.join(temporary_name);
    // Left over from a crash, perhaps with another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    // The umask may have taken bits away.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table's owners can only be given by root; the rest works as anybody.
    fn as_me(folder: Folder) -> Folder {
        let me = fs::metadata("/proc/self").unwrap();
        Folder { user: me.uid(), group: me.gid(), ..folder }
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_queue_whose_lock_is_held_is_another_postfix_s() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("master.pid");
        let holder = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        try_lock(&holder).unwrap();
        let error = try_lock(&other).unwrap_err().to_string();
        assert!(error.starts_with("another Postfix works on the queue"), "{error}");
        drop(holder);
        try_lock(&other).unwrap();
    }

    #[test]
    fn folders_are_made_and_repaired() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("maildrop");
        let wanted = as_me(folder("", POSTFIX, POSTDROP, 0o730));
        prepare(&path, &wanted).unwrap();
        assert_eq!(mode_of(&path), 0o730);
        // As Docker mounts a tmpfs.
        fs::set_permissions(&path, Permissions::from_mode(0o1777)).unwrap();
        prepare(&path, &wanted).unwrap();
        assert_eq!(mode_of(&path), 0o730);
    }

    #[test]
    fn a_file_or_a_link_in_the_place_of_a_folder_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        let wanted = as_me(queue(""));
        for name in ["file", "link"] {
            let path = base.path().join(name);
            match name {
                "file" => fs::write(&path, "").unwrap(),
                _ => std::os::unix::fs::symlink(base.path(), &path).unwrap(),
            }
            let error = prepare(&path, &wanted).unwrap_err();
            assert_eq!(error.to_string(), "there is no folder", "{name}");
        }
    }

    #[test]
    fn the_table_has_every_parent_before_its_children() {
        for (at, folder) in FOLDERS.iter().enumerate() {
            let parent = Path::new(folder.path).parent().unwrap();
            let of_parent = FOLDERS.iter().position(|other| Path::new(other.path) == parent);
            assert!(of_parent.is_none_or(|parent| parent < at), "{}", folder.path);
        }
    }

    #[test]
    fn a_written_file_has_its_mode_and_leaves_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("secret");
        fs::write(base.path().join(".secret.new"), "left over").unwrap();
        for content in ["one", "two"] {
            write_atomically(&path, content.as_bytes(), 0o600).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(mode_of(&path), 0o600);
        }
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let error = write_atomically(Path::new("/nowhere/file"), b"", 0o600).unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nowhere/file");
    }
}
