//! Every benchmark still works. Nothing here is about speed.

use anyhow::{Context, Result, ensure};
use relay_bench::benchmarks::BENCHMARKS;
use relay_bench::plan::Plan;

/// Runs a benchmark with a handful of messages, and looks whether every figure is one.
fn works(name: &str) -> Result<()> {
    let (_, benchmark) = BENCHMARKS.iter().find(|(known, _)| *known == name).context("no such")?;
    let (rows, curves) = benchmark(&Plan::smoke())?;
    ensure!(!rows.is_empty(), "{name} measured nothing");
    for row in &rows {
        ensure!(row.figure.median.is_finite(), "{name}: {} is no number", row.measure);
    }
    let folder = tempfile::tempdir()?;
    for curve in curves {
        curve.draw(folder.path())?;
    }
    Ok(())
}

#[test]
fn a_soak_of_fifteen_seconds_ends_well() -> Result<()> {
    relay_bench::soak::run(std::time::Duration::from_secs(15)).map(drop)
}

macro_rules! benchmarks_work {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() -> Result<()> {
            works($name)
        })*

        #[test]
        fn every_benchmark_is_tried_here() {
            let names: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

benchmarks_work! {
    the_whole_relay_with_its_queue_in_memory: "whole relay, tmpfs",
    the_whole_relay_with_its_queue_on_disk: "whole relay, disk",
    system_calls: "system calls",
    cached_logins: "cached login",
    cold_logins: "cold login",
    cached_logins_beside_cold_ones: "cached beside cold login",
    policy_answers: "policy",
    milter_sessions: "milter",
    the_way_of_a_log_line: "way of a line",
    signatures: "signing",
    users: "users",
    memory: "memory",
    starts: "start",
    growth: "growth",
}
