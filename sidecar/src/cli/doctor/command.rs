//! The command line of `relay doctor`.

use clap::Args;

use crate::cli::options::DataFolder;
use crate::doctor::finding::Check;

#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// Domains of senders to look at, beside those of users, DKIM keys and ALLOWED_SENDER_DOMAINS
    #[arg(value_name = "DOMAIN")]
    pub domains: Vec<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// This check alone; can be repeated
    #[arg(long, value_name = "CHECK", value_enum)]
    pub only: Vec<Check>,
    /// Ask neither receivers nor lists nor a time server, but DNS and this relay
    #[arg(long)]
    pub quick: bool,
    /// Where Postfix's ports 25, 587 and 465 are, as seen from here
    #[arg(long, value_name = "HOST", default_value = "postfix")]
    pub at: String,
    /// Send a real message to this address instead, and follow it to the receiver's answer
    #[arg(long, value_name = "ADDRESS")]
    pub send: Option<String>,
    /// The sender of that message; postmaster of the first domain if it is left out
    #[arg(long, value_name = "ADDRESS", requires = "send")]
    pub from: Option<String>,
    #[command(flatten)]
    pub data: DataFolder,
}
