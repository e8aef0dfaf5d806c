//! Signatures beside OpenDKIM's: what they take from the relay's rate, and the CPU of each.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use relay_sidecar::dkim::canonical::BodyHash;
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;
use ring::digest;

use crate::load::{self, Load};
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::{self, Figure};
use crate::stack::{Algorithm, Queue, Stack, Variant};

const PLAIN: &str = "relay";
const RSA: &str = "relay, RSA-2048";
const ED25519: &str = "relay, Ed25519";
const OPENDKIM: &str = "OpenDKIM, RSA-2048";

pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = in_the_relay(plan)?;
    rows.push(large_body(plan));
    Ok(rows)
}

/// The relaxed form of a large body and its hash, beside the hash alone.
fn large_body(plan: &Plan) -> Row {
    let body = load::message(if plan.rounds > 1 { 25_000_000 } else { 100_000 });
    // As Postfix sends it.
    let pieces: Vec<&[u8]> = body.chunks(65_535).collect();
    let time = |work: &dyn Fn()| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    let ratios: Vec<f64> = (0..plan.rounds)
        .map(|_| {
            let ours = time(&|| {
                let mut hash = BodyHash::default();
                pieces.iter().for_each(|piece| hash.update(piece));
                black_box(hash.finish());
            });
            let alone = time(&|| {
                let mut hash = digest::Context::new(&digest::SHA256);
                pieces.iter().for_each(|piece| hash.update(piece));
                black_box(hash.finish());
            });
            ours / alone
        })
        .collect();
    let measure = "relaxed form and SHA-256, of SHA-256 alone";
    Row::new("DKIM: a body of 25 MB", measure, "×", Figure::of(&ratios)).goal(Goal::AtMost(1.2))
}

fn in_the_relay(plan: &Plan) -> Result<Vec<Row>> {
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
        Ok(vec![
            ("accepted", slice.accepted_per_second),
            ("drained", slice.drained_per_second),
            ("cpu", slice.sidecar_cpu),
        ])
    })?;
    drop(stacks);
    labs.into_iter().try_for_each(|lab| lab.evidence.discard())?;
    let what = "DKIM: port 25, 10 sessions, messages of 4 KiB";
    let signing = |variant| rounds::difference(&series, variant, PLAIN, "cpu");
    let rate = |measure| rounds::ratio(&series, RSA, OPENDKIM, measure);
    let row = |measure, figure| Row::new(what, measure, "×", figure).goal(Goal::AtLeast(1.4));
    Ok(vec![
        row("RSA-2048: accepted, of OpenDKIM", rate("accepted")),
        row("RSA-2048: drained, of OpenDKIM", rate("drained")),
        Row::new(what, "RSA-2048: CPU of signing", "ms", signing(RSA)).goal(Goal::AtMost(0.75)),
        Row::new(what, "Ed25519: CPU of signing", "ms", signing(ED25519)).goal(Goal::AtMost(0.15)),
        Row::new(what, "OpenDKIM and policy: CPU", "ms", rounds::figure(&series, OPENDKIM, "cpu")),
        Row::new(what, "relay, RSA-2048: CPU", "ms", rounds::figure(&series, RSA, "cpu")),
    ])
}
