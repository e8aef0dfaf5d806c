//! `relay-bench`: measures, prints a table, and writes it as JSON, with a plot of each curve.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use relay_bench::benchmarks::BENCHMARKS;
use relay_bench::plan::Plan;
use relay_bench::report::{self, Row};
use relay_bench::{growth, noop, policy, soak};

/// Measure the relay beside bare Postfix and its peers
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure
    Run {
        /// Rounds that count; one more is thrown away
        #[arg(long, default_value_t = 8)]
        rounds: usize,
        /// Messages in each slice of a round
        #[arg(long, default_value_t = 400)]
        messages: usize,
        /// Logins and policy requests in each slice of a round
        #[arg(long, default_value_t = 20_000)]
        exchanges: usize,
        /// Only the benchmarks and loads with this word in their names; may be repeated
        #[arg(long, value_name = "WORD")]
        only: Vec<String>,
        /// Only this variant of the whole relay, such as "bare"; may be repeated
        #[arg(long = "variant", value_name = "NAME")]
        variants: Vec<String>,
        /// The folder for results.json, results.md and the plots
        #[arg(long, default_value = "target/bench")]
        output: PathBuf,
    },
    /// Put everything on a relay at once, and see whether it stays small, fast and honest
    Soak {
        #[arg(long, default_value_t = 15)]
        minutes: u64,
    },
    /// Serve SASL, policy and milter in a folder, and say yes to everything: for measuring only
    #[command(hide = true)]
    Noop { folder: PathBuf },
    /// Answer policy requests on a socket without looking at them: for measuring only
    #[command(hide = true)]
    Echo { socket: PathBuf },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Soak { minutes } => {
            let report = soak::run(Duration::from_secs(60 * minutes))?;
            Ok(writeln!(std::io::stdout().lock(), "{report}")?)
        }
        Command::Noop { folder } => noop::serve(&folder),
        Command::Echo { socket } => policy::echo(&socket),
        Command::Run { rounds, messages, exchanges, only, variants, output } => {
            let plan = Plan { rounds, messages, exchanges, only, variants };
            run(&plan, &output)
        }
    }
}

/// One that fails is named in the end, and does not cost the figures of the others.
fn run(plan: &Plan, output: &Path) -> Result<()> {
    std::fs::create_dir_all(output)?;
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for (name, benchmark) in BENCHMARKS.iter().filter(|(name, _)| plan.wants(name)) {
        match benchmark(plan) {
            Ok((rows, curves)) => {
                show(&rows)?;
                growth::plot(&curves, output)?;
                all.extend(rows);
            }
            Err(error) => failed.push(format!("{name}: {error:#}")),
        }
    }
    std::fs::write(output.join("results.md"), report::markdown(&all))?;
    report::write_json(&all, &output.join("results.json"))?;
    ensure!(failed.is_empty(), "could not be measured:\n{}", failed.join("\n"));
    Ok(())
}

/// Prints what is there already: a run takes a while.
fn show(rows: &[Row]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(report::table(rows).as_bytes())?;
    Ok(output.flush()?)
}
