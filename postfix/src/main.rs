//! PID 1 of the Postfix container: environment variables become main.cf and master.cf, and Postfix
//! is looked after while it runs.

mod certificates;
mod configuration;
mod files;
mod json;
mod log;
mod maillog;
mod network;
mod queue;
mod running;
mod settings;
mod sidecar;

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, Subcommand};

use configuration::main_cf::MainCf;
use configuration::master_cf::MasterCf;
use configuration::{explain, main_cf, master_cf};
use running::supervise::Ending;
use running::{health, start};
use settings::{Environment, Mistakes, Settings};

/// The exit codes, so that an orchestrator and a person can tell the reasons apart.
mod exit {
    /// Stopped as asked, or a command that did its work.
    pub const DONE: u8 = 0;
    /// A start that failed: folders, certificate, one of Postfix's programs. Or: not healthy.
    pub const FAILED: u8 = 1;
    /// Bad settings, or a bad command line (EX_USAGE of sysexits.h).
    pub const USAGE: u8 = 64;
    /// Postfix's master ended although nobody asked it to (EX_SOFTWARE of sysexits.h).
    pub const MASTER_DIED: u8 = 70;
}

/// Runs Postfix as a relay that is configured by environment variables.
#[derive(Debug, Parser)]
#[command(version, after_help = variables_help() + EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints main.cf and master.cf as they would be written; touches nothing
    Render {
        /// Says for each line which variable or default it comes from
        #[arg(long)]
        explain: bool,
    },
    /// Says what is wrong with the running container; exit code 0 when nothing is
    Healthcheck,
    /// Looks at the queue, and holds, releases, flushes or deletes messages
    #[command(subcommand)]
    Queue(queue::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::DONE });
        }
    };
    ExitCode::from(match arguments.command {
        Some(Command::Healthcheck) => healthcheck(),
        Some(Command::Queue(command)) => work_on_queue(command),
        Some(Command::Render { explain: false }) => with_settings(render),
        Some(Command::Render { explain: true }) => with_settings(explain),
        None => with_settings(run),
    })
}

/// Reads the settings, or says everything that is wrong with them.
fn with_settings(work: fn(Settings) -> anyhow::Result<u8>) -> u8 {
    let settings = match settings::load(&Environment::of_process()) {
        Ok(settings) => settings,
        Err(mistakes) => return refuse(&mistakes),
    };
    log::init(settings.log_format);
    work(settings).unwrap_or_else(|error| {
        log::error(format_args!("{error:#}"));
        exit::FAILED
    })
}

fn refuse(mistakes: &Mistakes) -> u8 {
    log::init(mistakes.log_format);
    for problem in &mistakes.problems {
        log::error(problem);
    }
    let count = mistakes.problems.len();
    let settings = if count == 1 { "setting is" } else { "settings are" };
    log::error(format_args!("{count} {settings} wrong, so nothing was started"));
    exit::USAGE
}

fn run(settings: Settings) -> anyhow::Result<u8> {
    match start::run(settings)? {
        Ending::Stopped => Ok(exit::DONE),
        Ending::MasterDied => Ok(exit::MASTER_DIED),
    }
}

fn render(settings: Settings) -> anyhow::Result<u8> {
    let (main_cf, master_cf) = files_of(&settings)?;
    print(&format!("##### main.cf\n{main_cf}\n##### master.cf\n{master_cf}"))
}

fn explain(settings: Settings) -> anyhow::Result<u8> {
    let (main_cf, master_cf) = files_of(&settings)?;
    let environment = Environment::of_process();
    let main_cf = explain::main_cf(&main_cf, &environment);
    let master_cf = explain::master_cf(&master_cf, &environment);
    print(&format!("##### main.cf\n{main_cf}\n##### master.cf\n{master_cf}"))
}

fn files_of(settings: &Settings) -> anyhow::Result<(MainCf, MasterCf)> {
    start::warn(settings);
    let surroundings = start::look_around(settings)?;
    Ok((main_cf::build(settings, &surroundings), master_cf::build(settings)))
}

fn print(text: &str) -> anyhow::Result<u8> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(exit::DONE)
}

fn healthcheck() -> u8 {
    let (text, code) = match health::check() {
        Ok(()) => ("healthy\n".to_owned(), exit::DONE),
        Err(reason) => (format!("{reason}\n"), exit::FAILED),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
    code
}

fn work_on_queue(command: queue::Command) -> u8 {
    match queue::run(command, SystemTime::now()) {
        Ok(true) => exit::DONE,
        Ok(false) => exit::FAILED,
        Err(error) => {
            log::error(format_args!("{error:#}"));
            exit::FAILED
        }
    }
}

const EXIT_CODES: &str = "
Exit codes: 0 stopped as asked, or healthy; 1 could not start, or not healthy; 64 bad settings or \
command line; 70 Postfix's master ended by itself";

/// The table of variables, for `relay-init --help`.
fn variables_help() -> String {
    let mut help = String::from("Environment variables:\n");
    for variable in settings::variables::VARIABLES {
        let name = match variable.secret {
            true => format!("{} or {}", variable.name, variable.file_name()),
            false => variable.name.to_owned(),
        };
        let default = match variable.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        help.push_str(&format!("  {name}\n          {}{default}\n", variable.meaning));
    }
    help
}
