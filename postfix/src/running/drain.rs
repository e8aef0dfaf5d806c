//! The drain: a stop that lets finish what runs, so that nothing is delivered twice.
//!
//! SIGTERM makes master kill everything in the same instant. A next hop that has the whole message
//! but has not answered yet gets it again after the restart. So before that:
//!
//! 1. master.cf is written anew and master reloads, which ends idle processes and lets busy ones
//!    finish. There is no queue manager in it, so no delivery begins; its ports answer 421.
//! 2. The deliveries and incoming messages that run then are waited for.
//! 3. The log is waited for: postlogd dies with master, and with it whatever it has not yet read.
//!
//! What does not work: taking the ports out of master.cf, or `master_service_disable`, makes master
//! kill the sessions behind them; deferring transports writes a delay on each message in the queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as Kill};

use crate::maillog::pump::Pump;
use crate::running::processes::{self, Process};
use crate::running::signals::{Inbox, Signal};
use crate::running::start::MASTER_CF;
use crate::running::supervise::{reap, send};
use crate::{files, log};

/// How often the processes are looked at.
const POLL: Duration = Duration::from_millis(20);
/// The process that takes a message ends just before its client is told, and that takes this long.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// postlogd needs milliseconds for its lines, unless the disk or the machine stands still.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// A reload takes milliseconds, too.
const RELOAD_PATIENCE: Duration = Duration::from_secs(5);

/// The program that hands out deliveries.
const QUEUE_MANAGER: &str = "qmgr";
/// One process of these for each delivery that runs.
const DELIVERY: &str = "smtp";
/// One for each message that is being received.
const RECEPTION: &str = "cleanup";

/// What clients are told meanwhile; each smtpd takes the last value it is given.
const TURN_AWAY: &[&str] = &[
    "smtpd_delay_reject=no",
    "{ smtpd_client_restrictions = check_client_access static:{421 4.3.2 Service is stopping, come \
     back in a minute} }",
    // A sidecar that is stopping, too, must not delay this.
    "smtpd_milters=",
    "smtpd_sasl_auth_enable=no",
];
/// A process that was started in the moment of the reload, for nothing, is not waited for long.
const LEAVE_SOON: &[&str] = &["max_idle=1s"];

/// What ended the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Finished,
    /// Time is up; so many deliveries and messages still run.
    TooLate(Busy),
    AskedAgain,
    /// Master is gone already.
    MasterDied,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Busy {
    deliveries: usize,
    messages: usize,
}

/// Waits until master can be stopped without cutting anything off, but never longer than asked.
pub fn drain(master: Pid, signals: &Inbox, pump: &Pump, patience: Duration) {
    if patience.is_zero() {
        return;
    }
    // A master that has only just been started has nothing to drain, and SIGHUP would kill it.
    if !processes::catches(master, Kill::HUP) {
        return;
    }
    log::info(format_args!(
        "stopping: new connections are turned away, and what runs may finish within {} s",
        patience.as_secs()
    ));
    let deadline = Instant::now() + patience;
    let outcome = match begin(master) {
        Ok(()) => wait_for_work(master, signals, deadline),
        Err(error) => {
            log::warning(format_args!("{error:#}; stopping without waiting for deliveries"));
            return;
        }
    };
    match outcome {
        Outcome::Finished => {}
        Outcome::MasterDied => return,
        Outcome::AskedAgain => log::warning("asked to stop again: what still runs is cut off"),
        Outcome::TooLate(busy) => log::warning(format_args!(
            "{} deliveries and {} incoming messages did not finish within DRAIN_SECONDS and are cut \
             off; they stay queued, or are sent again by their client, and may arrive twice",
            busy.deliveries, busy.messages
        )),
    }
    if !pump.catch_up(LOG_PATIENCE) {
        log::warning("Postfix's log did not catch up; its last lines may be missing");
    }
}

fn begin(master: Pid) -> anyhow::Result<()> {
    let master_cf = fs::read_to_string(MASTER_CF)?;
    files::write_atomically(Path::new(MASTER_CF), draining(&master_cf).as_bytes(), 0o644)?;
    send(master, Kill::HUP);
    Ok(())
}

