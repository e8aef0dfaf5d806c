//! Signals as values that can be waited for.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT or SIGQUIT: end.
    Stop,
    /// SIGHUP: Postfix is to read its files and certificates again.
    Reload,
    /// SIGCHLD: some process ended.
    Child,
}

/// The signals of this process, from the moment it is made.
#[derive(Debug)]
pub struct Inbox(Receiver<Signal>);

impl Inbox {
    /// Takes over the signals. PID 1 is deaf to those it does not take over.
    pub fn open() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD])?;
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                let signal = match number {
                    SIGCHLD => Signal::Child,
                    SIGHUP => Signal::Reload,
                    _ => Signal::Stop,
                };
                if sender.send(signal).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// The next signal, or `None` when none came in time.
    pub fn wait(&self, at_most: Duration) -> Option<Signal> {
        // The thread that sends lives as long as the process, so an error is the end of the time.
        self.0.recv_timeout(at_most).ok()
    }
}
