//! PID 1 of the Postfix container: turns environment variables into main.cf and master.cf, and
//! supervises Postfix while it runs.

mod alerts;
mod answers;
mod balancer;
mod certificates;
mod configuration;
mod files;
mod log;
mod maillog;
mod network;
mod printable;
mod queue;
mod queue_id;
mod running;
mod settings;
mod sidecar;
mod smarthost;

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, Subcommand};

use configuration::host::Host;
use configuration::main_cf::MainCf;
use configuration::master_cf::MasterCf;
use configuration::{Configuration, Mistakes, explain};
use running::supervise::Ending;
use running::{folders, health, start};
use settings::environment::Environment;

/// Exit codes that let an orchestrator, or a person, tell the reasons apart.
mod exit {
    /// Stopped on request, or a command that succeeded.
    pub const OK: u8 = 0;
    /// The start failed: folders, certificate, or one of Postfix's programs. Or a command failed.
    pub const FAILED: u8 = 1;
    /// Wrong settings or a wrong command line (EX_USAGE in sysexits.h).
    pub const USAGE: u8 = 64;
    /// Postfix's master ended without being asked to (EX_SOFTWARE in sysexits.h).
    pub const MASTER_DIED: u8 = 70;
}

/// Run Postfix as an SMTP relay that is configured by environment variables
///
/// Without a command, relay-init writes main.cf and master.cf, starts Postfix, and supervises it until
/// the container stops. The commands are for `docker compose run` (render) and `docker compose exec`
/// (healthcheck, queue, smarthost).
#[derive(Debug, Parser)]
#[command(version, after_help = SEE_LONG_HELP, after_long_help = variables_help() + EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print main.cf and master.cf as they would be written, without writing or starting anything
    ///
    /// Settings are checked as at a start, and mistakes are reported with exit code 64. Passwords are
    /// not printed: they are kept in tables of their own.
    Render {
        /// Show for each line which variable, or which default, it comes from
        #[arg(long)]
        explain: bool,
    },
    /// Check the running container; exit 0 if healthy, 1 if not
    ///
    /// Healthy means that Postfix's master is running, every port is listening and the sidecar answers.
    /// Otherwise everything that is wrong is printed on one line. The check leaves no lines in the log.
    Healthcheck,
    /// Try the login at each smarthost: connect, TLS, AUTH, QUIT; no mail is sent
    ///
    /// The certificate is checked as for mail, and without a good one the password is not sent. Exit 0 if every login works.
    Smarthost,
    /// Give the folders of the sidecar's volumes to it; for an init container where volumes begin as root's, as in Kubernetes
    ///
    /// These are /run/relay and /var/lib/relay. It can be repeated, and what is in them stays as it is. Postfix's own folders
    /// are seen to at each start.
    Volumes,
    /// Show the queue, and hold, release, flush or delete messages in it
    ///
    /// Messages are selected by queue id and by filters such as --user or --older. A message is selected
    /// if it matches all that are given.
    #[command(subcommand)]
    Queue(queue::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    ExitCode::from(match arguments.command {
        Some(Command::Healthcheck) => healthcheck(),
        Some(Command::Queue(command)) => manage_queue(command),
        Some(Command::Volumes) => prepare_volumes(),
        Some(Command::Smarthost) => with_configuration(try_smarthosts),
        Some(Command::Render { explain: false }) => with_configuration(render),
        Some(Command::Render { explain: true }) => with_configuration(render_explained),
        None => with_configuration(run),
    })
}

/// Reads the environment and goes on with it, or reports every mistake in it.
fn with_configuration(work: fn(Configuration) -> anyhow::Result<u8>) -> u8 {
    let configuration = match Configuration::load(&Environment::of_process()) {
        Ok(configuration) => configuration,
        Err(mistakes) => return report(&mistakes),
    };
    log::init(configuration.settings.log_format);
    work(configuration).unwrap_or_else(|error| {
        log::error(format_args!("{error:#}"));
        exit::FAILED
    })
}

fn prepare_volumes() -> u8 {
    match folders::prepare_for_sidecar() {
        Ok(()) => exit::OK,
        Err(error) => {
            log::error(format_args!("{error:#}"));
            exit::FAILED
        }
    }
}

