//! What is looked at while it runs, and what must be true of it in the end.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use relay_tests::measure::memory_kib;
use relay_tests::relay::Relay;
use relay_tests::sasl::plain;

use super::sidecar_id;
use crate::lines::Lines;
use crate::load::{PASSWORD, USER, histogram, micros};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Good logins at each look.
const LOGINS: usize = 20;
/// How much memory may grow from the first look after the start to the last one, in KiB.
const GROWTH_KIB: u64 = 4 * 1024;
/// Descriptors beside those of connections, which come and go.
const DESCRIPTORS: usize = 64;
/// The p99 of good logins in the last third, of that in the first.
const SLOWER: f64 = 3.0;

#[derive(Debug)]
struct Sample {
    since_restart: Duration,
    memory_kib: u64,
    descriptors: usize,
    logins: Histogram<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Samples {
    all: Vec<Sample>,
    restarted: Option<Instant>,
    stretches: usize,
}

impl Samples {
    /// Looks until then.
    pub(super) fn take(&mut self, relay: &Relay<'_>, until: Instant) -> Result<()> {
        self.stretches += 1;
        let restarted = *self.restarted.get_or_insert_with(Instant::now);
        let pid = sidecar_id(relay)?;
        while Instant::now() < until {
            let mut logins = histogram()?;
            let mut lines = Lines::sasl(&relay.socket("sasl.sock"))?;
            for _ in 0..LOGINS {
                let started = Instant::now();
                let answer = lines.ask(plain(1, USER, PASSWORD).as_bytes(), b"\n")?;
                ensure!(answer.starts_with(b"OK"), "{USER} is not let in: {answer:?}");
                logins.saturating_record(micros(started.elapsed()));
            }
            self.all.push(Sample {
                since_restart: restarted.elapsed(),
                memory_kib: memory_kib(pid)?,
                descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
                logins,
            });
            thread::sleep(EVERY);
        }
        Ok(())
    }

    pub(super) fn restarted(&mut self) {
        self.restarted = Some(Instant::now());
    }

    pub(super) fn stretches(&self) -> usize {
        self.stretches
    }

    /// Compares the samples of warmed-up processes.
    pub(super) fn judge(&self, warm: Duration) -> Result<String> {
        // A process is restarted each minute, so its own first seconds are what must be warm by then.
        let warm = warm.min(Duration::from_secs(20));
        let settled: Vec<&Sample> =
            self.all.iter().filter(|sample| sample.since_restart >= warm).collect();
        ensure!(!settled.is_empty(), "no look at a process that was warm");
        let least = settled.iter().map(|sample| sample.memory_kib).min().unwrap_or_default();
        let most = settled.iter().map(|sample| sample.memory_kib).max().unwrap_or_default();
        let descriptors = settled.iter().map(|sample| sample.descriptors).max().unwrap_or_default();
        let third = self.all.len().div_ceil(3);
        let (first, last) =
            (p99(self.all.iter().take(third))?, p99(self.all.iter().rev().take(third))?);
        let report = format!(
            "memory {least} to {most} KiB, at most {descriptors} descriptors, \
             p99 of a good login {first:.2} ms at first and {last:.2} ms at last, {} looks",
            self.all.len()
        );
        ensure!(most - least <= GROWTH_KIB + ARENA_KIB, "memory is not flat: {report}");
        ensure!(descriptors <= DESCRIPTORS + CONNECTIONS, "descriptors leak: {report}");
        // In a run of seconds, as `make test` has one, a moment in which the machine is busy decides.
        let is_long = self.all.len() >= ENOUGH_LOOKS;
        ensure!(!is_long || last <= first * SLOWER + 5.0, "good logins become slow: {report}");
        Ok(report)
    }
}

/// About two minutes; a whole run has more than 800.
const ENOUGH_LOOKS: usize = 100;

/// One hashing thread's memory, which is given back after a pause.
const ARENA_KIB: u64 = 19 * 1024;
/// Connections that Postfix and the guessers have open at one time.
const CONNECTIONS: usize = 200;

fn p99<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<f64> {
    let mut all = histogram()?;
    for sample in samples {
        all.add(&sample.logins)?;
    }
    Ok(all.value_at_quantile(0.99) as f64 / 1_000.0)
}
