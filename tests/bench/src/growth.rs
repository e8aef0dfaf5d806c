//! What more of something costs: connections, bytes, recipients, addresses with limits.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use relay_tests::lab::Lab;
use relay_tests::measure::memory_kib;
use relay_tests::requirements::Requirements;

use crate::lines::Lines;
use crate::load::Load;
use crate::plan::Plan;
use crate::plot::Curve;
use crate::policy::REQUEST;
use crate::report::Row;
use crate::rounds::Figure;
use crate::service::{Service, micros};
use crate::stack::{Queue, Stack, Variant};

/// Recipients that Postfix gives the next hop at one time (smtp_destination_recipient_limit).
const RECIPIENTS_AT_ONCE: usize = 50;

/// All axes. The curves are for the plots.
pub fn run(plan: &Plan) -> Result<(Vec<Row>, Vec<Curve>)> {
    let curves = vec![connections(plan)?, message_size(plan)?, recipients(plan)?, addresses(plan)?];
    let rows = curves.iter().flat_map(Curve::rows).collect();
    Ok((rows, curves))
}

/// The first few of these in a smoke test.
fn steps<'a>(plan: &Plan, all: &'a [usize]) -> &'a [usize] {
    if plan.rounds > 1 { all } else { all.get(..2).unwrap_or(all) }
}

fn connections(plan: &Plan) -> Result<Curve> {
    let lab = Lab::open(Requirements::find()?)?;
    let service = Service::sidecar(&lab, "policy.sock", &[])?;
    let mut curve = Curve::new("connections", "connections of policy", "CPU an answer", "µs");
    for &connections in steps(plan, &[1, 10, 100, 1_000]) {
        let total = plan.exchanges.max(connections * 4);
        let values = (0..plan.rounds).map(|_| {
            let done = service.exchange(connections, total, Lines::open, |lines, _| {
                lines.ask(REQUEST, b"\n\n").map(drop)
            })?;
            Ok(micros(done.cpu))
        });
        curve.add(connections, &values.collect::<Result<Vec<_>>>()?);
    }
    drop(service);
    lab.evidence.discard()?;
    Ok(curve)
}

/// A running relay, and what a message costs under a load.
fn costs(
    plan: &Plan,
    curve: &mut Curve,
    steps: &[usize],
    load: impl Fn(usize) -> (Load, usize),
) -> Result<()> {
    let lab = Lab::open(Requirements::find()?)?;
    let stack = Stack::start(&lab, "growth", Variant::Relay, Queue::Memory)?;
    for &step in steps {
        let (load, total) = load(step);
        let values = (0..plan.rounds).map(|_| {
            let slice = stack.run(&load, total)?;
            Ok(slice.postfix_cpu + slice.sidecar_cpu)
        });
        curve.add(step, &values.collect::<Result<Vec<_>>>()?);
    }
    drop(stack);
    lab.evidence.discard()
}

fn message_size(plan: &Plan) -> Result<Curve> {
    let mut curve = Curve::new("message-size", "bytes of a message", "CPU a message", "ms");
    let sizes = steps(plan, &[1_000, 10_000, 100_000, 1_000_000, 25_000_000]);
    costs(plan, &mut curve, sizes, |size| {
        let total = (20_000_000 / size).clamp(2, plan.messages);
        (Load { size, sessions: 4, ..Load::default() }, total)
    })?;
    Ok(curve)
}

fn recipients(plan: &Plan) -> Result<Curve> {
    let mut curve = Curve::new("recipients", "recipients of a message", "CPU a message", "ms");
    let numbers = steps(plan, &[1, 10, 100, 1_000]);
    costs(plan, &mut curve, numbers, |recipients| {
        let total = (4_000 / recipients).clamp(2, plan.messages);
        let deliveries = recipients.div_ceil(RECIPIENTS_AT_ONCE);
        (Load { recipients, deliveries, sessions: 4, ..Load::default() }, total)
    })?;
    Ok(curve)
}

/// Clients that send without a login each have an account of their own.
fn addresses(plan: &Plan) -> Result<Curve> {
    let lab = Lab::open(Requirements::find()?)?;
    let settings = [("ALLOWED_NETWORKS", "10.0.0.0/12"), ("RATE_LIMIT_NETWORK", "1000/hour")];
    let service = Service::sidecar(&lab, "policy.sock", &settings)?;
    let mut curve = Curve::new("addresses", "addresses with limits", "CPU an answer", "µs");
    let before = memory_kib(first(&service)?)?;
    for &addresses in steps(plan, &[1_000, 10_000, 100_000, 1_000_000]) {
        let done = service.exchange(20, addresses, Lines::open, |lines, number| {
            let [_, a, b, c] = u32::try_from(number)?.to_be_bytes();
            let text = String::from_utf8_lossy(REQUEST);
            let text = text.replace("203.0.113.5", &format!("10.{a}.{b}.{c}"));
            // Each asks about a message of its own, or one would have a million recipients.
            let text = text.replace("1a.2b.3c.0", &format!("1a.2b.{number:x}.0"));
            let answer = lines.ask(text.as_bytes(), b"\n\n")?;
            ensure!(answer.starts_with(b"action=DUNNO"), "an address was refused: {answer:?}");
            Ok(())
        })?;
        curve.add(addresses, &[micros(done.cpu)]);
    }
    let grown = memory_kib(first(&service)?)?.saturating_sub(before);
    curve.note("memory of all of them", "MiB", Figure::of(&[grown as f64 / 1024.0]));
    drop(service);
    lab.evidence.discard()?;
    Ok(curve)
}

fn first(service: &Service<'_>) -> Result<u32> {
    service.processes()?.first().copied().context("no process")
}

/// Writes a plot of each curve.
pub fn plot(curves: &[Curve], folder: &Path) -> Result<()> {
    curves.iter().try_for_each(|curve| curve.draw(folder))
}
