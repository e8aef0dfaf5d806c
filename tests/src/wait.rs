//! Waits for a condition, with a deadline and a name for what did not happen.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a container or a delivery may take on a machine that is busy with other tests.
pub const A_WHILE: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(5);
/// Where it is measured how soon something serves.
pub const GLANCE: Duration = Duration::from_micros(300);

/// Asks again and again until `probe` has a value.
pub fn until<T>(what: &str, within: Duration, probe: impl FnMut() -> Option<T>) -> Result<T> {
    until_every(POLL, what, within, probe)
}

/// The same with a pause of another length, such as [`GLANCE`].
pub fn until_every<T>(
    pause: Duration,
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} in vain for {what}");
        }
        sleep(pause);
    }
}

/// Waits as Postfix does, with poll(2), until there is something to read.
///
/// A thread that sleeps in read(2) itself is woken by its peer's read, too, because that makes room to write
/// (`unix_write_space` in Linux). The peer pays for that, which matters where its CPU time is measured.
pub fn readable(socket: impl AsFd, within: Duration) -> Result<()> {
    let mut wanted = [PollFd::new(&socket, PollFlags::IN)];
    let ready = poll(&mut wanted, Some(&Timespec::try_from(within)?))?;
    ensure!(ready > 0, "no answer within {within:?}");
    Ok(())
}

/// What is left until `deadline`, never zero: a socket's timeout of zero would mean none.
#[must_use]
pub fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
