//! What is counted about signatures.

use crate::dkim::choice::Outcome;
use crate::dkim::key::Algorithm;
use crate::metrics::{Counters, Registry};

#[derive(Debug, Clone)]
pub struct DkimMetrics {
    pub messages: Counters<Outcome>,
    pub signatures: Counters<Algorithm>,
}

impl DkimMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            messages: registry.counters(
                "relay_dkim_messages_total",
                "Permitted messages by what was done about their DKIM signature; nothing is counted \
                 while there is no key",
            )?,
            signatures: registry
                .counters("relay_dkim_signatures_total", "DKIM signatures made, by algorithm")?,
        })
    }
}
