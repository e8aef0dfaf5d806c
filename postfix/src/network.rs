//! What this container finds on its network: gateways, its own addresses, the resolver.

pub mod gateways;
pub mod resolver;
