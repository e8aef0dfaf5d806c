//! Runs postqueue, postsuper and postcat, which do the work on the queue.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

use super::directory::{QUEUE_DIRECTORY, for_each_message};
use super::entry::Entry;
use super::records;

const POSTQUEUE: &str = "/usr/sbin/postqueue";
const POSTSUPER: &str = "/usr/sbin/postsuper";
const POSTCAT: &str = "/usr/sbin/postcat";

/// Bytes of a queue file that are read for its login, which comes before the recipients and after
/// only a few records.
const MAX_ENVELOPE_START: u64 = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Hold,
    Release,
    Flush,
    Delete,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Flush => "flush",
            Self::Delete => "delete",
        }
    }

    /// What became of the messages, as in "2 messages held".
    pub fn past_tense(self) -> &'static str {
        match self {
            Self::Hold => "held",
            Self::Release => "released",
            Self::Flush => "scheduled for delivery now",
            Self::Delete => "deleted",
        }
    }

    /// Whether the action makes sense for a message in this queue.
    pub fn applies_to(self, queue: &str) -> bool {
        match self {
            Self::Hold | Self::Flush => queue != "hold",
            Self::Release => queue == "hold",
            Self::Delete => true,
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Hold => "-h",
            Self::Release => "-H",
            Self::Flush => "-i",
            Self::Delete => "-d",
        }
    }
}

/// Lists all messages as `postqueue -j` does: one JSON object per line.
pub fn list() -> anyhow::Result<String> {
    let output = run(POSTQUEUE, &["-j"], "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The header of a message, and its body on request.
pub fn content(id: &str, body: bool) -> anyhow::Result<String> {
    let what = if body { "-hbq" } else { "-hq" };
    let output = run(POSTCAT, &[what, id], "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fills in the login each message was submitted with. A message that has just left the queue gets
/// none.
pub fn add_users(entries: &mut [Entry]) {
    let paths = paths();
    for entry in entries {
        entry.user = paths.get(&entry.id).and_then(|path| {
            let mut start = Vec::new();
            File::open(path).ok()?.take(MAX_ENVELOPE_START).read_to_end(&mut start).ok()?;
            records::user(&start)
        });
    }
}

/// Performs the action and returns for how many messages it took effect.
pub fn act(action: Action, ids: &[&str]) -> anyhow::Result<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    if action == Action::Flush {
        for id in ids {
            run(POSTQUEUE, &[action.option(), id], "")?;
        }
        return Ok(ids.len());
    }
    // On standard input, because the ids may not fit on a command line.
    run(POSTSUPER, &[action.option(), "-"], &(ids.join("\n") + "\n"))?;
    let paths = paths();
    let is_done = |id: &&&str| {
        let path = paths.get(**id);
        let is_held =
            path.is_some_and(|path| path.starts_with(Path::new(QUEUE_DIRECTORY).join("hold")));
        match action {
            Action::Hold => is_held,
            // A released message may already have been delivered.
            Action::Release | Action::Flush => !is_held,
            Action::Delete => path.is_none(),
        }
    };
    Ok(ids.iter().filter(is_done).count())
}

fn paths() -> HashMap<String, PathBuf> {
    let mut paths = HashMap::new();
    for queue in ["incoming", "active", "deferred", "hold"] {
        for_each_message(&Path::new(QUEUE_DIRECTORY).join(queue), &mut |path, id, _| {
            paths.insert(id.to_owned(), path);
        });
    }
    paths
}

fn run(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).ok();
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed with {}: {}", output.status, complaint.trim());
    }
    Ok(output)
}
