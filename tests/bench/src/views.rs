//! What it takes to look at the relay: a scrape, the status page, its figures as JSON.

use std::time::Instant;

use anyhow::{Result, ensure};
use relay_tests::relay::Relay;

use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::Figure;

/// With a connection for each, as Prometheus has it after a pause; `what` says how many users there are.
pub fn rows(relay: &Relay<'_>, what: &str, plan: &Plan) -> Result<Vec<Row>> {
    let sidecar = relay.sidecar()?;
    let mut rows = Vec::new();
    for (path, measure) in
        [("/metrics", "a scrape"), ("/", "the status page"), ("/api/status", "/api/status")]
    {
        let mut times = Vec::new();
        for _ in 0..4 * plan.rounds {
            let started = Instant::now();
            let page = sidecar.get(path)?;
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
            ensure!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        }
        rows.push(Row::new(what, measure, "ms", Figure::of(&times)).goal(Goal::AtMost(5.0)));
    }
    Ok(rows)
}
