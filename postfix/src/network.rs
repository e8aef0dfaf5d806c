//! What this container's network looks like.

pub mod gateways;
pub mod resolver;
