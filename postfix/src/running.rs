//! The life of the container: start, supervision, drain and stop; and the health check from outside.

mod addresses;
mod children;
mod claim;
mod clock;
mod drain;
pub mod folders;
pub mod health;
mod leftovers;
mod passwords;
mod processes;
mod programs;
mod signals;
pub mod start;
pub mod supervise;
