//! The users, their accounts and the DKIM keys in LMDB. Nothing outside `store` knows LMDB.
//!
//! The daemon and every `relay user …` open the same environment; a reader sees what was committed
//! before its transaction began, so a change takes effect at the next login.
//!
//! Refusals: it does not repair anything. A record that fails its checksum is an error, because
//! LMDB returns flipped bytes as good data, and a wrong record could be somebody's login.

mod accounts;
pub mod copy;
mod decoded;
mod dkim;
mod records;
pub mod shared;
mod usage;
mod users;

use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError};
use thiserror::Error;

use decoded::Decoded;
pub use dkim::{Fingerprint, KeyChangeError, ListedKey};
use shared::{Engine, EngineError};
pub use users::{ChangeError, Entry, Listed};

/// Address space, not memory: the file is only as long as what is in it. A million users take 0.4
/// GiB, twice that while they are replaced. Every process must use the same number, or a reader
/// with the smaller map fails once the larger one has grown.
const MAP_SIZE: usize = if cfg!(target_pointer_width = "64") { 16 << 30 } else { 1 << 30 };
/// Places for readers. A thread keeps its own, so that it need not look for one at each read; it has one read transaction at a
/// time, and each lasts microseconds.
const MAX_READERS: u32 = 1024;
/// The file's name in the data folder.
const FILE_NAME: &str = "users.mdb";

#[derive(Debug, Error)]
pub enum StoreError {
    #[error(
        "the data folder {0} does not exist: mount the volume with the users there, or set DATA_DIR"
    )]
    NoFolder(PathBuf),
    #[error(
        "the data folder {folder} belongs to uid {owner}, but this is uid {us}: files created now \
         would lock the daemon out; run this as uid {owner}"
    )]
    WrongOwner { folder: PathBuf, owner: u32, us: u32 },
    #[error("{0} is truncated: restore it from a backup")]
    Truncated(PathBuf),
    #[error(
        "the record of user {0} is damaged: restore {FILE_NAME} from a backup, or remove the user \
         and add it again"
    )]
    Damaged(String),
    #[error(
        "the record of the DKIM key {0} is damaged: restore {FILE_NAME} from a backup, or remove \
         the key with relay dkim remove and make a new one"
    )]
    DamagedKey(String),
    #[error("a DKIM key was written by a newer version of relay (format {0})")]
    NewerKey(u8),
    #[error("the record of user {user} was written by a newer version of relay (format {version})")]
    Newer { user: String, version: u8 },
    #[error(
        "the user database answers EAGAIN: a process with the same pid in another container has it \
         open; run this command in the sidecar's container"
    )]
    SamePid,
    #[error(
        "the user database has reached its largest size, {} MiB: remove users that are not needed",
        MAP_SIZE >> 20
    )]
    Full,
    #[error(
        "no space left on the volume of {0}: make room; logins and mail go on meanwhile, with the \
         users there are"
    )]
    VolumeFull(PathBuf),
    #[error(
        "this database is a replica of a fleet's: set FLEET_URL as the relay has it, or end the replica with relay fleet \
         leave"
    )]
    InFleet,
    #[error(
        "this relay is not in its fleet: it has left it, or has not joined it yet. Remove FLEET_URL and start it again to \
         stay out; start it again with FLEET_URL to join"
    )]
    NotInFleet,
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
    #[error("user database: {0}")]
    Lmdb(heed::Error),
    #[error("user database: {0}")]
    Io(#[from] std::io::Error),
}

type Table = Database<'static, Bytes, Bytes>;

/// The open environment. Clones share it.
#[derive(Clone)]
pub struct UserStore {
    env: Env,
    users: Table,
    accounts: Table,
    dkim: Table,
    /// What concerns a fleet and is no record; empty without one.
    fleet: Table,
    user_revisions: Table,
    dkim_revisions: Table,
    decoded: Arc<Decoded>,
    /// Where changes are decided, in a fleet.
    engine: Option<Arc<dyn Engine>>,
}

impl std::fmt::Debug for UserStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserStore").field("path", &self.env.path()).finish_non_exhaustive()
    }
}

