//! The users and their accounts in LMDB. Nothing outside this file knows LMDB.
//!
//! The daemon and each `relay user …` open the same environment; a reader sees what was committed
//! before its transaction began, so a change holds from the next login on.
//!
//! Refusals: it does not repair anything. A record that does not check is an error, because LMDB
//! returns flipped bytes as good data, and a wrong record could be somebody's login.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{User, UserName};
use crate::limits::account::{Account, AccountKey};

/// Address space, not memory: the file is as long as what is in it. Every process must use the
/// same number, or a reader of the smaller map fails when the larger one has grown.
const MAP_SIZE: usize = 1 << 30;
/// Open read transactions at one time; each lasts microseconds.
const MAX_READERS: u32 = 1024;
/// The file's name in the data folder.
const FILE_NAME: &str = "users.mdb";
/// The first byte of a value: how the rest is to be read.
const RECORD_VERSION: u8 = 1;
const CHECKSUM_LENGTH: usize = 16;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error(
        "the data folder {0} does not exist: mount the volume of the users there, or set DATA_DIR"
    )]
    NoFolder(PathBuf),
    #[error(
        "the data folder {folder} belongs to uid {owner}, but this is uid {us}: files made now \
         would lock the daemon out; run as uid {owner}"
    )]
    WrongOwner { folder: PathBuf, owner: u32, us: u32 },
    #[error("{0} is cut off: restore it from a backup")]
    CutOff(PathBuf),
    #[error(
        "the record of user {0} is damaged: restore {FILE_NAME} from a backup, or remove the user and add it again"
    )]
    Damaged(String),
    #[error("the record of user {user} was written by a newer version ({version}) of this program")]
    Newer { user: String, version: u8 },
    #[error(
        "the user database answers EAGAIN: a process with the same pid in another container has it \
         open; run this command in the sidecar's container"
    )]
    SamePid,
    #[error("user database: {0}")]
    Lmdb(#[from] heed::Error),
    #[error("user database: {0}")]
    Io(#[from] std::io::Error),
}

/// A change was not made, because of what the database holds.
#[derive(Debug, Error)]
pub enum ChangeError {
    #[error("user {0} exists already")]
    Exists(UserName),
    #[error("there is no user {0}")]
    Unknown(UserName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user's name, and the user where the record can be read.
pub type Listed = (String, Result<User, StoreError>);

/// The open environment. Clones share it.
#[derive(Clone)]
pub struct UserStore {
    env: Env<WithoutTls>,
    users: Database<'static, Bytes, Bytes>,
    accounts: Database<'static, Bytes, Bytes>,
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
    /// When the folder is missing or another user's, or the file is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        check_owner(folder)?;
        let path = folder.join(FILE_NAME);
        let env = open_environment(&path)?;
        // A process that was killed in a read leaves a slot that would keep old pages alive.
        env.clear_stale_readers()?;
        check_length(&env, &path)?;
        let txn = env.write_txn()?;
        let (users, accounts) = env
            .create_databases_and_commit(txn, |opener, txn| {
                let users = opener.create_database(txn, Some("users"))?;
                let accounts = opener.create_database(txn, Some("accounts"))?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, Infallible>::Commit((users, accounts)))
            })?
            .commit_or_infallible();
        Ok(Self { env, users, accounts })
    }

    /// Reads one user.
    pub fn get(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let txn = self.env.read_txn().map_err(same_pid)?;
        let value = self.users.get(&txn, name.as_str().as_bytes())?;
        value.map(|value| decode(name.as_str().as_bytes(), value)).transpose()
    }

    /// Reads all users in the order of their names. A record that cannot be read does not hide the
    /// others.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let txn = self.env.read_txn().map_err(same_pid)?;
        let mut found = Vec::new();
        for entry in self.users.iter(&txn)? {
            let (key, value) = entry?;
            found.push((String::from_utf8_lossy(key).into_owned(), decode(key, value)));
        }
        Ok(found)
    }

    /// The number of users.
    pub fn count(&self) -> Result<u64, StoreError> {
        let txn = self.env.read_txn().map_err(same_pid)?;
        Ok(self.users.len(&txn)?)
    }

    /// Writes several users in one transaction: all of them, or none. Existing ones are replaced
    /// when `replace` says so.
    pub fn add_all(&self, users: &[(UserName, User)], replace: bool) -> Result<(), ChangeError> {
        let mut txn = self.env.write_txn().map_err(StoreError::from)?;
        for (name, user) in users {
            let key = name.as_str().as_bytes();
            let exists = self.users.get(&txn, key).map_err(StoreError::from)?.is_some();
            if exists && !replace {
                return Err(ChangeError::Exists(name.clone()));
            }
            self.users.put(&mut txn, key, &encode(key, user)?).map_err(StoreError::from)?;
        }
        txn.commit().map_err(StoreError::from)?;
        Ok(())
    }

    /// Adds a user that does not exist yet.
    pub fn add(&self, name: &UserName, user: &User) -> Result<(), ChangeError> {
        self.add_all(&[(name.clone(), user.clone())], false)
    }

    /// Changes a user that exists; the read and the write are one transaction.
    pub fn update(
        &self,
        name: &UserName,
        change: impl FnOnce(&mut User),
    ) -> Result<User, ChangeError> {
        let mut txn = self.env.write_txn().map_err(StoreError::from)?;
        let key = name.as_str().as_bytes();
        let value = self.users.get(&txn, key).map_err(StoreError::from)?;
        let Some(value) = value else { return Err(ChangeError::Unknown(name.clone())) };
        let mut user = decode(key, value)?;
        change(&mut user);
        self.users.put(&mut txn, key, &encode(key, &user)?).map_err(StoreError::from)?;
        txn.commit().map_err(StoreError::from)?;
        Ok(user)
    }

    /// Removes a user, also one whose record is damaged.
    pub fn remove(&self, name: &UserName) -> Result<(), ChangeError> {
        let mut txn = self.env.write_txn().map_err(StoreError::from)?;
        let found = self.users.delete(&mut txn, name.as_str().as_bytes());
        if !found.map_err(StoreError::from)? {
            return Err(ChangeError::Unknown(name.clone()));
        }
        let account = AccountKey::User(name.clone()).to_string();
        self.accounts.delete(&mut txn, account.as_bytes()).map_err(StoreError::from)?;
        txn.commit().map_err(StoreError::from)?;
        Ok(())
    }
}

