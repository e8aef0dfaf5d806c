//! The relay beside bare Postfix: how many messages a second, and what each of them costs.

use anyhow::Result;
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;

use crate::load::Load;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::{self, Series};
use crate::stack::{Queue, Stack, Variant};

/// A load, and what we want the relay to reach under it.
struct Scenario {
    name: &'static str,
    load: Load,
    /// Accepted and drained, of bare Postfix.
    rates: [f64; 2],
    /// Milliseconds a message: of the sidecar, and of Postfix more than bare Postfix takes.
    cpu: [f64; 2],
}

fn scenarios() -> [Scenario; 3] {
    let port_25 = Load::default();
    let login = Load { port: 587, tls: true, login: true, sessions: 40, ..port_25 };
    let many = Load { sessions: 10, messages: 20, ..login };
    [
        Scenario {
            name: "port 25, allowed network, 10 sessions, 1 message each",
            load: port_25,
            rates: [0.80, 0.92],
            cpu: [0.12, 0.33],
        },
        Scenario {
            name: "587 STARTTLS, login each, 40 sessions, 1 message each",
            load: login,
            rates: [0.90, 0.93],
            cpu: [0.20, 0.41],
        },
        Scenario {
            name: "587 STARTTLS, 10 sessions, 20 messages each",
            load: many,
            rates: [0.82, 0.93],
            cpu: [0.08, 0.20],
        },
    ]
}

const BARE: &str = "bare";
const CONTROL: &str = "bare again";
const RELAY: &str = "relay";
const SHORT: &str = "relay, LOG_DETAIL=messages";
const NOOP: &str = "no-op";

/// All scenarios, with the queue in memory or on disk.
pub fn run(plan: &Plan, queue: Queue) -> Result<Vec<Row>> {
    let variants = [
        (BARE, Variant::Bare),
        (CONTROL, Variant::Bare),
        (NOOP, Variant::Noop),
        (RELAY, Variant::Relay),
        (SHORT, Variant::RelayShortLog),
    ];
    let variants: Vec<_> =
        variants.into_iter().filter(|(name, _)| plan.wants_variant(name)).collect();
    let requirements = Requirements::find()?;
    let labs: Vec<Lab> =
        variants.iter().map(|_| Lab::open(requirements.clone())).collect::<Result<_>>()?;
    let mut stacks = Vec::new();
    for ((name, variant), lab) in variants.into_iter().zip(&labs) {
        let group = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        stacks.push((name.to_owned(), Stack::start(lab, &group, variant, queue)?));
    }
    let mut rows = Vec::new();
    for scenario in scenarios() {
        let series = rounds::interleave(plan.rounds, &stacks, |stack| {
            let slice = stack.run(&scenario.load, plan.messages)?;
            Ok(vec![
                ("accepted", slice.accepted_per_second),
                ("drained", slice.drained_per_second),
                ("postfix", slice.postfix_cpu),
                ("sidecar", slice.sidecar_cpu),
                ("p50", slice.sessions.value_at_quantile(0.5) as f64 / 1_000.0),
                ("p99", slice.sessions.value_at_quantile(0.99) as f64 / 1_000.0),
            ])
        })?;
        rows.extend(report(&scenario, queue, &series));
    }
    drop(stacks);
    labs.into_iter().try_for_each(|lab| lab.evidence.discard())?;
    Ok(rows)
}

fn report(scenario: &Scenario, queue: Queue, series: &Series) -> Vec<Row> {
    let place = if queue == Queue::Memory { "tmpfs" } else { "disk" };
    let what = format!("{}, queue on {place}", scenario.name);
    let row = |measure: String, unit, figure| Row::new(&what, &measure, unit, figure);
    let mut rows = Vec::new();
    for (measure, goal) in ["accepted", "drained"].into_iter().zip(scenario.rates) {
        for variant in [CONTROL, NOOP, RELAY, SHORT] {
            let figure = rounds::ratio(series, variant, BARE, measure);
            let row = row(format!("{variant}: {measure}, of bare Postfix"), "×", figure);
            rows.push(row.goal((variant == RELAY).then_some(Goal::AtLeast(goal))));
        }
    }
    let [sidecar, postfix] = scenario.cpu;
    for variant in [BARE, CONTROL, NOOP, RELAY, SHORT] {
        let figure = rounds::figure(series, variant, "postfix");
        rows.push(row(format!("{variant}: Postfix, CPU a message"), "ms", figure));
    }
    for (variant, goal) in [(NOOP, None), (RELAY, Some(postfix)), (SHORT, None)] {
        let figure = rounds::difference(series, variant, BARE, "postfix");
        let row = row(format!("{variant}: Postfix more than bare"), "ms", figure);
        rows.push(row.goal(goal.map(Goal::AtMost)));
    }
    for (variant, goal) in [(NOOP, None), (RELAY, Some(sidecar))] {
        let figure = rounds::figure(series, variant, "sidecar");
        let row = row(format!("{variant}: sidecar, CPU a message"), "ms", figure);
        rows.push(row.goal(goal.map(Goal::AtMost)));
    }
    for (variant, measure) in [(BARE, "p50"), (RELAY, "p50"), (BARE, "p99"), (RELAY, "p99")] {
        let figure = rounds::figure(series, variant, measure);
        rows.push(row(format!("{variant}: a session, {measure}"), "ms", figure));
    }
    rows
}
