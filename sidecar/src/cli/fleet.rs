//! `relay fleet …`: one function for each command.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::console::ask;
use super::database::open;
use super::failure::{Exit, Failure};
use super::listing::written;
use super::options::DataFolder;
use crate::clock::now;
use crate::config::{Config, FleetConfig, ProcessEnvironment};
use crate::control::protocol::{Answer, Question};
use crate::fleet::engine::NatsEngine;
use crate::fleet::join::{self, Pushed, some};
use crate::fleet::nodes::{self, Node, SILENT_AFTER};
use crate::fleet::standing::Standing;
use crate::status::words::duration;
use crate::store::shared::EngineError;

#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Say which relays there are, how far each one is, and whether the engine answers
    ///
    /// The exit code is 0 when all is well, 9 when something needs attention, and 12 when the engine does not answer.
    Status {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Copy users and DKIM keys that the fleet lacks from this relay to the fleet
    ///
    /// For the first relay of a fleet, and for one that had users before it joined.
    Push {
        /// Also overwrite what the fleet has under the same name
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Give up the users and DKIM keys of this relay, to take the fleet's at the next start
    Discard {
        /// Do it: they cannot be brought back, except from a backup
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Leave the fleet, and keep its users and keys as this relay's own
    Leave {
        #[command(flatten)]
        data: DataFolder,
    },
}

/// Runs one command and prints what it did.
///
/// # Errors
///
/// With a text for the operator and an exit code.
pub fn run(command: FleetCommand) -> Result<(), Failure> {
    match command {
        FleetCommand::Status { json, data } => status(&data.path, json),
        FleetCommand::Push { replace, data } => say(&push(&data.path, replace)?),
        FleetCommand::Discard { yes, data } => say(&discard(&data.path, yes)?),
        FleetCommand::Leave { data } => say(&leave(&data.path)?),
    }
}

fn say(text: &str) -> Result<(), Failure> {
    written(io::stdout().lock().write_all(text.as_bytes()))
}

fn config() -> Result<FleetConfig, Failure> {
    Config::fleet(&ProcessEnvironment)?.ok_or_else(|| {
        Failure::new(Exit::BadSetting, "this relay is in no fleet: FLEET_URL is not set")
    })
}

fn away(error: EngineError) -> Failure {
    let reason = match error {
        EngineError::Away(reason) => reason,
        other => other.to_string(),
    };
    Failure::new(Exit::EngineAway, format!("the fleet's engine does not answer: {reason}"))
}

fn push(folder: &Path, replace: bool) -> Result<String, Failure> {
    let (store, engine) = (open(folder)?, NatsEngine::of_command(config()?));
    let pushed = engine.run(|link| async move { join::push(&store, &link, replace).await });
    let pushed = pushed.map_err(away)?;
    let Pushed { written, there_already, differing } =
        pushed.map_err(|error| Failure::new(Exit::EngineAway, error))?;
    let said =
        format!("{written} users and keys copied to the fleet; {there_already} were there\n");
    if differing.is_empty() {
        return Ok(said);
    }
    Err(Failure::new(
        Exit::UserExists,
        format!(
            "{said}the fleet has something else under these names, and it was left alone: {}. To overwrite it: relay fleet \
             push --replace. To give up what is here: relay fleet discard",
            some(&differing)
        ),
    ))
}

fn discard(folder: &Path, yes: bool) -> Result<String, Failure> {
    let store = open(folder)?;
    let users = store.user_count().map_err(Failure::trouble)?;
    let keys = store.dkim_count().map_err(Failure::trouble)?;
    if !yes {
        return Err(Failure::new(
            Exit::BadInput,
            format!(
                "this would remove {users} users and {keys} DKIM keys from this relay: save them first with relay backup, \
                 then say relay fleet discard --yes"
            ),
        ));
    }
    if ask::daemon(folder, &Question::Status).is_ok() {
        return Err(Failure::new(
            Exit::BadInput,
            "relay serve runs here: stop it first, so that nobody is refused meanwhile",
        ));
    }
    store.discard_records().map_err(Failure::trouble)?;
    Ok(format!(
        "{users} users and {keys} DKIM keys removed here; the next start takes the fleet's\n"
    ))
}

fn leave(folder: &Path) -> Result<String, Failure> {
    let store = open(folder)?;
    if !join::is_replica(&store).map_err(Failure::trouble)? {
        return Err(Failure::new(Exit::BadInput, "this relay has joined no fleet; nothing to do"));
    }
    // The others need not see it as one that is away. Without the engine they do, for a while.
    if let Ok(Some(config)) = Config::fleet(&ProcessEnvironment) {
        let name = config.node.clone();
        let engine = NatsEngine::of_command(config);
        drop(engine.run(|link| async move { nodes::forget(&link, &name).await }));
    }
    store.leave_fleet().map_err(Failure::trouble)?;
    let users = store.user_count().map_err(Failure::trouble)?;
    Ok(format!(
        "left the fleet; {users} users and the DKIM keys stay here as this relay's own. Now remove FLEET_URL from its \
         settings and start it again: until then users cannot be changed here, and a start with FLEET_URL joins again\n"
    ))
}

fn status(folder: &Path, json: bool) -> Result<(), Failure> {
    let engine = NatsEngine::of_command(config()?);
    let listed = engine.run(|link| async move { nodes::list(&link).await });
    let listed = listed.and_then(|listed| listed.map_err(EngineError::Away)).map_err(away);
    let standing = standing(folder);
    let text = match json {
        true => as_json(listed.as_ref().ok(), standing.as_ref()),
        false => as_text(listed.as_ref().ok(), standing.as_ref()),
    };
    say(&text)?;
    let (nodes, last) = listed?;
    let silent = nodes.iter().filter(|node| !is_there(node)).count();
    let lagging = nodes.iter().filter(|node| is_there(node) && lag(node, last) > 0).count();
    let troubled = standing.is_none_or(|standing| !is_well(&standing));
    match (silent, lagging, troubled) {
        (0, 0, false) => Ok(()),
        _ => Err(Failure::new(Exit::NotWell, "the fleet needs attention")),
    }
}

/// What the running daemon says; `None` if it does not run.
fn standing(folder: &Path) -> Option<Standing> {
    match ask::daemon(folder, &Question::Status) {
        Ok(Answer::Status(status)) => status.fleet,
        _ => None,
    }
}

fn is_well(standing: &Standing) -> bool {
    let Standing { connected, damaged, newer, missing, has_double, .. } = standing;
    *connected && damaged.is_empty() && newer.is_empty() && missing.is_empty() && !has_double
}

fn is_there(node: &Node) -> bool {
    now().saturating_sub(node.seen) < SILENT_AFTER
}

/// Revisions that a relay has not followed.
fn lag(node: &Node, [users, dkim]: [u64; 2]) -> u64 {
    users.saturating_sub(node.users) + dkim.saturating_sub(node.dkim)
}

type Listed = (Vec<Node>, [u64; 2]);

fn as_text(listed: Option<&Listed>, standing: Option<&Standing>) -> String {
    let mut text = String::new();
    match listed {
        None => text += "engine    does not answer\n",
        Some((nodes, last)) => {
            text += "engine    answers\n\n";
            text += &format!(
                "{:32}  {:10}  {:>8}  {:>8}  last seen\n",
                "relay", "version", "users", "behind"
            );
            for node in nodes {
                let Node { name, version, user_count, seen, .. } = node;
                let ago = duration(now().saturating_sub(*seen));
                let absent = if is_there(node) { "" } else { "  AWAY" };
                let behind = lag(node, *last);
                // Writing to a String cannot fail.
                writeln!(
                    text,
                    "{name:32}  {version:10}  {user_count:>8}  {behind:>8}  {ago} ago{absent}"
                )
                .ok();
            }
            text.push('\n');
        }
    }
    let Some(standing) = standing else {
        return text + "this relay  relay serve does not run here\n";
    };
    let Standing { node, connected, since, behind, untold, damaged, newer, missing, has_double } =
        standing;
    let ago = duration(now().saturating_sub(*since));
    let is = if *connected { "in touch with the engine" } else { "counts alone: out of touch" };
    writeln!(text, "this relay  {node}: {is} for {ago}; {behind} records behind").ok();
    writeln!(text, "counted here and not told yet: {untold} accounts").ok();
    let names: [(&str, Vec<String>); 3] = [
        ("damaged, not applied", damaged.iter().cloned().collect()),
        ("written by a newer version, nobody logs in with", newer.iter().cloned().collect()),
        ("here and not in the engine", missing.clone()),
    ];
    for (what, names) in names.iter().filter(|(_, names)| !names.is_empty()) {
        writeln!(text, "{what}: {}", some(names)).ok();
    }
    if *has_double {
        text += "another relay has the same name: give each a FLEET_NODE of its own\n";
    }
    text
}

fn as_json(listed: Option<&Listed>, standing: Option<&Standing>) -> String {
    let nodes = listed.map(|(nodes, last)| {
        let one = |node: &Node| {
            json!({
                "name": node.name,
                "version": node.version,
                "users": node.user_count,
                "behind": lag(node, *last),
                "seconds_since_seen": now().saturating_sub(node.seen),
                "away": !is_there(node),
            })
        };
        nodes.iter().map(one).collect::<Vec<_>>()
    });
    format!("{:#}\n", json!({ "engine": listed.is_some(), "relays": nodes, "this": standing }))
}
