//! What is wrong with this relay's place in its fleet. Pure.

use super::{Concern, ConcernKind, concern};
use crate::fleet::standing::Standing;
use crate::status::Status;
use crate::status::words::duration;

pub fn of(status: &Status) -> Vec<Concern> {
    let Some(fleet) = &status.fleet else { return Vec::new() };
    let mut concerns = Vec::new();
    if !fleet.connected {
        let text = format!(
            "The fleet's engine has been away for {}. Mail goes on; this relay counts alone, and users cannot be changed. \
             See `docker compose exec sidecar relay fleet status`.",
            duration(status.time.saturating_sub(fleet.since))
        );
        concerns.push(concern(ConcernKind::FleetAway, "", text));
    }
    if let Some(trouble) = trouble(fleet) {
        let text = format!("{trouble} `docker compose logs sidecar` has the names.");
        concerns.push(concern(ConcernKind::FleetTrouble, "", text));
    }
    concerns
}

fn trouble(fleet: &Standing) -> Option<&'static str> {
    if fleet.has_double {
        Some("Another relay of the fleet has this one's name: give each a FLEET_NODE of its own.")
    } else if !fleet.missing.is_empty() {
        Some(
            "The fleet's engine has lost users or keys that are here, so this relay follows nobody: `relay fleet push` \
             writes them again, `relay fleet discard` gives them up.",
        )
    } else if !fleet.damaged.is_empty() {
        Some("Users or keys came damaged from the fleet's engine: write them again.")
    } else if !fleet.newer.is_empty() {
        Some("A newer version of relay wrote users or keys that this one cannot judge: update it.")
    } else {
        None
    }
}
