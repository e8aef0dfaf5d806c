//! DKIM (RFC 6376): which key signs a message, and the signature.
//!
//! Pure: `key` and `key_file` are keys and the files they come in, `record` what DNS has to say of
//! them and `published` what it does say; `choice` finds the keys of a message, `fields`,
//! `canonical` and `signature` make its signature, `present` reads the signatures it came with.
//!
//! `keyring` reads keys from the database, `pool` has the threads that sign, `dns` asks for
//! records, `upkeep` looks after keys while the relay runs.
//!
//! Refusals: nothing here verifies a signature, and nothing keeps a body.

pub mod canonical;
pub mod choice;
pub mod dns;
pub mod fields;
pub mod key;
pub mod key_file;
pub mod keyring;
pub mod metrics;
pub mod names;
pub mod pool;
pub mod present;
pub mod published;
pub mod record;
pub mod signature;
pub mod upkeep;
