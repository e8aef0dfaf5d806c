//! Will mail arrive? What receivers, clients and strangers see of this relay, and what to do about it.
//!
//! `gather` asks the world and has the only effects; `checks` turn facts into findings; `report` prints them.

pub mod blocklists;
pub mod changes;
pub mod checks;
pub mod dmarc;
pub mod facts;
pub mod finding;
pub mod gather;
pub mod records;
pub mod report;
pub mod spf;
