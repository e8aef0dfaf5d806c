//! Several relays as one, over NATS JetStream: users, DKIM keys, limits, suspensions and blocked addresses.
//!
//! Nothing here is asked when a decision is made. `follow` copies the fleet's records into the database, `engine` writes
//! changes, `usage` and `blocked` tell the others what this relay counts and hear what they do, `nodes` says who is there,
//! and `join` sees to it that a relay that joins loses no users.

pub mod blocked;
pub mod buckets;
pub mod engine;
pub mod feed;
pub mod follow;
pub mod jetstream;
pub mod join;
pub mod link;
pub mod metrics;
pub mod nodes;
pub mod sheet;
pub mod standing;
pub mod state;
pub mod suspensions;
pub mod usage;
pub mod watch;
