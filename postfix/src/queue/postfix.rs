//! Postfix's own programs, which do the work on the queue.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

use super::entry::Entry;
use super::records;
use crate::files::QUEUE;
use crate::queue::state::for_each_message;

const POSTQUEUE: &str = "/usr/sbin/postqueue";
const POSTSUPER: &str = "/usr/sbin/postsuper";
const POSTCAT: &str = "/usr/sbin/postcat";

/// The login stands before the recipients, and there are few records before those.
const ENVELOPE: u64 = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Hold,
    Release,
    Flush,
    Delete,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Flush => "flush",
            Self::Delete => "delete",
        }
    }

    pub fn done(self) -> &'static str {
        match self {
            Self::Hold => "held",
            Self::Release => "released",
            Self::Flush => "to be delivered now",
            Self::Delete => "deleted",
        }
    }

    /// Whether it makes sense for a message in this queue.
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

/// Every message, as JSON.
pub fn list() -> anyhow::Result<String> {
    let output = run(POSTQUEUE, &["-j"], "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Header, and the body if it is wanted.
pub fn content(id: &str, body: bool) -> anyhow::Result<String> {
    let what = if body { "-hbq" } else { "-hq" };
    let output = run(POSTCAT, &[what, id], "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads who sent each message; one that has just left stays without.
pub fn add_users(entries: &mut [Entry]) {
    let paths = paths();
    for entry in entries {
        entry.user = paths.get(&entry.id).and_then(|path| {
            let mut start = Vec::new();
            File::open(path).ok()?.take(ENVELOPE).read_to_end(&mut start).ok()?;
            records::user(&start)
        });
    }
}

/// Does it, and says for how many messages it is done.
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
    // By standard input: there may be more than fit into a command line.
    run(POSTSUPER, &[action.option(), "-"], &(ids.join("\n") + "\n"))?;
    let paths = paths();
    let is_done = |id: &&&str| {
        let path = paths.get(**id);
        let is_held = path.is_some_and(|path| path.starts_with(Path::new(QUEUE).join("hold")));
        match action {
            Action::Hold => is_held,
            // Released ones may be delivered already.
            Action::Release | Action::Flush => !is_held,
            Action::Delete => path.is_none(),
        }
    };
    Ok(ids.iter().filter(is_done).count())
}

fn paths() -> HashMap<String, PathBuf> {
    let mut paths = HashMap::new();
    for queue in ["incoming", "active", "deferred", "hold"] {
        for_each_message(&Path::new(QUEUE).join(queue), &mut |path, id, _| {
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
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} ended with {}: {}", output.status, said.trim());
    }
    Ok(output)
}
