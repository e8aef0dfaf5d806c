//! `relay`: the sidecar of a Postfix relay. It decides who may send.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use relay_sidecar::cli::failure::{Exit, Failure};
use relay_sidecar::cli::{self, AlertCommand, Cli, Command};
use relay_sidecar::config::{Config, ProcessEnvironment};
use relay_sidecar::{app, logging};

fn main() -> ExitCode {
    keep_memory_private();
    let done = match Cli::parse().command {
        Command::Serve => serve(),
        Command::User(command) => cli::user::run(command),
        Command::Dkim(command) => cli::dkim::run(command),
        Command::Doctor(options) => cli::doctor::run(*options),
        Command::Dns(options) => cli::dns::run(options),
        Command::Backup { file, force, data } => cli::backup::backup(&file, force, &data.path),
        Command::Restore { file, force, data } => cli::backup::restore(&file, force, &data.path),
        Command::Fleet(command) => cli::fleet::run(command),
        Command::Healthcheck => cli::healthcheck::run(),
        Command::Status { json, data } => cli::console::status(&data.path, json),
        Command::Alert(AlertCommand::Test { data }) => cli::console::alert_test(&data.path),
        Command::Top { data } => cli::console::top::run(&data.path),
        Command::History { search, json, follow, data } => {
            cli::console::history(&data.path, search, json, follow)
        }
    };
    match done {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            // Nobody is left to tell when standard error is gone.
            drop(writeln!(std::io::stderr(), "relay: {}", failure.text));
            failure.exit.into()
        }
    }
}

fn serve() -> Result<(), Failure> {
    let config = Config::read(&ProcessEnvironment)?;
    let log = logging::start(config.log);
    raise_file_limit();
    // One thread for all sessions: each step of a login or a message takes microseconds, and waking
    // another thread for it costs more than the step. What takes long has threads of its own: the
    // hashing pool, the log, and the blocking pool for commits.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Trouble, format!("cannot start: {error}")))?;
    let done = runtime.block_on(app::run(config, &log));
    // What did not end within the drain's deadline is cut off now.
    runtime.shutdown_background();
    done.map_err(|error| Failure::new(Exit::Trouble, format!("{error:#}")))
}

/// No core dumps and no debugger: passwords pass through this process, and the key of the cache of
/// verified ones stays in it. Where the system refuses, there is nobody to keep it from either.
fn keep_memory_private() {
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Takes all descriptors that the system grants. The usual soft limit of 1024 is for programs that
/// use select(2); Postfix alone may open nine hundred connections.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}
