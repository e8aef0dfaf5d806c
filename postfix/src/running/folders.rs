//! The folders that Postfix needs, with owners and modes.
//!
//! The table is what `postfix check`, `post-install` and `set-permissions` of Postfix 3.10 make of its
//! `postfix-files`, without the shell that they need. It takes the capabilities CHOWN and DAC_OVERRIDE.
//! Only the owner of a folder may change its mode, so root takes over a folder with the wrong mode,
//! changes it, and gives it back. All of this can be repeated after a crash.

use std::ffi::CStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, openat, statat,
};
use rustix::path::Arg;

use crate::queue::directory::MAX_DEPTH;

/// Numeric ids, so that a volume fits every image ever built. They match /etc/passwd in the image.
const ROOT: u32 = 0;
const POSTFIX: u32 = 10026;
/// The primary group of `postfix`, which may open the sidecar's sockets.
const RELAY: u32 = 10025;
const POSTDROP: u32 = 10028;
/// The user that the sidecar runs as.
const SIDECAR: u32 = 10027;

#[derive(Debug, Clone, Copy)]
struct Folder {
    path: &'static str,
    user: u32,
    group: u32,
    mode: u32,
    /// Whether everything inside must belong to the folder's owner too.
    owns_content: bool,
}

const fn folder(path: &'static str, user: u32, group: u32, mode: u32) -> Folder {
    Folder { path, user, group, mode, owns_content: false }
}

const fn queue(path: &'static str) -> Folder {
    Folder { path, user: POSTFIX, group: ROOT, mode: 0o700, owns_content: true }
}

const QUEUE_ROOT: &[Folder] = &[
    folder("/var/spool/postfix", ROOT, ROOT, 0o755),
    folder("/var/spool/postfix/pid", ROOT, ROOT, 0o755),
];

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

/// The sidecar's own, on volumes. Docker takes their owners from the image; elsewhere they begin as root's.
const OF_THE_SIDECAR: &[Folder] =
    &[folder("/run/relay", SIDECAR, RELAY, 0o750), folder("/var/lib/relay", SIDECAR, RELAY, 0o700)];

/// Gives the sidecar's folders to it, and leaves what is in them alone.
pub fn prepare_for_sidecar() -> anyhow::Result<()> {
    prepare_all(OF_THE_SIDECAR)
}

/// Creates and repairs the folders that the claim on the queue needs, which disturbs no Postfix that
/// uses it.
pub fn prepare_for_claim() -> anyhow::Result<()> {
    prepare_all(QUEUE_ROOT)
}

/// Creates and repairs all folders.
pub fn prepare() -> anyhow::Result<()> {
    prepare_all(FOLDERS)
}

fn prepare_all(folders: &[Folder]) -> anyhow::Result<()> {
    folders.iter().try_for_each(|folder| {
        prepare_one(Path::new(folder.path), folder).with_context(|| {
            format!(
                "cannot prepare {}; it must be on a writable volume or tmpfs, and the container \
                 needs the capabilities CHOWN and DAC_OVERRIDE",
                folder.path
            )
        })
    })
}

fn prepare_one(path: &Path, folder: &Folder) -> io::Result<()> {
    match DirBuilder::new().mode(folder.mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    if folder.owns_content {
        take_over_content(path, folder)?;
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

/// Gives everything inside to the folder's owner: a volume from another image may have other ids.
fn take_over_content(path: &Path, folder: &Folder) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(folder.user), Gid::from_raw(folder.group));
    for_each_inside(CWD, path, MAX_DEPTH, &mut |directory, name, found| {
        if found.st_uid != folder.user {
            chownat(directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    })
}

/// Calls `act` with the directory, name and status of everything below a directory, down to `depth`.
///
/// What is there may be the work of a Postfix that was taken over. So no link is followed, not even one
/// that takes a directory's place meanwhile, and a tree that is deeper than Postfix's cannot use up the
/// stack.
fn for_each_inside(
    parent: BorrowedFd<'_>,
    path: impl Arg,
    depth: usize,
    act: &mut impl FnMut(BorrowedFd<'_>, &CStr, &Stat) -> io::Result<()>,
) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, path, flags, Mode::empty())?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        act(directory.as_fd(), name, &found)?;
        if FileType::from_raw_mode(found.st_mode).is_dir() && depth > 0 {
            for_each_inside(directory.as_fd(), name, depth - 1, act)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