fn report(mistakes: &Mistakes) -> u8 {
    log::init(mistakes.log_format);
    for problem in &mistakes.problems {
        log::error(problem);
    }
    let count = log::counted(mistakes.problems.len(), "mistake", "mistakes");
    log::error(format_args!("not starting because of {count} in the settings"));
    exit::USAGE
}

fn run(configuration: Configuration) -> anyhow::Result<u8> {
    match start::run(configuration)? {
        Ending::Stopped => Ok(exit::OK),
        Ending::MasterDied => Ok(exit::MASTER_DIED),
    }
}

fn render(configuration: Configuration) -> anyhow::Result<u8> {
    let (main_cf, master_cf) = files_of(&configuration)?;
    print(&format!("##### main.cf\n{main_cf}\n##### master.cf\n{master_cf}"))
}

fn render_explained(configuration: Configuration) -> anyhow::Result<u8> {
    let (main_cf, master_cf) = files_of(&configuration)?;
    let environment = Environment::of_process();
    let main_cf = explain::main_cf(&main_cf, &environment);
    let master_cf = explain::master_cf(&master_cf, &environment);
    print(&format!("##### main.cf\n{main_cf}\n##### master.cf\n{master_cf}"))
}

fn files_of(configuration: &Configuration) -> anyhow::Result<(MainCf, MasterCf)> {
    start::warn(&configuration.settings);
    let host = Host::probe(&configuration.settings)?;
    Ok((configuration.main_cf(&host), configuration.master_cf()))
}

fn print(text: &str) -> anyhow::Result<u8> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(exit::OK)
}

fn healthcheck() -> u8 {
    let (text, code) = match health::check() {
        Ok(()) => ("healthy\n".to_owned(), exit::OK),
        Err(reason) => (format!("{reason}\n"), exit::FAILED),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
    code
}

fn try_smarthosts(configuration: Configuration) -> anyhow::Result<u8> {
    let tried = smarthost::check(&configuration.settings);
    if tried.is_empty() {
        print("there is no smarthost: RELAYHOST is not set\n")?;
    }
    for smarthost::Tried { hop, outcome } in &tried {
        let (Ok(text) | Err(text)) = outcome;
        print(&format!("{hop}: {text}\n"))?;
    }
    Ok(if tried.iter().all(|tried| tried.outcome.is_ok()) { exit::OK } else { exit::FAILED })
}

fn manage_queue(command: queue::Command) -> u8 {
    match queue::run(command, SystemTime::now()) {
        Ok(true) => exit::OK,
        Ok(false) => exit::FAILED,
        Err(error) => {
            log::error(format_args!("{error:#}"));
            exit::FAILED
        }
    }
}

const SEE_LONG_HELP: &str = "The environment variables and the exit codes are listed by --help.";

const EXIT_CODES: &str = "\
Exit codes:
  0   stopped on request, or the command succeeded
  1   could not start, or the command failed
  64  wrong settings or command line
  70  Postfix's master ended unexpectedly";

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
    help.push_str("  POSTFIX_<parameter>\n          any other parameter of main.cf\n");
    help.push_str("  POSTFIXMASTER_<service>__<type>__<parameter>\n");
    help.push_str("          a parameter for one service of master.cf, like 587__inet\n\n");
    help
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Names what a command lacks, and what its subcommands do.
    fn without_help(command: &clap::Command, missing: &mut Vec<String>) {
        let name = command.get_name();
        if command.get_about().is_none() {
            missing.push(name.to_owned());
        }
        let arguments = command.get_arguments().filter(|argument| argument.get_help().is_none());
        missing.extend(arguments.map(|argument| format!("{name} {}", argument.get_id())));
        for subcommand in command.get_subcommands() {
            without_help(subcommand, missing);
        }
    }

    #[test]
    fn every_command_and_argument_has_help() {
        Arguments::command().debug_assert();
        let mut missing = Vec::new();
        without_help(&Arguments::command(), &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn the_long_help_lists_every_variable_and_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        for variable in settings::variables::VARIABLES {
            assert!(help.contains(&format!("\n  {}", variable.name)), "{}", variable.name);
        }
        for code in [exit::OK, exit::FAILED, exit::USAGE, exit::MASTER_DIED] {
            assert!(help.contains(&format!("\n  {code} ")), "{code}");
        }
    }
}
