//! How long answers took, and how much memory a process has had.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The times of many answers.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Does something, and notes how long it took when it succeeds.
    pub fn time<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let value = work()?;
        self.0.push(started.elapsed());
        Ok(value)
    }

    /// Takes the times of another thread over.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// The time that so many percent of the answers took at most; zero when there are none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// For a failed assertion, and for whoever reads a test's output.
    #[must_use]
    pub fn summary(&self) -> String {
        let milliseconds = |percent| self.percentile(percent).as_secs_f64() * 1_000.0;
        let [median, p95, p99, worst] = [50, 95, 99, 100].map(milliseconds);
        format!(
            "{} answers: median {median:.2} ms, p95 {p95:.2}, p99 {p99:.2}, worst {worst:.2}",
            self.count()
        )
    }
}

/// The memory of its own that a process has now, in KiB: without the pages of its program, which a dev
/// build has many of.
pub fn memory_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()).context("no RssAnon")?;
    Ok(number.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times = Times((1..=200).map(Duration::from_millis).collect());
        let in_order = [1, 50, 99, 100].map(|percent| times.percentile(percent).as_millis());
        assert_eq!(in_order, [2, 100, 198, 200]);
        assert_eq!(Times::default().percentile(99), Duration::ZERO);
    }
}
