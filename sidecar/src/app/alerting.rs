//! Looks at the figures four times a minute, and raises what there is to tell.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::alerts::Alerts;
use crate::alerts::alert::State;
use crate::alerts::tracker::Tracker;
use crate::clock::now;
use crate::overview::Overview;

const EVERY: Duration = Duration::from_secs(15);

/// Until the process stops.
pub async fn run(alerts: Alerts, overview: Overview, stopping: CancellationToken) {
    let mut tracker = Tracker::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stopping.cancelled() => return,
        }
        for alert in tracker.step(&overview.status(), alerts.told_a_suspension(), now()) {
            match alert.state {
                State::Over => tracing::info!(event = alert.event, "{}", alert.text),
                _ => tracing::warn!(event = alert.event, "{}", alert.text),
            }
            alerts.raise(alert);
        }
    }
}
