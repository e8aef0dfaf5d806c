//! `relay dns`: what to publish.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::doctor::parsed;
use super::failure::{Exit, Failure};
use super::options::DataFolder;
use super::progress::Progress;
use crate::config::{Config, DoctorConfig, ProcessEnvironment};
use crate::control::protocol::line;
use crate::dkim::key::NamedKey;
use crate::dns::{Dns, DnsTrouble};
use crate::doctor::finding::Check;
use crate::doctor::gather::{self, Questions, senders};
use crate::doctor::records::{self, Row, State};
use crate::store::UserStore;

#[derive(Debug, Args)]
pub struct DnsOptions {
    /// Domains that senders of this relay use
    #[arg(value_name = "DOMAIN", required = true)]
    pub domains: Vec<String>,
    /// Print JSON, for programs
    #[arg(long, conflicts_with = "zone")]
    pub json: bool,
    /// Print lines for a zone file
    #[arg(long)]
    pub zone: bool,
    /// Where Postfix's ports are, as seen from here
    #[arg(long, value_name = "HOST", default_value = "postfix")]
    pub at: String,
    #[command(flatten)]
    pub data: DataFolder,
}

/// The records of one domain, as `--json` has them.
#[derive(Debug, Serialize)]
struct Listed {
    domain: String,
    records: Vec<Row>,
}

/// Prints the records.
///
/// # Errors
///
/// When a record is missing or another one is there.
pub fn run(options: DnsOptions) -> Result<(), Failure> {
    let config = Config::doctor(&ProcessEnvironment)?;
    let domains = parsed(&options.domains)?;
    let store = UserStore::open(&options.data.path).map_err(Failure::trouble)?;
    let (_, keys) = senders::domains(&store, &domains).map_err(Failure::trouble)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::trouble)?;
    let progress = Progress::working("asking DNS");
    let listed = runtime.block_on(look(config, domains, &keys, &options.at));
    drop(progress);
    runtime.shutdown_background();
    let listed = listed.map_err(Failure::trouble)?;
    let printed = match (options.json, options.zone) {
        (true, _) => String::from_utf8_lossy(&line(&listed)).into_owned(),
        (_, true) => listed.iter().map(zone).collect(),
        _ => listed.iter().map(table).collect(),
    };
    super::console::print(printed.as_bytes())?;
    let wrong = |row: &&Row| matches!(row.state, State::Missing | State::Change);
    match listed.iter().flat_map(|domain| &domain.records).filter(wrong).count() {
        0 => Ok(()),
        number => {
            Err(Failure::new(Exit::RecordWrong, format!("to publish or to change: {number}")))
        }
    }
}

async fn look(
    config: DoctorConfig,
    domains: Vec<String>,
    keys: &[NamedKey],
    at: &str,
) -> Result<Vec<Listed>, DnsTrouble> {
    let dns = Dns::from_system()?;
    let host = config.settings.hostname.clone();
    let questions = Questions {
        settings: config.settings,
        domains,
        keys: keys.to_vec(),
        postfix: at.to_owned(),
        allowed: config.allowed,
        daemon: Err(String::new()),
        only: vec![Check::Name, Check::Spf, Check::Dkim, Check::Dmarc, Check::Ports],
        quick: false,
    };
    let [first, second] = [465, 587].map(|port| format!("_{port}._tcp.{host}"));
    let (facts, first_pins, second_pins) =
        tokio::join!(Box::pin(gather::facts(questions)), dns.tlsa(&first), dns.tlsa(&second));
    let tlsa = [(first, first_pins), (second, second_pins)];
    let listed = facts.domains.iter().map(|domain| Listed {
        domain: domain.domain.clone(),
        records: records::of(&facts, domain, keys, &tlsa),
    });
    Ok(listed.collect())
}

fn zone(listed: &Listed) -> String {
    let mut text = format!("; {}\n", listed.domain);
    for row in &listed.records {
        match row.kind {
            // Writing to a String cannot fail, here and below.
            "PTR" => writeln!(text, "; ask the provider: {} PTR {}", row.name, row.value).ok(),
            _ => writeln!(text, "{}", row.zone_line(&listed.domain)).ok(),
        };
    }
    text
}

fn table(listed: &Listed) -> String {
    let mut text = format!("{}\n", listed.domain);
    for row in &listed.records {
        let state = match row.state {
            State::Right => "right",
            State::Missing => "PUBLISH",
            State::Change => "CHANGE",
            State::Optional => "optional",
            State::Unknown => "unknown",
        };
        writeln!(text, "  {state:<9}{} {} {}", row.name, row.kind, row.value).ok();
        if !row.note.is_empty() {
            writeln!(text, "           → {}", row.note).ok();
        }
    }
    text
}
