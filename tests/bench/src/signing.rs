//! Signatures beside OpenDKIM's: what they take from the relay's rate, and the CPU of each.

use anyhow::Result;
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;

use crate::load::Load;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds;
use crate::stack::{Algorithm, Queue, Stack, Variant};

const PLAIN: &str = "relay";
const RSA: &str = "relay, RSA-2048";
const ED25519: &str = "relay, Ed25519";
const OPENDKIM: &str = "OpenDKIM, RSA-2048";

pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let variants = [
        (PLAIN, Variant::Relay),
        (RSA, Variant::Signing(Algorithm::Rsa)),
        (ED25519, Variant::Signing(Algorithm::Ed25519)),
        (OPENDKIM, Variant::OpenDkim),
    ];
    let requirements = Requirements::find()?;
    let labs: Vec<Lab> =
        variants.iter().map(|_| Lab::open(requirements.clone())).collect::<Result<_>>()?;
    let mut stacks = Vec::new();
    for ((name, variant), lab) in variants.into_iter().zip(&labs) {
        stacks.push((name.to_owned(), Stack::start(lab, "signing", variant, Queue::Memory)?));
    }
    let load = Load::default();
    let series = rounds::interleave(plan.rounds, &stacks, |stack| {
        let slice = stack.run(&load, plan.messages)?;
        Ok(vec![("drained", slice.drained_per_second), ("cpu", slice.sidecar_cpu)])
    })?;
    drop(stacks);
    labs.into_iter().try_for_each(|lab| lab.evidence.discard())?;
    let what = "DKIM: port 25, 10 sessions, messages of 4 KiB";
    let signing = |variant| rounds::difference(&series, variant, PLAIN, "cpu");
    let rate = rounds::ratio(&series, RSA, OPENDKIM, "drained");
    Ok(vec![
        Row::new(what, "RSA-2048: drained, of OpenDKIM", "×", rate).goal(Goal::AtLeast(1.4)),
        Row::new(what, "RSA-2048: CPU of signing", "ms", signing(RSA)).goal(Goal::AtMost(0.75)),
        Row::new(what, "Ed25519: CPU of signing", "ms", signing(ED25519)).goal(Goal::AtMost(0.15)),
        Row::new(what, "OpenDKIM and policy: CPU", "ms", rounds::figure(&series, OPENDKIM, "cpu")),
        Row::new(what, "relay, RSA-2048: CPU", "ms", rounds::figure(&series, RSA, "cpu")),
    ])
}
