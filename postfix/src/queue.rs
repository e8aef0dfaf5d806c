//! `relay-init queue …`: a look at the queue by hand, and a safe hand on it.
//!
//! A front to postqueue, postsuper and postcat, which know the queue. It adds what an operator asks
//! for at night: which user sent this, only messages older than that, and how many are about to go.

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
    /// Shows the messages in the queue, the oldest first
    List {
        #[command(flatten)]
        which: Which,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Shows one message: its envelope, why it waits, and its header
    Show {
        id: String,
        /// The body, too
        #[arg(long)]
        body: bool,
        /// One JSON object, without header and body
        #[arg(long, conflicts_with = "body")]
        json: bool,
    },
    /// Keeps messages from being delivered until they are released
    Hold(Targets),
    /// Lets held messages be delivered
    Release(Targets),
    /// Tries to deliver now; all messages, when none are named
    Flush(Targets),
    /// Deletes messages for good, after saying how many
    Delete {
        #[command(flatten)]
        targets: Targets,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Every condition that is given must hold.
#[derive(Debug, Args)]
pub struct Which {
    /// Queue ids
    ids: Vec<String>,
    /// Messages of this login
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Messages from this address, or from @example.org; <> is the null sender
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Messages to this address, or to @example.org
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Messages that came before this time, like 2h or 3days
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Targets {
    #[command(flatten)]
    which: Which,
    /// Every message
    #[arg(long)]
    all: bool,
    /// The result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Which {
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

/// Does what was asked; `false` when it could not be done for every message.
pub fn run(command: Command, now: SystemTime) -> anyhow::Result<bool> {
    match command {
        Command::List { which, json } => list(&which.selection(now), json, now),
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
    say(&text)?;
    complain_of_missing(selection, &entries)
}

fn show(id: &str, body: bool, json: bool, now: SystemTime) -> anyhow::Result<bool> {
    let selection = Selection { ids: vec![id.to_owned()], ..Selection::default() };
    let entries = select(&selection)?;
    for entry in &entries {
        if json {
            say(&format!("{}\n", entry.to_json(now)))?;
        } else {
            let content = postfix::content(&entry.id, body)?;
            say(&format!("{}\n{}", table::details(entry, now), table::printable(&content)))?;
        }
    }
    complain_of_missing(&selection, &entries)
}

fn act(action: Action, targets: Targets, sure: bool, now: SystemTime) -> anyhow::Result<bool> {
    let selection = targets.which.selection(now);
    let wants_all = targets.all || action == Action::Flush;
    if selection == Selection::default() && !wants_all {
        bail!("say which messages: queue ids, --user, --sender, --recipient, --older, or --all");
    }
    let mut entries = select(&selection)?;
    entries.retain(|entry| action.applies_to(&entry.queue));
    let found_all = complain_of_missing(&selection, &entries)?;
    if !sure && !entries.is_empty() && !confirm(&table::question(&entries, now))? {
        bail!("nothing was deleted");
    }
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let done = postfix::act(action, &ids)?;
    let text = match targets.json {
        true => format!("{}\n", json!({ "action": action.word(), "count": done, "ids": ids })),
        false => format!("{}\n", table::result(action.done(), done, ids.len())),
    };
    say(&text)?;
    Ok(found_all && done == ids.len())
}

/// The messages that are meant, the oldest first.
fn select(selection: &Selection) -> anyhow::Result<Vec<Entry>> {
    let mut entries = entry::parse(&postfix::list()?)?;
    entries.retain(|entry| selection.matches_envelope(entry));
    postfix::add_users(&mut entries);
    entries.retain(|entry| selection.matches_user(entry));
    entries.sort_by_key(|entry| entry.arrival);
    Ok(entries)
}

fn complain_of_missing(selection: &Selection, entries: &[Entry]) -> anyhow::Result<bool> {
    let is_found = |id: &&String| entries.iter().any(|entry| entry.id == **id);
    let missing: Vec<&String> = selection.ids.iter().filter(|id| !is_found(id)).collect();
    for id in &missing {
        let text = format!("no such message in the queue, or not one that is meant: {id}\n");
        io::stderr().lock().write_all(text.as_bytes())?;
    }
    Ok(missing.is_empty())
}

/// Nobody can answer where there is no terminal.
fn confirm(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("{question} Nobody is here to answer: add --yes");
    }
    let mut output = io::stderr().lock();
    output.write_all(format!("{question} [y/N] ").as_bytes())?;
    output.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn say(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
