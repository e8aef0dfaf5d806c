//! The command line.

pub mod backup;
pub mod console;
pub mod database;
pub mod dkim;
pub mod dns;
pub mod doctor;
pub mod export;
pub mod failure;
pub mod fleet;
pub mod healthcheck;
pub mod import;
pub mod listing;
pub mod options;
pub mod password_input;
mod progress;
pub mod rights;
pub mod snippet;
pub mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use dkim::DkimCommand;
pub use dns::DnsOptions;
pub use doctor::DoctorOptions;
pub use fleet::FleetCommand;
pub use options::{DataFolder, Name, PasswordSource, RightsOptions, SearchOptions};
pub use user::UserCommand;

/// Decide who may send mail through this relay.
#[derive(Debug, Parser)]
#[command(name = "relay", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the services that Postfix asks: login, policy and milter
    ///
    /// This is what the container does. All settings come from environment variables.
    Serve,
    /// Manage the users who may log in
    ///
    /// A running relay sees every change at once: it takes effect at the next login and the next
    /// message, without a restart.
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the keys that mail is signed with
    ///
    /// A running relay sees every change at the next message, without a restart.
    #[command(subcommand)]
    Dkim(DkimCommand),
    /// Save users, DKIM keys and counters to a file, while the relay runs
    ///
    /// The file has password hashes and private keys: guard it like a password.
    Backup {
        /// The file to write; - is standard output
        file: PathBuf,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Replace users, DKIM keys and counters by those of a backup, while the relay is stopped
    ///
    /// Everything is checked first; the old database is kept under another name.
    Restore {
        /// The file that `relay backup` wrote; - is standard input
        file: PathBuf,
        /// Replace a database that has users or keys
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Check that `relay serve` is ready; for the container's health check
    Healthcheck,
    /// Say whether mail flows, what waits, who sends how much, and what is refused
    ///
    /// The exit code is 0 when all is well, 9 when something needs attention or is not known yet, and 1 when there is no
    /// answer.
    Status {
        /// Print JSON, for programs: the same as /api/status
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Find out whether mail will arrive: name, DNS, lists, certificate, ports, and what to do
    ///
    /// Takes less than 15 seconds. The exit code is 0 when all is well, 10 when something could be better, and 11 when
    /// something has to be mended.
    Doctor(Box<DoctorOptions>),
    /// Print every DNS record that mail from a domain through this relay wants, and which are right already
    ///
    /// What is there is kept and completed: SPF, DKIM, DMARC, the relay's own name, TLSA for its ports, and the PTR record
    /// to ask the provider for. The exit code is 0 when all is published, and 8 when something is not.
    Dns(DnsOptions),
    /// Look after this relay's place in a fleet of relays
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Look after alerts
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Watch who sends, what is refused and what waits, as it happens; q ends it
    Top {
        #[command(flatten)]
        data: DataFolder,
    },
    /// Find out what became of mail: the last 1,000 messages and deliveries, and the last 1,000 refusals
    ///
    /// A message is shown with all that is known of it, if all options that are given match something of it. It is
    /// remembered in memory, since the sidecar started.
    History {
        #[command(flatten)]
        search: SearchOptions,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
        /// Go on and print what happens, until Ctrl-C
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        data: DataFolder,
    },
}

#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// Send a test to ALERT_WEBHOOK and ALERT_MAIL, and say what became of it
    Test {
        #[command(flatten)]
        data: DataFolder,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {id}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn a_password_is_never_an_argument() {
        assert!(Cli::try_parse_from(["relay", "user", "add", "alice", "hunter2"]).is_err());
        assert!(Cli::try_parse_from(["relay", "user", "add", "alice", "--password", "x"]).is_err());
        let both = ["relay", "user", "add", "alice", "--generate", "--password-stdin"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
