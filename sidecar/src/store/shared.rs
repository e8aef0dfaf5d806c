//! What a fleet shares: users and DKIM keys, each a record with a revision that the fleet's engine gives it.
//!
//! The database is then a replica. Whoever changes a record asks the engine first, by compare-and-set on the revision,
//! and writes here what the engine took. What others change is applied by whoever follows the engine. Both may meet: a
//! record is applied only if its revision is newer than the one that is here.

mod changes;
mod replica;
mod roll;
mod suspensions;

use thiserror::Error;
use zeroize::Zeroizing;

pub use replica::{Applied, Position};
pub use roll::{Difference, Roll};
pub use suspensions::Suspension;

/// A kind of record that a fleet shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Users,
    Dkim,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Users, Self::Dkim];

    /// The name of its bucket in the engine, and of its databases here.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Dkim => "dkim",
        }
    }
}

/// A record's key as people read it: a user's name, or a domain and a selector with a slash between them.
pub fn name_of(key: &[u8]) -> String {
    String::from_utf8_lossy(key).replace('\0', "/")
}

/// A record as the engine has it. Without a value it is the mark of one that was removed.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// As in the database.
    pub key: Vec<u8>,
    /// With its checksum. It may hold a private key.
    pub value: Option<Zeroizing<Vec<u8>>>,
    pub revision: u64,
}

/// A record that is to be written, if the one before it has this revision; 0 is none.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub key: Vec<u8>,
    pub value: Option<Zeroizing<Vec<u8>>>,
    pub expected: u64,
}

impl std::fmt::Debug for Record {
    /// Without what is in it: hashes and private keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record({}, revision {})", String::from_utf8_lossy(&self.key), self.revision)
    }
}

impl std::fmt::Debug for Change {
    /// As [`Record`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Change({}, after {})", String::from_utf8_lossy(&self.key), self.expected)
    }
}

/// Where a fleet's records are decided.
pub trait Engine: Send + Sync {
    /// The newest version of a record, if there ever was one. Waits for the network, a few seconds at most.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    fn newest(&self, kind: Kind, key: &[u8]) -> Result<Option<Record>, EngineError>;

    /// Writes records, each by itself, and returns the revision of each. Waits for the network, a few seconds at most.
    fn write(&self, changes: &[Change]) -> Vec<Result<u64, EngineError>>;
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    #[error(
        "the fleet's engine does not answer ({0}): nothing was changed; logins and mail go on with what is here, and \
         relay fleet status shows when it is back"
    )]
    Away(String),
    #[error(
        "the fleet's engine did not confirm the change ({0}): it may have been made or not; look again when relay fleet \
         status says that the engine answers"
    )]
    Unsure(String),
    #[error(
        "changed meanwhile by somebody else in the fleet: look again, and repeat the change if it is still right"
    )]
    Meanwhile,
    #[error("the fleet's engine refuses the change: {0}")]
    Refused(String),
}

#[cfg(test)]
mod tests;
