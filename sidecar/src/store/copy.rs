//! The database as a whole: copied while it is in use, checked, and replaced while nobody uses it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use heed::CompactionOption;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::records::decode;
use super::{FILE_NAME, StoreError, UserStore};
use crate::limits::account::Account;
use crate::users::User;

/// LMDB's lock file. Every process that has the environment open holds a shared lock on it.
const LOCK_NAME: &str = "users.mdb-lock";

/// How many readable records a database has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    pub users: u64,
    pub keys: u64,
    /// Counters of users and networks. Damaged ones are not among them: they start over.
    pub accounts: u64,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, keys, accounts } = self;
        let many = |number: u64, what: &str| match number {
            1 => format!("1 {what}"),
            number => format!("{number} {what}s"),
        };
        let (users, keys) = (many(*users, "user"), many(*keys, "DKIM key"));
        write!(f, "{users}, {keys}, {}", many(*accounts, "counter"))
    }
}

impl UserStore {
    /// Writes the state of one moment, without free pages. Readers and writers go on meanwhile.
    pub fn copy_to(&self, file: &mut File) -> Result<(), StoreError> {
        let copied = self.env.copy_to_file(file, CompactionOption::Enabled);
        copied.map_err(|error| self.failed(error))
    }

    /// Reads every record.
    ///
    /// # Errors
    ///
    /// When a user or a key is damaged, or newer than this program.
    pub fn check_all(&self) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        for key in self.dkim_keys()? {
            key.record?;
            contents.keys += 1;
        }
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        for entry in self.users.iter(&txn).map_err(|error| self.failed(error))? {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            decode::<User>(key, value)?;
            contents.users += 1;
        }
        for entry in self.accounts.iter(&txn).map_err(|error| self.failed(error))? {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            contents.accounts += u64::from(decode::<Account>(key, value).is_ok());
        }
        Ok(contents)
    }
}

/// Whether the folder has a database.
#[must_use]
pub fn exists(folder: &Path) -> bool {
    folder.join(FILE_NAME).exists()
}

/// A database that nobody has open, and that nobody can open while this lives.
#[derive(Debug)]
pub struct Unused(File);

impl Unused {
    /// `None` while a process has the database open, in this container or another one.
    ///
    /// This process must not open or close the same database meanwhile: POSIX would drop the lock.
    pub fn lock(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(path)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts another file in the place of the folder's database, in one step: whoever looks finds the
    /// old one or the new one. The old one stays beside it under the name `aside`.
    pub fn replace(self, folder: &Path, new: &Path, aside: &str) -> io::Result<()> {
        let current = folder.join(FILE_NAME);
        if current.exists() {
            fs::hard_link(&current, folder.join(aside))?;
        }
        // What LMDB keeps there is about the old file. The next process begins a new one; one that
        // waits for our lock this very moment fails on the empty file, and is started again.
        self.0.set_len(0)?;
        fs::rename(new, &current)?;
        File::open(folder)?.sync_all()
    }
}
