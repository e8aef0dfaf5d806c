//! The life of the container: start, supervision, drain, health check.

pub mod clock;
pub mod drain;
pub mod health;
pub mod processes;
pub mod signals;
pub mod start;
pub mod supervise;
