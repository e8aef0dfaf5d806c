//! Certificates: read and checked, made when there is none, and watched while they are in use.

pub mod pair;
mod renewal;
pub mod self_signed;
pub mod validity;
pub mod watcher;
