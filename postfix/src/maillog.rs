//! Postfix's log.

pub mod events;
pub mod format;
pub mod line;
mod output;
pub mod pump;
pub mod redact;
mod store;
