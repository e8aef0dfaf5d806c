//! The services of this process, and what is counted for each of them alike.

use crate::labels::label_enum;
use crate::metrics::{Counters, Gauges, Registry};

label_enum! {
    /// A service of the sidecar.
    pub enum Service("service") {
        Sasl = "sasl",
        Policy = "policy",
        Milter = "milter",
        Http = "http",
    }
}

/// Connections and trouble, by service.
#[derive(Debug, Clone)]
pub struct ServiceMetrics {
    pub open: Gauges<Service>,
    pub accepted: Counters<Service>,
    pub accept_errors: Counters<Service>,
    /// Requests that got no decision.
    pub trouble: Counters<Service>,
}

impl ServiceMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            open: registry.gauges("relay_connections", "Open connections")?,
            accepted: registry.counters("relay_connections_total", "Accepted connections")?,
            accept_errors: registry.counters(
                "relay_accept_errors_total",
                "Connections that could not be accepted, usually for lack of file descriptors",
            )?,
            trouble: registry.counters(
                "relay_trouble_total",
                "Requests without a decision, so that Postfix told the client to try again later",
            )?,
        })
    }
}
