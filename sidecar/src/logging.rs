//! The log: lines on standard output, as text or JSON.
//!
//! A thread of its own writes them. Nobody waits for standard output, which stands still when
//! nobody reads it: lines that do not fit into the queue are dropped and counted.

use std::io::{self, BufWriter};
use std::time::Duration;

use prometheus::IntCounter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::metrics::Registry;

/// Lines that may wait; about 4 MiB.
const QUEUE: usize = 16_384;
/// As much is written at once while lines are waiting.
const BATCH: usize = 32 * 1024;
/// How long lines are gathered after a write, so that a busy relay writes a few times a second and
/// not once for every line: a wake-up and a write cost more than the line itself, here and in
/// whatever reads the log. The first line after a pause is written at once.
const GATHER: Duration = Duration::from_millis(20);
/// How often dropped lines are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: tracing::Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The log while the process runs. Dropping it writes what is still waiting.
#[derive(Debug)]
pub struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

/// Sets up the process's log. Called once, before anything is logged.
pub fn start(config: LogConfig) -> Log {
    let (writer, guard) = writer(io::stdout());
    let dropped = writer.error_counter();
    let base = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(writer);
    // What the fleet's engine does is told in our own words; the client's would double it.
    let targets =
        Targets::new().with_default(config.level).with_target("async_nats", tracing::Level::ERROR);
    match config.format {
        LogFormat::Text => base.finish().with(targets).init(),
        LogFormat::Json => {
            let json = base.json().flatten_event(true).with_current_span(false);
            json.finish().with(targets).init();
        }
    }
    Log { dropped, _writer: guard }
}

fn writer(output: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE)
        .lossy(true)
        .thread_name("log")
        .finish(Gathering(BufWriter::with_capacity(BATCH, output)))
}

/// A writer that pauses after each flush. It is flushed whenever no line is waiting, and by then
/// others are.
struct Gathering<W: io::Write>(BufWriter<W>);

impl<W: io::Write> io::Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        std::thread::sleep(GATHER);
        flushed
    }
}

impl Log {
    /// Counts the lines that were dropped.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn metric(registry: &Registry) -> prometheus::Result<IntCounter> {
        let help = "Log lines dropped because nobody reads standard output";
        registry.counter("relay_log_lines_dropped_total", help)
    }

    /// A watch over dropped lines, for as long as the process runs.
    pub fn watch(&self, metric: IntCounter) -> impl Future<Output = ()> + use<> {
        let dropped = self.dropped.clone();
        async move {
            let mut counted = 0;
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let new = dropped.dropped_lines().saturating_sub(counted);
                if new > 0 {
                    counted += new;
                    metric.inc_by(new as u64);
                    tracing::warn!(
                        lines = new,
                        "log lines were dropped: nobody reads standard output"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    /// Standard output that takes nothing until it is told to.
    struct Stalled(mpsc::Receiver<()>, mpsc::Sender<usize>);

    impl io::Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            self.1.send(bytes.len()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_an_output_that_stands_still_and_lines_go_out_together() {
        let (go_on, stalled) = mpsc::channel();
        let (written, sizes) = mpsc::channel();
        let (mut writer, guard) = writer(Stalled(stalled, written));
        let started = Instant::now();
        for _ in 0..2 * QUEUE {
            writer.write_all(b"a line of the log\n").unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(writer.error_counter().dropped_lines() > 0);
        drop(go_on);
        drop((writer, guard));
        assert!(sizes.iter().any(|size| size > 1_000), "one write for each line");
    }
}
