//! Waits for a condition, with a deadline and a name for what did not happen.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a container or a delivery may take on a machine that is busy with other tests.
pub const A_WHILE: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(5);

/// Asks again and again until `probe` has a value.
pub fn until<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} in vain for {what}");
        }
        sleep(POLL);
    }
}

/// What is left until `deadline`, never zero: a socket's timeout of zero would mean none.
#[must_use]
pub fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
