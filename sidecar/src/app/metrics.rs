//! Every metric of this process, put together.

use std::sync::Arc;
use std::time::Instant;

use prometheus::IntCounter;

use super::database_metrics::DatabaseMetrics;
use crate::decision::metrics::DecisionMetrics;
use crate::events::EventMetrics;
use crate::fleet::metrics::FleetMetrics;
use crate::fleet::state::State;
use crate::logging::Log;
use crate::metrics::Registry;
use crate::password::pool::PoolMetrics;
use crate::sasl::metrics::AuthMetrics;
use crate::sasl::session::SaslService;
use crate::service::ServiceMetrics;
use crate::signing::metrics::DkimMetrics;
use crate::store::UserStore;

#[derive(Debug)]
pub struct Metrics {
    pub registry: Registry,
    pub services: ServiceMetrics,
    pub auth: AuthMetrics,
    pub pool: PoolMetrics,
    pub decisions: DecisionMetrics,
    pub dkim: DkimMetrics,
    pub events: EventMetrics,
    pub log_lines_dropped: IntCounter,
    database: Arc<DatabaseMetrics>,
    fleet: Arc<FleetMetrics>,
}

impl Metrics {
    /// Registers them all, so that every series is there from the first scrape on. `users` of them
    /// are counted by name.
    ///
    /// # Errors
    ///
    /// Only when two metrics have the same name, which would be a mistake of ours.
    pub fn register(users: usize) -> prometheus::Result<Self> {
        let registry = Registry::default();
        let help = "Version of the sidecar; the value is always 1";
        registry.build_info("relay_build_info", help, env!("CARGO_PKG_VERSION"))?;
        registry.process()?;
        Ok(Self {
            services: ServiceMetrics::register(&registry)?,
            auth: AuthMetrics::register(&registry)?,
            pool: PoolMetrics::register(&registry)?,
            decisions: DecisionMetrics::register(&registry, users)?,
            events: EventMetrics::register(&registry)?,
            dkim: DkimMetrics::register(&registry)?,
            log_lines_dropped: Log::metric(&registry)?,
            database: Arc::new(DatabaseMetrics::register(&registry)?),
            fleet: Arc::new(FleetMetrics::register(&registry)?),
            registry,
        })
    }

    /// Has every scrape look at the fleet, too.
    pub fn watch_fleet(&self, state: &State) {
        let (fleet, state) = (Arc::clone(&self.fleet), state.clone());
        self.registry.before_scrape(move || fleet.refresh(&state));
    }

    /// Has every scrape look at what does not report by itself.
    pub fn watch(&self, store: &UserStore, sasl: &Arc<SaslService>) {
        let (database, decisions) = (Arc::clone(&self.database), self.decisions.clone());
        let (postfix, sasl) = (Arc::clone(&self.events.postfix), Arc::clone(sasl));
        let store = store.clone();
        self.registry.before_scrape(move || {
            database.refresh(&store);
            decisions.refresh(&store);
            postfix.refresh(Instant::now());
            sasl.authenticator.count_blocked();
        });
    }
}
