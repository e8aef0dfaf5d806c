//! Receives signals as values.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT or SIGQUIT.
    Stop,
    /// SIGHUP: reload Postfix, with its files and certificates.
    Reload,
    /// SIGCHLD: a process has ended.
    Child,
}

/// The signals sent to this process since the inbox was opened.
#[derive(Debug)]
pub struct Inbox(Receiver<Signal>);

impl Inbox {
    /// Starts receiving signals. PID 1 ignores every signal that it does not handle.
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

    /// Waits for the next signal; `None` after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<Signal> {
        // The sending thread lives as long as the process, so the only error is the timeout.
        self.0.recv_timeout(timeout).ok()
    }
}
