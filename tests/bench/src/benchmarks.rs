//! All benchmarks, by the names that `--only` chooses from.

use anyhow::Result;

use crate::growth;
use crate::plan::Plan;
use crate::plot::Curve;
use crate::report::Row;
use crate::stack::Queue;
use crate::{logging, logins, milter, policy, process, signing, users, whole_relay};

/// What a benchmark measured.
pub type Measured = (Vec<Row>, Vec<Curve>);

pub type Benchmark = fn(&Plan) -> Result<Measured>;

/// In the order of a message's way, then what surrounds it.
pub const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("whole relay, tmpfs", |plan| rows(whole_relay::run(plan, Queue::Memory))),
    ("whole relay, disk", |plan| rows(whole_relay::run(plan, Queue::Disk))),
    ("system calls", |plan| rows(process::system_calls(plan))),
    ("cached login", |plan| rows(logins::cached(plan))),
    ("cold login", |plan| rows(logins::cold(plan))),
    ("cached beside cold login", |plan| rows(logins::cached_beside_cold(plan))),
    ("policy", |plan| rows(policy::run(plan))),
    ("milter", |plan| rows(milter::run(plan))),
    ("way of a line", |plan| rows(logging::run(plan))),
    ("signing", |plan| rows(signing::run(plan))),
    ("users", |plan| rows(users::run(plan))),
    ("memory", |plan| rows(process::memory(plan))),
    ("start", |plan| rows(process::start(plan))),
    ("growth", growth::run),
];

fn rows(measured: Result<Vec<Row>>) -> Result<Measured> {
    Ok((measured?, Vec::new()))
}
