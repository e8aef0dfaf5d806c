//! Several relays as one, over real NATS servers.

mod backups;
mod cost;
mod engine;
mod far_away;
mod joining;
mod limits;
mod partition;
mod random;
mod records;
mod users;
