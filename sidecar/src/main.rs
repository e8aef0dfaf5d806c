//! `relay`: the sidecar of a Postfix relay. It decides who may send.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use relay_sidecar::cli::{self, Cli, Command, Exit, Failure};
use relay_sidecar::config::{Config, ProcessEnvironment};
use relay_sidecar::{app, logging};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve => serve(),
        Command::User(command) => cli::user::run(command, &mut std::io::stdout().lock()),
        Command::Healthcheck => cli::healthcheck::run(),
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
    let config = Config::read(&ProcessEnvironment).map_err(|mistakes| {
        Failure::new(Exit::BadSetting, format!("wrong settings:\n{mistakes}"))
    })?;
    logging::start(config.log);
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Trouble, format!("cannot start: {error}")))?;
    let done = runtime.block_on(app::run(config));
    // What did not end within the drain's deadline ends now.
    runtime.shutdown_background();
    done.map_err(|error| Failure::new(Exit::Trouble, format!("{error:#}")))
}

/// Takes all descriptors that the system grants. The usual soft limit of 1024 is for programs that
/// use select(2); Postfix alone may open nine hundred connections.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
