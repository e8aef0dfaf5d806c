//! What signing takes beside `dkim`: keys from the database, threads, DNS.
//!
//! `keyring` reads keys and prepares them, `pool` has the threads that sign, `dns` asks for records,
//! `upkeep` looks after the keys while the relay runs.

pub mod keyring;
pub mod metrics;
pub mod pool;
pub mod upkeep;