/// What somebody has sent and when he logged in: written often, and worth less than a user. A
/// record that cannot be read is left out, and counting begins anew.
impl UserStore {
    pub fn account(&self, key: &AccountKey) -> Result<Option<Account>, StoreError> {
        let txn = self.env.read_txn().map_err(same_pid)?;
        let key = key.to_string();
        let value = self.accounts.get(&txn, key.as_bytes())?;
        Ok(value.and_then(|value| decode(key.as_bytes(), value).ok()))
    }

    pub fn accounts(&self) -> Result<Vec<(AccountKey, Account)>, StoreError> {
        let txn = self.env.read_txn().map_err(same_pid)?;
        let mut found = Vec::new();
        for entry in self.accounts.iter(&txn)? {
            let (key, value) = entry?;
            let parsed = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
            if let (Some(parsed), Ok(account)) = (parsed, decode(key, value)) {
                found.push((parsed, account));
            }
        }
        Ok(found)
    }

    /// Writes and deletes accounts in one transaction, which waits for the disk.
    pub fn write_accounts(
        &self,
        changed: &[(AccountKey, Option<Account>)],
    ) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn()?;
        for (key, account) in changed {
            let key = key.to_string();
            match account {
                Some(account) => {
                    let value = encode(key.as_bytes(), account)?;
                    self.accounts.put(&mut txn, key.as_bytes(), &value)?;
                }
                None => {
                    self.accounts.delete(&mut txn, key.as_bytes())?;
                }
            }
        }
        txn.commit()?;
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "heed's open maps a file: sound while nobody truncates it behind our back, and only \
              this file writes there, under LMDB's own locks"
)]
fn open_environment(path: &Path) -> Result<Env<WithoutTls>, StoreError> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_SIZE).max_readers(MAX_READERS).max_dbs(8);
    // SAFETY: NO_SUB_DIR only changes the file's name. The map stays valid, because the file lies
    // on a local volume and is changed only through LMDB.
    Ok(unsafe { options.flags(EnvFlags::NO_SUB_DIR).open(path)? })
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

/// Reading a page behind the end of the file would end the process with SIGBUS.
fn check_length(env: &Env<WithoutTls>, path: &Path) -> Result<(), StoreError> {
    let pages = env.info().last_page_number as u64 + 1;
    let page_size = rustix::param::page_size() as u64;
    // A new environment has two pages, and its file is still shorter.
    if pages > 2 && std::fs::metadata(path)?.len() < pages * page_size {
        return Err(StoreError::CutOff(path.to_owned()));
    }
    Ok(())
}

fn same_pid(error: heed::Error) -> StoreError {
    match error {
        heed::Error::Io(io) if io.kind() == std::io::ErrorKind::WouldBlock => StoreError::SamePid,
        other => StoreError::Lmdb(other),
    }
}

/// A value is one byte of version, the checksum, and the record as JSON.
fn encode(key: &[u8], record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(record).map_err(std::io::Error::from)?;
    let mut value = Vec::with_capacity(1 + CHECKSUM_LENGTH + json.len());
    value.push(RECORD_VERSION);
    value.extend_from_slice(&checksum(key, &json));
    value.extend_from_slice(&json);
    Ok(value)
}

fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    let damaged = || StoreError::Damaged(String::from_utf8_lossy(key).into_owned());
    let (version, rest) = value.split_first().ok_or_else(damaged)?;
    if *version > RECORD_VERSION {
        let user = String::from_utf8_lossy(key).into_owned();
        return Err(StoreError::Newer { user, version: *version });
    }
    let (stored, json) = rest.split_at_checked(CHECKSUM_LENGTH).ok_or_else(damaged)?;
    if *version != RECORD_VERSION || stored != checksum(key, json) {
        return Err(damaged());
    }
    serde_json::from_slice(json).map_err(|_| damaged())
}

/// The key is part of it, so that a record cannot turn up under another user's name.
fn checksum(key: &[u8], json: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(json);
    let mut sum = [0; CHECKSUM_LENGTH];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
impl UserStore {
    /// Writes a record as flipped bytes would leave it.
    pub fn damage(&self, name: &UserName) {
        let mut txn = self.env.write_txn().unwrap();
        self.users.put(&mut txn, name.as_str().as_bytes(), b"\x01damaged").unwrap();
        txn.commit().unwrap();
    }
}

#[cfg(test)]
mod tests;
