//! The command line of `relay user`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::options::{DataFolder, Name, PasswordSource, RightsOptions};
use crate::cli::snippet::programs;

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user
    ///
    /// The password is asked for, unless --generate or --password-stdin is given. A generated
    /// password is the safest: nobody can guess it, so nobody can slow down its owner by trying.
    Add {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        rights: RightsOptions,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Change what a user may do; everything else stays as it is
    Set {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        rights: RightsOptions,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Remove a user for good
    Remove {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        data: DataFolder,
    },
    /// List all users
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Show one user: rights, passwords, and how much of the limits is used
    Show {
        #[command(flatten)]
        name: Name,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Set a new password; sessions that are open have to log in again
    Passwd {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Manage additional passwords of a user, one for each device
    #[command(subcommand)]
    Password(PasswordCommand),
    /// Let a disabled or suspended user log in and send again
    Enable {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Refuse a user's logins and mail, but keep the user
    Disable {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Add the users of a file: all of them, or none
    ///
    /// Takes a Dovecot passwd-file, an htpasswd file, name:password,name:password on one line, or
    /// what `relay user export` wrote.
    Import {
        /// The file to read; - is standard input
        file: PathBuf,
        /// Also take users that exist: of an export everything, of other files the password
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Print what to enter in a mail program to send through this relay as a user
    ///
    /// The relay's certificate is looked at: a self-signed one is pinned. The password is not printed,
    /// because it is not known.
    Snippet {
        #[command(flatten)]
        name: Name,
        /// The program to set up
        #[arg(long = "for", value_name = "PROGRAM", value_parser = programs())]
        program: String,
        /// Where the relay's port 465 answers, as seen from here
        #[arg(long, value_name = "HOST:PORT", default_value = "postfix:465")]
        at: String,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Print all users as JSON, with their password hashes: guard it like a password
    Export {
        #[command(flatten)]
        data: DataFolder,
    },
}

#[derive(Debug, Subcommand)]
pub enum PasswordCommand {
    /// Add a password
    Add {
        #[command(flatten)]
        name: Name,
        /// What the password is for, such as "phone"
        #[arg(long)]
        label: String,
        #[command(flatten)]
        password: PasswordSource,
        /// When it stops working: a date such as 2027-01-31, or a time from now such as 30d
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Remove a password; the others stay
    Remove {
        #[command(flatten)]
        name: Name,
        /// The label of the password; `relay user show` lists them
        #[arg(long)]
        label: String,
        #[command(flatten)]
        data: DataFolder,
    },
}
