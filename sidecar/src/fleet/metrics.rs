//! What a scrape tells of the fleet.

use super::state::State;
use crate::metrics::{KnownGauges, Registry};

/// Missing without a fleet.
#[derive(Debug)]
pub struct FleetMetrics {
    connected: KnownGauges<()>,
    behind: KnownGauges<()>,
    untold: KnownGauges<()>,
    unusable: KnownGauges<()>,
}

impl FleetMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| registry.known_gauges(name, help);
        Ok(Self {
            connected: gauge(
                "relay_fleet_connected",
                "1 if the fleet's engine answers, else 0; this and the other relay_fleet_ metrics are missing without a fleet",
            )?,
            behind: gauge(
                "relay_fleet_behind_records",
                "Users and keys that the fleet's engine has and this relay does not have yet",
            )?,
            untold: gauge(
                "relay_fleet_untold_accounts",
                "Accounts whose counts the other relays of the fleet do not know yet",
            )?,
            unusable: gauge(
                "relay_fleet_unusable_records",
                "Users and keys of the fleet that came damaged or that a newer version wrote",
            )?,
        })
    }

    pub fn refresh(&self, state: &State) {
        let standing = state.standing();
        self.connected.set((), Some(standing.connected.into()));
        self.behind.set((), Some(standing.behind));
        self.untold.set((), Some(standing.untold));
        let unusable = standing.damaged.len() + standing.newer.len();
        self.unusable.set((), Some(unusable as u64));
    }
}
