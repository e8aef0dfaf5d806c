//! Options that several commands have.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct Name {
    /// The name that the user logs in with, such as alice or alice@example.org
    #[arg(value_name = "NAME")]
    pub text: String,
}

#[derive(Debug, Args)]
pub struct RightsOptions {
    /// An address that the user may send as, or *@example.org for a whole domain; can be repeated.
    /// `any` removes the restriction
    #[arg(long = "sender", value_name = "ADDRESS")]
    pub senders: Vec<String>,
    /// How much the user may send, such as 500/day,messages=50/hour. `none` is no limit, `default`
    /// is RATE_LIMIT_USER
    #[arg(long = "limit", value_name = "LIMITS")]
    pub limits: Option<String>,
    /// A network that the user may log in and send from; can be repeated. `any` removes the
    /// restriction
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// When the user stops working: a date such as 2027-01-31, a time from now such as 30d, or
    /// `never`
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// A note to yourself; empty removes it
    #[arg(long)]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PasswordSource {
    /// Read the password from standard input, which must be a single line
    #[arg(long)]
    pub password_stdin: bool,
    /// Generate a password and print it once
    #[arg(long)]
    pub generate: bool,
}

#[derive(Debug, Args)]
pub struct SearchOptions {
    /// Anything: a part of an address, a name, a queue id, a host or an answer
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Who logged in
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The envelope sender, or a part of it
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// An envelope recipient, or a part of it
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// Postfix's queue id
    #[arg(long, value_name = "ID")]
    pub queue_id: Option<String>,
    /// Why, as in the log, such as `rate_limit`; or what became of it, such as `deferred`
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// How many messages and refusals, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct DataFolder {
    /// The folder with the user database
    #[arg(
        long = "data-dir",
        env = "DATA_DIR",
        default_value = "/var/lib/relay",
        value_name = "DIR"
    )]
    pub path: PathBuf,
}
