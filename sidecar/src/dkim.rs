//! DKIM (RFC 6376): which key signs a message, and the signature.
//!
//! Pure, but for the random numbers of new keys. `key`, `signer` and `key_file` are keys and the
//! files they come in, `record` what DNS has to say of them and `published` what it does say; `choice` finds the
//! keys of a message, `fields`, `canonical` and `signature` make its signature, `present` reads the
//! signatures it came with.
//!
//! Refusals: nothing here verifies a signature, and nothing keeps a body.

pub mod canonical;
pub mod choice;
pub mod fields;
pub mod key;
pub mod key_file;
pub mod names;
pub mod present;
pub mod published;
pub mod record;
pub mod signature;
pub mod signer;
