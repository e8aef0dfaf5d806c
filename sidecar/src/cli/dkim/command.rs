//! The command line of `relay dkim`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::DataFolder;

#[derive(Debug, Subcommand)]
pub enum DkimCommand {
    /// Make the keys of a domain, RSA and Ed25519, and print the records to publish
    Add {
        #[command(flatten)]
        domain: DomainName,
        #[command(flatten)]
        data: DataFolder,
    },
    /// List all keys, and which of them sign
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Print the records of a domain: as lines for a zone file, and as name and value for a web form
    Show {
        #[command(flatten)]
        domain: DomainName,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Ask DNS whether the records are these keys', and say what differs
    ///
    /// A key whose record is right signs from the next message on. The exit code is 8 when a record
    /// is not right.
    Check {
        /// The domain; without it all domains
        #[arg(value_name = "DOMAIN")]
        domain: Option<String>,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Make the next keys of a domain
    ///
    /// They sign as soon as DNS has them. Leave the old records there for seven days more: `relay
    /// dkim check` says when they can go.
    Rotate {
        #[command(flatten)]
        domain: DomainName,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Take over a key of another program: PKCS#8 or PKCS#1, or a folder of OpenDKIM, rspamd or boky
    Import(ImportArguments),
    /// Print a private key as PEM: guard it like a password
    Export {
        #[command(flatten)]
        domain: DomainName,
        /// The selector of the key; `relay dkim list` shows it
        #[arg(value_name = "SELECTOR")]
        selector: String,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Remove a key for good; the domain's other keys sign instead
    Remove {
        #[command(flatten)]
        domain: DomainName,
        /// The selector of the key; `relay dkim list` shows it
        #[arg(value_name = "SELECTOR")]
        selector: String,
        #[command(flatten)]
        data: DataFolder,
    },
}

#[derive(Debug, Args)]
pub struct DomainName {
    /// The domain of the senders, such as example.org
    #[arg(value_name = "DOMAIN")]
    pub text: String,
}

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The domain that the key is for
    #[arg(value_name = "DOMAIN", required_unless_present = "folder", requires = "key")]
    pub domain: Option<String>,
    /// The file with the private key; - is standard input
    #[arg(long, value_name = "FILE", requires = "selector", requires = "domain")]
    pub key: Option<PathBuf>,
    /// The selector that the key is published under. With --folder: where the files do not say it
    #[arg(long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// A folder with files such as example.org/s1.private (OpenDKIM), example.org.private (boky) or
    /// example.org.s1.key (rspamd)
    #[arg(long, value_name = "DIR", conflicts_with = "domain")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataFolder,
}
