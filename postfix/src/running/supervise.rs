//! Supervises Postfix's master: forwards signals, reaps processes, and reports how it ended.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal as Kill, WaitStatus, kill_process_group};

use super::children::{reap, send};
use super::clock::{self, Clock};
use super::signals::{Inbox, Signal};
use super::{addresses, drain, processes};
use crate::certificates::watcher;
use crate::log;
use crate::maillog::facts::Facts;
use crate::maillog::pump::Pump;
use crate::queue::directory::QUEUE_DIRECTORY;

/// How long SIGTERM may take. Postfix usually ends within milliseconds; if it hangs, its own timer ends
/// it after five seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long deliveries may take to finish and be recorded when master has died; idle processes exit at
/// once.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a signal, in case one was missed.
const TICK: Duration = Duration::from_secs(5);
/// How often certificates and addresses are checked for changes.
const CHECK_PERIOD: Duration = Duration::from_secs(10);

/// How Postfix ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Stopped,
    MasterDied,
}

/// What can change while Postfix runs, and makes it reload.
#[derive(Debug)]
pub struct Watchers {
    pub certificates: watcher::Watcher,
    /// Where the sidecar is told from.
    pub facts: Facts,
    pub addresses: addresses::Watcher,
}

impl Watchers {
    /// Checks everything; `true` if Postfix has to reload.
    fn tick(&mut self, now: SystemTime) -> bool {
        let new_certificate = self.certificates.tick(now);
        if new_certificate {
            self.facts.certificates(self.certificates.state());
        }
        let new_addresses = self.addresses.tick();
        new_certificate || new_addresses
    }
}

/// Runs until master has ended, after a signal to us or by itself. `grace_period` is for the drain.
pub fn supervise(
    master: Pid,
    signals: &Inbox,
    pump: &Pump,
    grace_period: Duration,
    mut watchers: Watchers,
) -> Ending {
    let mut last_check = Instant::now();
    let mut clock = Clock::new(SystemTime::now(), Instant::now());
    loop {
        match signals.wait(TICK) {
            Some(Signal::Stop) => {
                drain::drain(master, signals, pump, grace_period);
                stop(master, signals);
                return Ending::Stopped;
            }
            Some(Signal::Reload) => {
                log::info("reloading Postfix, after checking certificates and addresses");
                watchers.tick(SystemTime::now());
                reload(master);
            }
            Some(Signal::Child) | None => {}
        }
        if last_check.elapsed() >= CHECK_PERIOD {
            last_check = Instant::now();
            if watchers.tick(SystemTime::now()) {
                reload(master);
            }
        }
        if let Some(by) = clock.set_back(SystemTime::now(), Instant::now()) {
            reschedule_messages(master, by);
        }
        if let Some(status) = reap(master).master {
            log::error(format_args!(
                "Postfix's master ended unexpectedly with {}; exiting, so that the container is \
                 restarted",
                describe(status)
            ));
            await_end(master, signals, ORPHANS_TIMEOUT);
            return Ending::MasterDied;
        }
    }
}

/// SIGHUP would kill a master that has no handler yet; but then it has not read its files yet either.
fn reload(master: Pid) {
    if processes::catches(master, Kill::HUP) {
        send(master, Kill::HUP);
    }
}

fn reschedule_messages(master: Pid, by: Duration) {
    let count = clock::reschedule(Path::new(QUEUE_DIRECTORY), SystemTime::now());
    log::warning(format_args!(
        "the clock was set back by {}; rescheduled {} for delivery now",
        humantime::format_duration(Duration::from_secs(by.as_secs())),
        log::counted(count, "queued message", "queued messages")
    ));
    reload(master);
}

fn stop(master: Pid, signals: &Inbox) {
    log::info("stopping Postfix");
    send(master, Kill::TERM);
    if !await_end(master, signals, STOP_TIMEOUT) {
        log::warning("Postfix did not stop in time; killing it");
        // Fails if all that is left are processes outside the group.
        kill_process_group(master, Kill::KILL).ok();
        reap(master);
    }
}

/// Waits until no child is left; `false` after `timeout`, or after another signal to stop.
fn await_end(master: Pid, signals: &Inbox, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    while !reap(master).none_left {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || signals.wait(left.min(TICK)) == Some(Signal::Stop) {
            return false;
        }
    }
    true
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
