//! Shutdown: signals, and a drain with a deadline.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Docker sends SIGKILL after ten seconds unless told otherwise. A login that still waits by then is
/// cut off, and its client tries again.
pub const DRAIN: Duration = Duration::from_secs(8);

/// Who is told to stop, and what is waited for.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled at shutdown: accept nothing new, and finish what is in progress.
    pub stopping: CancellationToken,
    /// Every session and every accept loop.
    pub tasks: TaskTracker,
}

impl Shutdown {
    /// Waits for SIGTERM or SIGINT. SIGHUP is ignored, since there is nothing to reload.
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

    /// Stops accepting and waits for open sessions. False if the deadline passes first.
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
