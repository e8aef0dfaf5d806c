//! relay-init's children: Postfix's master, and every orphan of the container.

use std::io;
use std::process::Command;

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, wait,
};

use crate::log;

/// What [`reap`] found.
#[derive(Debug, Default)]
pub struct Reaped {
    /// How master ended, if it did.
    pub master: Option<WaitStatus>,
    /// No child is left, not even an adopted one.
    pub none_left: bool,
}

/// Makes this process the parent of all orphans below it. PID 1 is that anyway.
pub fn adopt_orphans() -> io::Result<()> {
    if !getpid().is_init() {
        set_child_subreaper(Some(getpid()))?;
    }
    Ok(())
}

/// Starts a program whose end [`reap`] will report.
pub fn spawn(command: &mut Command) -> io::Result<Pid> {
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the kernel returned no process id"))
}

/// Sends a signal to master.
pub fn send(master: Pid, signal: Signal) {
    if let Err(error) = kill_process(master, signal) {
        log::warning(format_args!("cannot signal Postfix's master: {error}"));
    }
}

/// Reaps every child that has ended, our own or adopted.
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
