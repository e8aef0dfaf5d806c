//! How much somebody may send, and how often a password may be guessed. Pure: time is an argument,
//! in seconds since 1970.
//!
//! `limit` says what is allowed, `usage` counts what was sent, `account` is what is kept of one
//! user or client, `elsewhere` is what other relays of a fleet count, `guessing` counts wrong
//! passwords. `ledger` keeps the accounts.

pub mod account;
pub mod elsewhere;
pub mod guessing;
pub mod limit;
pub mod usage;
