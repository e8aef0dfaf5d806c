//! `relay-bench`: measures, prints a table, and writes it as JSON.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use relay_bench::plan::Plan;
use relay_bench::report::{self, Row};
use relay_bench::stack::Queue;
use relay_bench::{logins, noop, policy, process, users, whole_relay};

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
        /// The folder for results.json
        #[arg(long, default_value = "target/bench")]
        output: PathBuf,
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
        Command::Noop { folder } => noop::serve(&folder),
        Command::Echo { socket } => policy::echo(&socket),
        Command::Run { rounds, messages, exchanges, only, variants, output } => {
            let plan = Plan { rounds, messages, exchanges, only, variants };
            let rows = run(&plan)?;
            std::fs::create_dir_all(&output)?;
            report::write_json(&rows, &output.join("results.json"))
        }
    }
}

type Benchmark = fn(&Plan) -> Result<Vec<Row>>;

/// In the order of a message's way; by the names that --only chooses from.
const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("whole relay, tmpfs", |plan| whole_relay::run(plan, Queue::Memory)),
    ("whole relay, disk", |plan| whole_relay::run(plan, Queue::Disk)),
    ("system calls", process::system_calls),
    ("cached login", logins::cached),
    ("cold login", logins::cold),
    ("cached beside cold login", logins::cached_beside_cold),
    ("policy", policy::run),
    ("users", users::run),
    ("memory", process::memory),
    ("start", process::start),
];

fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, benchmark) in BENCHMARKS {
        if plan.wants(name) {
            rows.extend(show(benchmark(plan)?)?);
        }
    }
    Ok(rows)
}

/// Prints what is there already: a run takes a while.
fn show(rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut output = std::io::stdout().lock();
    output.write_all(report::table(&rows).as_bytes())?;
    output.flush()?;
    Ok(rows)
}
