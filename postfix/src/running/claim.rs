//! The claim on the queue: two Postfixes on one queue would deliver everything twice.
//!
//! relay-init has a lock of its own and holds it as long as it lives, before master runs and while it
//! drains as well. master's lock is looked at too: a Postfix of another image has only that one. Both
//! end with the process that holds them, even if it is killed; a file that nobody has locked is stale.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

/// The file that relay-init keeps locked. Only root may open it, so that no process of Postfix can lock
/// it in our place.
const LOCK_FILE: &str = "/var/spool/postfix/pid/relay-init.lock";
/// The file that contains master's process id and that master keeps locked.
pub const PID_FILE: &str = "/var/spool/postfix/pid/master.pid";

/// Dropping it gives the queue up.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
    /// `None` in a queue that was never used.
    of_master: Option<File>,
}

impl Claim {
    /// Claims the queue, whose folder for process ids must exist.
    pub fn take() -> anyhow::Result<Self> {
        let lock = claim(Path::new(LOCK_FILE), OFlags::CREATE)?;
        let of_master = match claim(Path::new(PID_FILE), OFlags::empty()) {
            Err(error) if is_missing(&error) => None,
            claimed => Some(claimed?),
        };
        Ok(Self { _lock: lock, of_master })
    }

    /// Gives up the lock that master wants for itself.
    pub fn make_way_for_master(&mut self) {
        self.of_master = None;
    }
}

fn claim(path: &Path, flags: OFlags) -> anyhow::Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io::Error::from)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file.into()),
        Err(Errno::WOULDBLOCK) => bail!(
            "another Postfix is using the queue in /var/spool/postfix; stop the other container, or \
             give each its own volume"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_queue_has_one_claim_at_a_time_and_a_stale_file_is_none() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("lock");
        let held = claim(&path, OFlags::CREATE).unwrap();
        assert_eq!(held.metadata().unwrap().mode() & 0o7777, 0o600);
        let error = claim(&path, OFlags::CREATE).unwrap_err().to_string();
        assert!(error.starts_with("another Postfix is using the queue"), "{error}");
        drop(held);
        claim(&path, OFlags::CREATE).unwrap();
    }

    #[test]
    fn a_file_that_is_missing_is_told_from_one_that_cannot_be_opened() {
        let base = tempfile::tempdir().unwrap();
        let link = base.path().join("link");
        symlink(base.path().join("elsewhere"), &link).unwrap();
        assert!(is_missing(&claim(&base.path().join("none"), OFlags::empty()).unwrap_err()));
        assert!(!is_missing(&claim(&link, OFlags::CREATE).unwrap_err()));
        assert!(!base.path().join("elsewhere").exists());
    }
}
