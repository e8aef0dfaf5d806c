//! The command line.

pub mod healthcheck;
pub mod password_input;
pub mod rights;
pub mod transfer;
pub mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Decides who may send mail through this relay.
#[derive(Debug, Parser)]
#[command(name = "relay", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the services that Postfix asks: login, policy and milter.
    Serve,
    /// Manage the users who may log in; a running relay sees each change at the next login.
    #[command(subcommand)]
    User(UserCommand),
    /// Tell whether `relay serve` is ready, for the container's health check.
    Healthcheck,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user. The password is asked for, unless one of the options says otherwise.
    Add {
        name: String,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        rights: RightsOptions,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Change what a user may do; what is not named stays as it is.
    Set {
        name: String,
        #[command(flatten)]
        rights: RightsOptions,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Remove a user for good.
    Remove {
        name: String,
        #[command(flatten)]
        data: DataFolder,
    },
    /// List all users.
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Show one user: rights, passwords, and what is used and left of the limits.
    Show {
        name: String,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Set a new password.
    Passwd {
        name: String,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Manage further passwords of a user, one for each device.
    #[command(subcommand)]
    Password(PasswordCommand),
    /// Let a disabled or suspended user log in and send again.
    Enable {
        name: String,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Refuse a user's login and mail, and keep the user.
    Disable {
        name: String,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Read users from a file: Dovecot's passwd-file, htpasswd, name:password,…, or an export.
    Import {
        /// The file; - is standard input.
        file: PathBuf,
        /// Replace users that exist; without it they are an error, and nothing is changed.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Write all users as JSON, with the hashes of their passwords: keep it like a password.
    Export {
        #[command(flatten)]
        data: DataFolder,
    },
}

#[derive(Debug, Subcommand)]
pub enum PasswordCommand {
    /// Add a password.
    Add {
        name: String,
        /// What it is for, such as "phone".
        #[arg(long)]
        label: String,
        #[command(flatten)]
        password: PasswordSource,
        /// A date such as 2027-01-31, or a time from now such as 30d.
        #[arg(long)]
        expires: Option<String>,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Remove a password; the others stay.
    Remove {
        name: String,
        #[arg(long)]
        label: String,
        #[command(flatten)]
        data: DataFolder,
    },
}

#[derive(Debug, Args)]
pub struct RightsOptions {
    /// An address the user may send as, or *@example.org for a domain; may be repeated. `any`
    /// takes the restriction away.
    #[arg(long = "sender", value_name = "ADDRESS")]
    pub senders: Vec<String>,
    /// Limits such as 500/day,messages=50/hour; `none` exempts the user, `default` is
    /// RATE_LIMIT_USER.
    #[arg(long = "limit", value_name = "LIMITS")]
    pub limits: Option<String>,
    /// A network the user may log in from; may be repeated. `any` takes the restriction away.
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// A date such as 2027-01-31, a time from now such as 30d, or `never`.
    #[arg(long)]
    pub expires: Option<String>,
    /// A remark for yourself.
    #[arg(long)]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PasswordSource {
    /// Read the password from standard input: its first line.
    #[arg(long)]
    pub password_stdin: bool,
    /// Make a password, and print it once.
    #[arg(long)]
    pub generate: bool,
}

#[derive(Debug, Args)]
pub struct DataFolder {
    /// The folder of the user database.
    #[arg(long = "data-dir", env = "DATA_DIR", default_value = "/var/lib/relay")]
    pub path: PathBuf,
}

/// What the process tells its caller; README lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    /// The system, a file or the network is in trouble.
    Trouble = 1,
    // 2 is clap's, for a wrong command line.
    UserExists = 3,
    UserUnknown = 4,
    BadName = 5,
    BadPassword = 6,
    /// An option's value or an imported line is wrong.
    BadInput = 7,
    /// A wrong setting: EX_USAGE of sysexits(3).
    BadSetting = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends a command: what to tell, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl ToString) -> Self {
        Self { exit, text: text.to_string() }
    }
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
    fn a_password_is_never_an_argument() {
        assert!(Cli::try_parse_from(["relay", "user", "add", "alice", "hunter2"]).is_err());
        assert!(Cli::try_parse_from(["relay", "user", "add", "alice", "--password", "x"]).is_err());
        let both = ["relay", "user", "add", "alice", "--generate", "--password-stdin"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
