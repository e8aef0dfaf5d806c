//! The drain: lets work in progress finish before the stop, so that nothing is delivered twice.
//!
//! On SIGTERM master kills all of Postfix at once. A next hop that has received a message but not yet
//! replied would get it again after the restart. So before that:
//!
//! 1. master.cf is rewritten and master reloads, which ends idle processes and lets busy ones finish.
//!    The new file has no queue manager, so no delivery starts; its ports answer 421.
//! 2. relay-init waits for the deliveries and incoming messages in progress.
//! 3. It waits for the log: postlogd dies with master, and with it every line it has not read yet.
//!
//! What does not work: removing the ports from master.cf, or `master_service_disable`, makes master
//! kill the sessions behind them; deferring transports puts a delay on every message in the queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as Kill};

use super::children::{reap, send};
use super::processes::{self, Process};
use super::signals::{Inbox, Signal};
use crate::configuration::files::MASTER_CF;
use crate::maillog::pump::Pump;
use crate::{files, log};

/// How often the list of processes is read.
const POLL: Duration = Duration::from_millis(20);
/// cleanup exits just before smtpd replies to its client; this is time for the reply.
const LAST_REPLY: Duration = Duration::from_millis(30);
/// postlogd takes milliseconds for its lines, unless the disk or the machine hangs.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);
/// A reload takes milliseconds as well.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The program that schedules deliveries.
const QUEUE_MANAGER: &str = "qmgr";
/// The program that delivers; one process per delivery in progress.
const DELIVERY: &str = "smtp";
/// The program that queues what came in, from clients and of Postfix's own; one process per message.
const RECEPTION: &str = "cleanup";

/// Makes smtpd answer 421 during the drain. Of several values for a parameter the last one counts.
const TURN_AWAY: &[&str] = &[
    "smtpd_delay_reject=no",
    "{ smtpd_client_restrictions = check_client_access static:{421 4.3.2 Service is stopping, come \
     back in a minute} }",
    // The sidecar may be stopping as well, and must not delay the reply.
    "smtpd_milters=",
    "smtpd_sasl_auth_enable=no",
];
/// Idle processes end at the reload. This is for one that is started later: it would wait for its next
/// message until the grace period is over.
const LEAVE_SOON: &[&str] = &["max_idle=1s"];

/// How the drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Finished,
    /// The grace period is over, with this much work still in progress.
    TooLate(Busy),
    /// A second signal to stop arrived.
    StopRepeated,
    /// Master has ended already.
    MasterDied,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Busy {
    deliveries: usize,
    messages: usize,
}

/// Waits until master can be stopped without interrupting work, but no longer than `grace_period`.
pub fn drain(master: Pid, signals: &Inbox, pump: &Pump, grace_period: Duration) {
    if grace_period.is_zero() {
        return;
    }
    // A master that was only just started has nothing to drain, and SIGHUP would kill it.
    if !processes::catches(master, Kill::HUP) {
        return;
    }
    log::info(format_args!(
        "draining: turning new connections away, and giving work in progress {} s to finish",
        grace_period.as_secs()
    ));
    let deadline = Instant::now() + grace_period;
    let outcome = match begin(master) {
        Ok(()) => wait_for_work(master, signals, deadline),
        Err(error) => {
            log::warning(format_args!(
                "{error:#}; stopping without waiting for deliveries in progress"
            ));
            return;
        }
    };
    match outcome {
        Outcome::Finished => {}
        Outcome::MasterDied => return,
        Outcome::StopRepeated => log::warning("second stop signal: interrupting work in progress"),
        Outcome::TooLate(busy) => log::warning(format_args!(
            "DRAIN_SECONDS is over: interrupting {} and {}; they stay queued, here or at the client, \
             and may arrive twice",
            log::counted(busy.deliveries, "delivery", "deliveries"),
            log::counted(busy.messages, "incoming message", "incoming messages")
        )),
    }
    if !pump.catch_up(LOG_TIMEOUT) {
        log::warning("Postfix's log did not catch up in time; its last lines may be missing");
    }
}

fn begin(master: Pid) -> anyhow::Result<()> {
    let master_cf = fs::read_to_string(MASTER_CF)?;
    files::write_atomically(Path::new(MASTER_CF), draining(&master_cf).as_bytes(), 0o644)?;
    send(master, Kill::HUP);
    Ok(())
}

fn wait_for_work(master: Pid, signals: &Inbox, deadline: Instant) -> Outcome {
    let reload_deadline = (Instant::now() + RELOAD_TIMEOUT).min(deadline);
    let mut work = Work::default();
    loop {
        let children = processes::children(master);
        work.update(&children, Instant::now() >= reload_deadline);
        match work.remaining() {
            Some(busy) if busy == Busy::default() => {
                signals.wait(LAST_REPLY);
                return Outcome::Finished;
            }
            remaining if Instant::now() >= deadline => {
                return Outcome::TooLate(remaining.unwrap_or_default());
            }
            _ => {}
        }
        if signals.wait(POLL) == Some(Signal::Stop) {
            return Outcome::StopRepeated;
        }
        if reap(master).master.is_some() {
            return Outcome::MasterDied;
        }
    }
}

/// What has to finish before master may end.
#[derive(Debug, Default)]
struct Work {
    /// The deliveries that ran right after the reload; a later process is never given one. `None` until
    /// master has reloaded.
    deliveries: Option<BTreeSet<u32>>,
    /// A session that was open at the reload goes on and may send its next message, and notifications
    /// are queued as well. So any cleanup may have a message in hand, whenever it was started and
    /// whether the one that it works for is still there or not.
    messages: usize,
}

impl Work {
    /// Takes the processes that exist now. `give_up` ends the wait for a queue manager that stays.
    fn update(&mut self, children: &[Process], give_up: bool) {
        let of = |name: &str| -> BTreeSet<u32> {
            children.iter().filter(|child| child.name == name).map(|child| child.pid).collect()
        };
        let now = of(DELIVERY);
        match &mut self.deliveries {
            None if of(QUEUE_MANAGER).is_empty() || give_up => self.deliveries = Some(now),
            None => {}
            Some(deliveries) => deliveries.retain(|pid| now.contains(pid)),
        }
        self.messages = of(RECEPTION).len();
    }

    /// The work still in progress; `None` until master has reloaded.
    fn remaining(&self) -> Option<Busy> {
        let deliveries = self.deliveries.as_ref()?.len();
        Some(Busy { deliveries, messages: self.messages })
    }
}

/// master.cf for the drain. Works on any text, because POSTFIXMASTER_ variables set parts of it.
fn draining(master_cf: &str) -> String {
    let mut text = String::new();
    let mut options: &[&str] = &[];
    let mut is_left_out = false;
    for line in master_cf.lines() {
        let is_continued = line.starts_with([' ', '\t']);
        let is_comment = line.trim_start().starts_with('#') || line.trim().is_empty();
        if !is_continued && !is_comment {
            push_options(&mut text, options);
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (kind, program) = (fields.get(1).copied(), fields.get(7).copied());
            is_left_out = program == Some(QUEUE_MANAGER);
            options = match (kind, program) {
                (Some("inet" | "unix"), Some("smtpd")) => TURN_AWAY,
                (_, Some(DELIVERY | RECEPTION)) => LEAVE_SOON,
                _ => &[],
            };
        }
        if !is_left_out && !is_comment {
            text.push_str(line);
            text.push('\n');
        }
    }
    push_options(&mut text, options);
    text
}

fn push_options(text: &mut String, options: &[&str]) {
    for option in options {
        text.push_str(&format!("    -o {option}\n"));
    }
}

#[cfg(test)]
mod tests;
