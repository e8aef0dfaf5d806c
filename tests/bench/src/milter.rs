//! The milter beside one in C that looks at nothing: by themselves, and in the whole relay.

use std::path::Path;

use anyhow::{Result, ensure};
use relay_tests::lab::{HOME, Lab};
use relay_tests::milter_client;
use relay_tests::requirements::Requirements;

use crate::cpu::Group;
use crate::libmilter::{self, Answers};
use crate::load::Load;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds;
use crate::service::{Service, micros};
use crate::stack::{Queue, Stack, Variant};

const RELAY: &str = "relay";
const LIBMILTER: &str = "libmilter";

pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = alone(plan)?;
    rows.extend(in_the_relay(plan)?);
    Ok(rows)
}

/// A session of Postfix's with one message: negotiation, the message in one write, end.
fn alone(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let socket = lab.evidence.directory()?.join(libmilter::SOCKET);
    let group = Group::new(LIBMILTER)?;
    let process = libmilter::start(&lab, &group, &socket, Answers::AsTheSidecar)?;
    let services = [
        (RELAY.to_owned(), Service::sidecar(&lab, "milter.sock", &[])?),
        (LIBMILTER.to_owned(), Service::running(socket, group, process)),
    ];
    let macros = format!("{{mail_addr}}\0alice@example.org\0{{client_addr}}\0{HOME}\0");
    let message = milter_client::message(&macros, "alice@example.org");
    let total = plan.exchanges / 4;
    let series = rounds::interleave(plan.rounds, &services, |service| {
        let open = |socket: &Path| Ok(socket.to_owned());
        let done = service.exchange(10, total, open, |socket, _| session(socket, &message))?;
        Ok(vec![("rate", done.per_second), ("cpu", micros(done.cpu) / 1_000.0)])
    })?;
    drop(services);
    lab.evidence.discard()?;
    let what = "milter alone, 10 connections, a session for each message";
    let rate = rounds::ratio(&series, RELAY, LIBMILTER, "rate");
    let cpu = |variant| rounds::figure(&series, variant, "cpu");
    Ok(vec![
        Row::new(what, "sessions, of a no-op with libmilter", "×", rate),
        Row::new(what, "relay: CPU a message", "ms", cpu(RELAY)).goal(Goal::AtMost(0.08)),
        Row::new(what, "no-op with libmilter: CPU a message", "ms", cpu(LIBMILTER)),
    ])
}

/// The whole relay, and the same with the other milter.
fn in_the_relay(plan: &Plan) -> Result<Vec<Row>> {
    let variants = [(RELAY, Variant::Relay), (LIBMILTER, Variant::Libmilter)];
    let requirements = Requirements::find()?;
    let labs: Vec<Lab> =
        variants.iter().map(|_| Lab::open(requirements.clone())).collect::<Result<_>>()?;
    let mut stacks = Vec::new();
    for ((name, variant), lab) in variants.into_iter().zip(&labs) {
        stacks.push((name.to_owned(), Stack::start(lab, "milter", variant, Queue::Memory)?));
    }
    let series = rounds::interleave(plan.rounds, &stacks, |stack| {
        let slice = stack.run(&Load::default(), plan.messages)?;
        Ok(vec![("accepted", slice.accepted_per_second), ("cpu", slice.sidecar_cpu)])
    })?;
    drop(stacks);
    labs.into_iter().try_for_each(|lab| lab.evidence.discard())?;
    let what = "milter in the whole relay, port 25, 10 sessions";
    let rate = rounds::ratio(&series, RELAY, LIBMILTER, "accepted");
    let measure = "accepted, of the same with a no-op milter in C";
    let other = rounds::figure(&series, LIBMILTER, "cpu");
    Ok(vec![
        Row::new(what, measure, "×", rate).goal(Goal::AtLeast(1.2)),
        Row::new(what, "relay: CPU", "ms", rounds::figure(&series, RELAY, "cpu")),
        Row::new(what, "policy, and the no-op with libmilter: CPU", "ms", other),
    ])
}

fn session(socket: &Path, message: &[u8]) -> Result<()> {
    let reply = milter_client::session(socket, message)?;
    ensure!(matches!(reply, b'c' | b'a'), "a message was answered with {reply}");
    Ok(())
}
