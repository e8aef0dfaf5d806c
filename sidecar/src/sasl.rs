//! Postfix's SASL server: the Dovecot authentication protocol, version 1.2.
//!
//! `protocol` is lines to commands and replies to lines; `mechanism` is PLAIN and LOGIN, step by
//! step; both are pure. `authenticator` looks a user up and has the password checked, as far as
//! `guessing` lets it; `renewal` refreshes its hash. `session` and its `connection` are the asynchronous code of the protocol,
//! `pending` holds what waits for a response, `answer` says what became of it.

pub mod answer;
pub mod authenticator;
pub mod connection;
pub mod guessing;
pub mod mechanism;
pub mod metrics;
pub mod outcome;
pub mod pending;
pub mod protocol;
pub mod renewal;
pub mod session;