fn wait_for_work(master: Pid, signals: &Inbox, deadline: Instant) -> Outcome {
    let reload_deadline = (Instant::now() + RELOAD_PATIENCE).min(deadline);
    let mut work = Work::default();
    loop {
        let children = processes::children(master);
        work.look(&children, Instant::now() >= reload_deadline);
        match work.remaining() {
            Some(busy) if busy == Busy::default() => {
                signals.wait(LAST_WORDS);
                return Outcome::Finished;
            }
            remaining if Instant::now() >= deadline => {
                return Outcome::TooLate(remaining.unwrap_or_default());
            }
            _ => {}
        }
        if signals.wait(POLL) == Some(Signal::Stop) {
            return Outcome::AskedAgain;
        }
        if reap(master).master.is_some() {
            return Outcome::MasterDied;
        }
    }
}

/// The processes that had work when the reload had happened; nobody gives work to later ones.
#[derive(Debug, Default)]
struct Work {
    busy: Option<[BTreeSet<u32>; 2]>,
}

impl Work {
    /// `give_up` is for a queue manager that does not go.
    fn look(&mut self, children: &[Process], give_up: bool) {
        let of = |name: &str| -> BTreeSet<u32> {
            children.iter().filter(|child| child.name == name).map(|child| child.pid).collect()
        };
        let now = [of(DELIVERY), of(RECEPTION)];
        match &mut self.busy {
            None if of(QUEUE_MANAGER).is_empty() || give_up => self.busy = Some(now),
            None => {}
            Some(busy) => {
                for (busy, now) in busy.iter_mut().zip(&now) {
                    busy.retain(|pid| now.contains(pid));
                }
            }
        }
    }

    /// `None` while master has not reloaded.
    fn remaining(&self) -> Option<Busy> {
        let [deliveries, messages] = self.busy.as_ref()?;
        Some(Busy { deliveries: deliveries.len(), messages: messages.len() })
    }
}

/// A master.cf for the time of the drain. Works on any text, because operators may set parts of it.
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
                (Some("inet"), Some("smtpd")) => TURN_AWAY,
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
mod tests {
    use super::*;

    #[test]
    fn ports_turn_clients_away_and_no_delivery_begins() {
        let text = draining(
            "# comment\n25 inet n - n - - smtpd\n465 inet n - n - - smtpd\n    -o a=b\n# more\n    -o \
             c=d\nqmgr unix n - n 300 1 qmgr\n    -o e=f\nsmtp unix - - n - - smtp\nshowq unix n - n \
             - - showq\n26 inet n - n - - other",
        );
        let away: String = TURN_AWAY.iter().map(|option| format!("    -o {option}\n")).collect();
        assert_eq!(
            text,
            format!(
                "25 inet n - n - - smtpd\n{away}465 inet n - n - - smtpd\n    -o a=b\n    -o c=d\n\
                 {away}smtp unix - - n - - smtp\n    -o max_idle=1s\nshowq unix n - n - - showq\n26 \
                 inet n - n - - other\n"
            )
        );
    }

    fn processes(list: &[(u32, &str)]) -> Vec<Process> {
        list.iter().map(|(pid, name)| Process { pid: *pid, name: (*name).to_owned() }).collect()
    }

    #[test]
    fn what_ran_at_the_reload_is_waited_for_and_nothing_later() {
        let mut work = Work::default();
        for (children, expected) in [
            (vec![(1, "qmgr"), (2, "smtp"), (3, "smtp"), (4, "cleanup"), (9, "smtpd")], None),
            // The reload has happened: what had nothing to do is gone.
            (vec![(2, "smtp"), (4, "cleanup"), (9, "smtpd")], Some((1, 1))),
            (vec![(2, "smtp"), (5, "cleanup"), (6, "smtp")], Some((1, 0))),
            (vec![(5, "cleanup"), (6, "smtp"), (9, "smtpd")], Some((0, 0))),
        ] {
            work.look(&processes(&children), false);
            let expected = expected.map(|(deliveries, messages)| Busy { deliveries, messages });
            assert_eq!(work.remaining(), expected, "{children:?}");
        }
    }

    #[test]
    fn a_queue_manager_that_does_not_go_is_not_waited_for_for_ever() {
        let mut work = Work::default();
        work.look(&processes(&[(1, "qmgr"), (2, "smtp")]), true);
        assert_eq!(work.remaining(), Some(Busy { deliveries: 1, messages: 0 }));
    }
}
