//! A process of the test: its output goes to a file, and it never outlives its handle.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// What a program finds in its environment beside the variables of the test, as in a container.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    log_start: usize,
}

impl Process {
    /// Starts a command whose both outputs are appended to `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        Self::spawn_into(command, log, open_log(log)?.into())
    }

    /// The same with another place for both outputs; whoever reads it may write it to `log`.
    pub fn spawn_into(command: &mut Command, log: &Path, output: OwnedFd) -> Result<Self> {
        let log_start = usize::try_from(open_log(log)?.metadata()?.len())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, log: log.to_owned(), log_start })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the process has said so far, but nothing from those before it with the same log.
    #[must_use]
    pub fn output(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub fn wait_for_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        wait::until("a process to end", within, || child.try_wait().transpose())?
            .context("waiting for a process")
    }

    pub fn kill(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process of this test.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not a process id")?;
    kill_process(pid, signal).with_context(|| format!("sending {signal:?} to process {pid:?}"))
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening the log {}", path.display()))
}