impl UserStore {
    /// Opens the database in `folder`, and creates it when there is none.
    ///
    /// # Errors
    ///
    /// When the folder is missing or belongs to somebody else, or the file is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, MAP_SIZE)
    }

    fn open_with(folder: &Path, map_size: usize) -> Result<Self, StoreError> {
        check_owner(folder)?;
        let path = folder.join(FILE_NAME);
        let failed = |error| from_lmdb(error, &path);
        let env = open_environment(&path, map_size).map_err(failed)?;
        // A process that was killed while reading leaves a slot that would keep old pages alive.
        env.clear_stale_readers().map_err(failed)?;
        check_length(&env, &path)?;
        let txn = env.write_txn().map_err(failed)?;
        let opened = env.create_databases_and_commit(txn, |opener, txn| {
            let mut create = |name| opener.create_database(txn, Some(name));
            let [users, accounts, dkim] = [create("users")?, create("accounts")?, create("dkim")?];
            let fleet = create("fleet")?;
            let revisions = [create("fleet_users")?, create("fleet_dkim")?];
            let all = (users, accounts, dkim, fleet, revisions);
            Ok::<_, heed::Error>(CommitOrAbort::<_, Infallible>::Commit(all))
        });
        match opened.map_err(failed)? {
            CommitOrAbort::Commit((users, accounts, dkim, fleet, revisions)) => {
                let [user_revisions, dkim_revisions] = revisions;
                let (decoded, engine) = (Arc::default(), None);
                Ok(Self {
                    env,
                    users,
                    accounts,
                    dkim,
                    fleet,
                    user_revisions,
                    dkim_revisions,
                    decoded,
                    engine,
                })
            }
            CommitOrAbort::Abort(never) => match never {},
        }
    }

    /// The same database, whose changes a fleet's engine decides.
    #[must_use]
    pub fn with_engine(self, engine: Arc<dyn Engine>) -> Self {
        Self { engine: Some(engine), ..self }
    }

    /// The error for what LMDB says.
    fn failed(&self, error: heed::Error) -> StoreError {
        from_lmdb(error, self.env.path())
    }
}

#[expect(
    unsafe_code,
    reason = "heed's open maps a file: sound while nobody truncates it behind our back, and only \
              this file writes there, under LMDB's own locks"
)]
fn open_environment(path: &Path, map_size: usize) -> Result<Env, heed::Error> {
    let mut options = EnvOpenOptions::new();
    options.map_size(map_size).max_readers(MAX_READERS).max_dbs(8);
    // SAFETY: NO_SUB_DIR only changes the file's name. The map stays valid, because the file is on
    // a local volume and is changed only through LMDB.
    unsafe { options.flags(EnvFlags::NO_SUB_DIR).open(path) }
}

/// A file made by another uid has mode 0600, and the daemon could not open it.
fn check_owner(folder: &Path) -> Result<(), StoreError> {
    let Ok(metadata) = std::fs::metadata(folder) else {
        return Err(StoreError::NoFolder(folder.to_owned()));
    };
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() == us {
        Ok(())
    } else {
        Err(StoreError::WrongOwner { folder: folder.to_owned(), owner: metadata.uid(), us })
    }
}

/// Reading a page behind the end of the file would kill the process with SIGBUS.
fn check_length(env: &Env, path: &Path) -> Result<(), StoreError> {
    let pages = env.info().last_page_number as u64 + 1;
    let page_size = rustix::param::page_size() as u64;
    // A new environment has two pages, and its file is still shorter.
    if pages > 2 && std::fs::metadata(path)?.len() < pages * page_size {
        return Err(StoreError::Truncated(path.to_owned()));
    }
    Ok(())
}

fn from_lmdb(error: heed::Error, path: &Path) -> StoreError {
    match error {
        heed::Error::Io(io) if io.kind() == std::io::ErrorKind::WouldBlock => StoreError::SamePid,
        heed::Error::Mdb(MdbError::MapFull) => StoreError::Full,
        // LMDB says EIO, or EINVAL of a short write, when the disk fills in the middle of a commit.
        heed::Error::Io(_) if is_full(path) => StoreError::VolumeFull(path.to_owned()),
        other => StoreError::Lmdb(other),
    }
}

/// Whether the volume has less room than one LMDB commit of a few pages needs.
fn is_full(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statvfs(folder).is_ok_and(|volume| volume.f_bavail * volume.f_frsize < 64 * 1024)
}

#[cfg(test)]
mod tests;
