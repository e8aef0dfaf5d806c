//! Postfix's own programs, with next to nothing in their environment: no secret of ours is in the
//! environment of a process that talks to strangers.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::signals::{Inbox, Signal};
use crate::maillog::pump::Pump;

pub const MASTER: &str = "/usr/lib/postfix/sbin/master";
pub const POSTMAP: &str = "/usr/sbin/postmap";
pub const POSTSUPER: &str = "/usr/sbin/postsuper";

/// How often a running program is checked for its end.
const POLL: Duration = Duration::from_millis(50);

/// A signal to stop came before Postfix was started.
#[derive(Debug, thiserror::Error)]
#[error("stopped before Postfix was started")]
pub struct StopRequested;

/// A program of Postfix, ready to be started.
pub fn program(path: &str, time_zone: Option<&OsStr>) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("LANG", "C");
    if let Some(time_zone) = time_zone {
        command.env("TZ", time_zone);
    }
    command.stdin(Stdio::null()).current_dir("/");
    command
}

/// Runs a program to its end, with its output in Postfix's log.
///
/// # Errors
///
/// [`StopRequested`] if a signal to stop arrives meanwhile; the program is killed then.
pub fn run(command: &mut Command, signals: &Inbox, pump: &Pump) -> anyhow::Result<()> {
    let name = Path::new(command.get_program()).display().to_string();
    command.stdout(pump.stdio()?).stderr(pump.stdio()?);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{name} failed with {status}; its own log lines above say why");
            }
            return Ok(());
        }
        if signals.wait(POLL) == Some(Signal::Stop) {
            child.kill()?;
            child.wait()?;
            return Err(StopRequested.into());
        }
    }
}
