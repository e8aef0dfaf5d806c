//! Looks after Postfix's master: passes signals on, reaps, and knows how it ended.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{
    Pid, Signal as Kill, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group,
    set_child_subreaper, wait,
};

use super::{drain, processes};
use crate::certificates::watcher::Watcher;
use crate::files::QUEUE;
use crate::log;
use crate::maillog::pump::Pump;
use crate::running::clock::{self, Clock};
use crate::running::signals::{Inbox, Signal};

/// SIGTERM ends Postfix in milliseconds, and its own clock ends it after five seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// What deliveries get to be finished and noted when master is gone; the rest ends at once by itself.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(10);
/// A signal that was missed is made up for this often.
const TICK: Duration = Duration::from_secs(5);
/// How often renewed certificates are looked for.
const CERTIFICATES_TICK: Duration = Duration::from_secs(10);

/// How Postfix ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Stopped,
    MasterDied,
}

/// What became of the children that ended.
#[derive(Debug, Default)]
pub struct Reaped {
    pub master: Option<WaitStatus>,
    /// No child is left, not even an adopted one.
    none_left: bool,
}

/// PID 1 gets every orphan of its container; anywhere else that must be asked for.
pub fn adopt_orphans() -> io::Result<()> {
    if !getpid().is_init() {
        set_child_subreaper(Some(getpid()))?;
    }
    Ok(())
}

/// Starts master. It makes a session of its own, so that it can signal its children as a group.
pub fn start(command: &mut Command) -> io::Result<Pid> {
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the kernel gave no process number"))
}

/// Runs until master has ended, by a signal to us or by itself.
pub fn look_after(
    master: Pid,
    signals: &Inbox,
    pump: &Pump,
    patience: Duration,
    mut certificates: Watcher,
) -> Ending {
    let mut certificates_seen = Instant::now();
    let mut clock = Clock::new(SystemTime::now(), Instant::now());
    loop {
        match signals.wait(TICK) {
            Some(Signal::Stop) => {
                drain::drain(master, signals, pump, patience);
                stop(master, signals);
                return Ending::Stopped;
            }
            Some(Signal::Reload) => {
                log::info("Postfix reads its files and certificates again");
                certificates.tick(SystemTime::now());
                reload(master);
            }
            Some(Signal::Child) | None => {}
        }
        if certificates_seen.elapsed() >= CERTIFICATES_TICK {
            certificates_seen = Instant::now();
            if certificates.tick(SystemTime::now()) {
                reload(master);
            }
        }
        if let Some(by) = clock.set_back(SystemTime::now(), Instant::now()) {
            adjust(master, by);
        }
        if let Some(status) = reap(master).master {
            log::error(format_args!(
                "Postfix's master ended by itself with {}; ending, so that the container is \
                 started again",
                describe(status)
            ));
            await_end(master, signals, ORPHANS_PATIENCE);
            return Ending::MasterDied;
        }
    }
}

/// A master that has no handler yet has not read its files yet either, and would die of the signal.
fn reload(master: Pid) {
    if processes::catches(master, Kill::HUP) {
        send(master, Kill::HUP);
    }
}

fn adjust(master: Pid, by: Duration) {
    let count = clock::make_due(Path::new(QUEUE), SystemTime::now());
    log::warning(format_args!(
        "the clock was set back by {}; {count} messages that would have waited for it are due now",
        humantime::format_duration(Duration::from_secs(by.as_secs()))
    ));
    reload(master);
}

fn stop(master: Pid, signals: &Inbox) {
    log::info("stopping Postfix");
    send(master, Kill::TERM);
    if !await_end(master, signals, STOP_PATIENCE) {
        log::warning("Postfix did not stop in time and is killed");
        // The group is gone when only processes outside of it are left.
        kill_process_group(master, Kill::KILL).ok();
        reap(master);
    }
}

/// Waits until no child is left; `false` when that took too long or was asked for again.
fn await_end(master: Pid, signals: &Inbox, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    while !reap(master).none_left {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || signals.wait(left.min(TICK)) == Some(Signal::Stop) {
            return false;
        }
    }
    true
}

pub fn send(master: Pid, signal: Kill) {
    if let Err(error) = kill_process(master, signal) {
        log::warning(format_args!("cannot signal Postfix's master: {error}"));
    }
}

/// Takes every child that has ended, ours or adopted.
pub fn reap(master: Pid) -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == master => reaped.master = Some(status),
            Ok(Some(_)) => {}
            Ok(None) => return reaped,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => {
                reaped.none_left = true;
                return reaped;
            }
        }
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no reason".to_owned(),
    }
}
