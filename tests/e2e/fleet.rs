//! Several relays as one, over real NATS servers.

mod joining;
mod users;
