//! The end of the process: signals, and a drain with a deadline.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Docker kills after ten seconds where nobody says otherwise; a login in progress needs at most
/// six (the wait for a hashing thread).
pub const DRAIN: Duration = Duration::from_secs(8);

/// Who must know about the end, and whom to wait for.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the process is to end: stop accepting, finish what runs.
    pub stopping: CancellationToken,
    /// Every session and every accept loop.
    pub tasks: TaskTracker,
}

impl Shutdown {
    /// Waits for SIGTERM or SIGINT. SIGHUP is ignored: there is nothing to load anew.
    ///
    /// # Errors
    ///
    /// When signal handlers cannot be installed.
    pub async fn signalled(&self) -> io::Result<&'static str> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok("SIGTERM"),
                _ = interrupt.recv() => return Ok("SIGINT"),
                _ = hangup.recv() => tracing::info!("SIGHUP ignored: settings are read at start"),
            }
        }
    }

    /// Stops accepting and waits for what runs. False when the deadline came first.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.stopping.cancel();
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_sessions_and_gives_up_at_the_deadline() {
        let shutdown = Shutdown::default();
        let stopping = shutdown.stopping.clone();
        shutdown.tasks.spawn(async move { stopping.cancelled().await });
        assert!(shutdown.drain(Duration::from_secs(5)).await);

        let shutdown = Shutdown::default();
        shutdown.tasks.spawn(std::future::pending::<()>());
        assert!(!shutdown.drain(Duration::from_millis(20)).await);
    }
}
