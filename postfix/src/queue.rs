//! `relay-init queue …`: lists the queue, and holds, releases, flushes or deletes messages in it.
//!
//! A front end to postqueue, postsuper and postcat. It adds what an operator wants to know at night:
//! which login submitted a message, which messages are older than two hours, and how many are about
//! to be deleted.

pub mod directory;
mod entry;
mod postfix;
mod records;
pub mod state;
mod table;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use entry::{Entry, Selection};
use postfix::Action;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the messages in the queue, oldest first
    ///
    /// The reason why a message has not been delivered yet is shown below it. Without a filter, all
    /// messages are listed.
    List {
        #[command(flatten)]
        filters: Filters,
        /// Print one JSON object per message instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one message: envelope, reason for the delay, and header
    Show {
        /// Queue id of the message, as printed by `queue list`
        id: String,
        /// Show the body as well
        #[arg(long)]
        body: bool,
        /// Print the envelope as a JSON object, without header and body
        #[arg(long, conflicts_with = "body")]
        json: bool,
    },
    /// Put messages on hold: they stay in the queue and are not delivered until released
    Hold(Targets),
    /// Release messages that are on hold
    Release(Targets),
    /// Try to deliver messages now; without a filter, all of them
    ///
    /// Messages on hold are left alone; release them first.
    Flush(Targets),
    /// Delete messages permanently, after showing how many and asking
    ///
    /// Neither sender nor recipients are notified.
    Delete {
        #[command(flatten)]
        targets: Targets,
        /// Delete without asking; required when there is no terminal
        #[arg(long, short)]
        yes: bool,
    },
}

/// A message is selected when it matches every filter given.
#[derive(Debug, Args)]
pub struct Filters {
    /// Queue ids of the messages, as printed by `queue list`
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Select by the login that submitted the message
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Select by envelope sender: an address, @domain, or <> for the null sender
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Select by envelope recipient: an address or @domain
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Select messages that arrived longer ago than this, like 30min, 2h or 3days
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Targets {
    #[command(flatten)]
    filters: Filters,
    /// Select every message in the queue
    #[arg(long)]
    all: bool,
    /// Print the outcome as a JSON object: action, count, ids
    #[arg(long)]
    json: bool,
}

impl Filters {
    fn selection(self, now: SystemTime) -> Selection {
        Selection {
            ids: self.ids,
            user: self.user,
            sender: self.sender,
            recipient: self.recipient,
            before: self.older.and_then(|age| now.checked_sub(age)),
        }
    }
}

/// Runs a command. `false` if it did not take effect for every message that was selected.
pub fn run(command: Command, now: SystemTime) -> anyhow::Result<bool> {
    match command {
        Command::List { filters, json } => list(&filters.selection(now), json, now),
        Command::Show { id, body, json } => show(&id, body, json, now),
        Command::Hold(targets) => act(Action::Hold, targets, true, now),
        Command::Release(targets) => act(Action::Release, targets, true, now),
        Command::Flush(targets) => act(Action::Flush, targets, true, now),
        Command::Delete { targets, yes } => act(Action::Delete, targets, yes, now),
    }
}

fn list(selection: &Selection, json: bool, now: SystemTime) -> anyhow::Result<bool> {
    let entries = select(selection)?;
    let text = match json {
        true => entries.iter().map(|entry| format!("{}\n", entry.to_json(now))).collect(),
        false => table::render(&entries, now),
    };
    print(&text)?;
    report_missing(selection, &entries)
}

fn show(id: &str, body: bool, json: bool, now: SystemTime) -> anyhow::Result<bool> {
    let selection = Selection { ids: vec![id.to_owned()], ..Selection::default() };
    let entries = select(&selection)?;
    for entry in &entries {
        if json {
            print(&format!("{}\n", entry.to_json(now)))?;
        } else {
            let content = postfix::content(&entry.id, body)?;
            print(&format!(
                "{}\n{}",
                table::details(entry, now),
                crate::printable::lines(&content)
            ))?;
        }
    }
    report_missing(&selection, &entries)
}

fn act(action: Action, targets: Targets, confirmed: bool, now: SystemTime) -> anyhow::Result<bool> {
    let selection = targets.filters.selection(now);
    let may_select_all = targets.all || action == Action::Flush;
    if selection == Selection::default() && !may_select_all {
        bail!("specify the messages: queue ids, --user, --sender, --recipient, --older, or --all");
    }
    let mut entries = select(&selection)?;
    entries.retain(|entry| action.applies_to(&entry.queue));
    let found_all = report_missing(&selection, &entries)?;
    if !confirmed && !entries.is_empty() && !confirm(&table::deletion_warning(&entries, now))? {
        bail!("nothing was deleted");
    }
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let done = postfix::act(action, &ids)?;
    let text = match targets.json {
        true => format!("{}\n", json!({ "action": action.name(), "count": done, "ids": ids })),
        false => format!("{}\n", table::result(action.past_tense(), done, ids.len())),
    };
    print(&text)?;
    Ok(found_all && done == ids.len())
}

/// The selected messages, oldest first.
fn select(selection: &Selection) -> anyhow::Result<Vec<Entry>> {
    let mut entries = entry::parse(&postfix::list()?)?;
    entries.retain(|entry| selection.matches_envelope(entry));
    postfix::add_users(&mut entries);
    entries.retain(|entry| selection.matches_user(entry));
    entries.sort_by_key(|entry| entry.arrival);
    Ok(entries)
}

fn report_missing(selection: &Selection, entries: &[Entry]) -> anyhow::Result<bool> {
    let is_found = |id: &&String| entries.iter().any(|entry| entry.id == **id);
    let missing: Vec<&String> = selection.ids.iter().filter(|id| !is_found(id)).collect();
    for id in &missing {
        let text =
            format!("no such message in the queue (or it does not match the filters): {id}\n");
        io::stderr().lock().write_all(text.as_bytes())?;
    }
    Ok(missing.is_empty())
}

/// Asks the operator; an error where there is no terminal to answer on.
fn confirm(warning: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("{warning} There is no terminal to confirm on: add --yes");
    }
    let mut output = io::stderr().lock();
    output.write_all(format!("{warning} Continue? [y/N] ").as_bytes())?;
    output.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has gone, as in `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
