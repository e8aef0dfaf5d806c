//! Every metric of this process, put together.

use prometheus::{IntCounter, IntGauge};

use crate::decision::DecisionMetrics;
use crate::events::DeliveryMetrics;
use crate::logging::Log;
use crate::metrics::Registry;
use crate::password::pool::PoolMetrics;
use crate::sasl::metrics::AuthMetrics;
use crate::service::ServiceMetrics;
use crate::signing::metrics::DkimMetrics;

#[derive(Debug)]
pub struct Metrics {
    pub registry: Registry,
    pub services: ServiceMetrics,
    pub auth: AuthMetrics,
    pub pool: PoolMetrics,
    pub decisions: DecisionMetrics,
    pub deliveries: DeliveryMetrics,
    pub dkim: DkimMetrics,
    pub users: IntGauge,
    pub log_lines_dropped: IntCounter,
}

impl Metrics {
    /// Registers them all, so that every series is there from the first scrape on.
    ///
    /// # Errors
    ///
    /// Only when two metrics have the same name, which would be a mistake of ours.
    pub fn register() -> prometheus::Result<Self> {
        let registry = Registry::default();
        let help = "Version of the sidecar; the value is always 1";
        registry.build_info("relay_build_info", help, env!("CARGO_PKG_VERSION"))?;
        Ok(Self {
            services: ServiceMetrics::register(&registry)?,
            auth: AuthMetrics::register(&registry)?,
            pool: PoolMetrics::register(&registry)?,
            decisions: DecisionMetrics::register(&registry)?,
            deliveries: DeliveryMetrics::register(&registry)?,
            dkim: DkimMetrics::register(&registry)?,
            users: registry
                .gauge("relay_users", "Users in the database, disabled ones included")?,
            log_lines_dropped: Log::metric(&registry)?,
            registry,
        })
    }
}
