//! Certificates: reading and checking them, making a self-signed one, and replacing them while they are
//! in use.

pub mod pair;
mod renewal;
pub mod self_signed;
mod validity;
mod watched;
pub mod watcher;
