//! The hashing pool: a fixed number of threads, each with its own memory, and a bounded queue.
//!
//! argon2id takes 19 MiB and 25 ms of a core. Postfix can ask for two hundred at a time; without a
//! bound that would be gigabytes, and no thread left for anything else. A password that has waited
//! too long is not hashed at all, because its client is no longer there to hear the answer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Arena, Cost, HashError, Password};
use crate::metrics::{self, Durations, Registry};

/// Postfix gives up after 10 s (`AUTH_TIMEOUT` in xsasl_dovecot_server.c). After 6 s in the queue
/// the client is told to come back, while there is still somebody to tell.
pub const MAX_WAIT: Duration = Duration::from_secs(6);
/// More waiting passwords than any pool can get through in [`MAX_WAIT`].
const MAX_QUEUE: usize = 1024;

/// A thread without work gives its 19 MiB back after this long; getting them again costs the next
/// login two milliseconds.
const KEEP_ARENA: Duration = Duration::from_secs(5);

/// The threads' nice value, of 19.
const NICE: i32 = 10;

/// How busy the pool is.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    threads: IntGauge,
    busy: IntGauge,
    queue: IntGauge,
    wait: Durations<()>,
    refused: IntCounter,
}

impl PoolMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            threads: registry.gauge("relay_hashing_threads", "Threads that hash passwords")?,
            busy: registry
                .gauge("relay_hashing_threads_busy", "Hashing threads that compute a hash")?,
            refused: registry.counter(
                "relay_hashing_refused_total",
                "Passwords that found no hashing thread in time, so that the client was told to try \
                 again later",
            )?,
            queue: registry
                .gauge("relay_hashing_queue_length", "Passwords waiting for a hashing thread")?,
            wait: registry.durations(
                "relay_hashing_wait_seconds",
                "Time that a password waited for a hashing thread",
            )?,
        })
    }
}

#[derive(Debug, Error)]
pub enum PoolError {
    #[error("too many logins at once: {MAX_QUEUE} are waiting, or one waited for more than 6 s")]
    Overloaded,
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// A handle to the pool. Dropping the last one ends the threads.
#[derive(Debug, Clone)]
pub struct HashingPool {
    shared: Arc<Shared>,
    /// Counts the handles; the threads hold `shared` only.
    _open: Arc<CloseOnDrop>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    metrics: PoolMetrics,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Debug)]
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

#[derive(Debug)]
struct Job {
    password: Password,
    work: Work,
    queued: Instant,
    answer: oneshot::Sender<Result<Done, HashError>>,
}

#[derive(Debug)]
enum Work {
    Verify { hashes: Vec<String> },
    Hash { cost: Cost },
}

#[derive(Debug)]
enum Done {
    /// Which of the hashes it was, if any.
    Verified(Option<usize>),
    Hashed(String),
}

impl HashingPool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(threads: usize, metrics: &PoolMetrics) -> std::io::Result<Self> {
        Self::with_threads(threads.max(1), metrics)
    }

    fn with_threads(threads: usize, metrics: &PoolMetrics) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), metrics: metrics.clone() });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            metrics.threads.inc();
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(Self { _open: Arc::new(CloseOnDrop(Arc::clone(&shared))), shared })
    }

    /// Which of these hashes is this password's, if any: one place in the queue for all of them. A
    /// hash that cannot be verified is skipped, unless there is no other.
    pub async fn verify(
        &self,
        password: Password,
        hashes: Vec<String>,
    ) -> Result<Option<usize>, PoolError> {
        match self.submit(password, Work::Verify { hashes }).await? {
            Done::Verified(position) => Ok(position),
            Done::Hashed(_) => Err(HashError::Unreadable.into()),
        }
    }

    /// A new PHC string for this password.
    pub async fn hash(&self, password: Password, cost: Cost) -> Result<String, PoolError> {
        match self.submit(password, Work::Hash { cost }).await? {
            Done::Hashed(phc) => Ok(phc),
            Done::Verified(_) => Err(HashError::Unreadable.into()),
        }
    }

    async fn submit(&self, password: Password, work: Work) -> Result<Done, PoolError> {
        let done = self.queue(password, work).await;
        if matches!(done, Err(PoolError::Overloaded)) {
            self.shared.metrics.refused.inc();
        }
        done
    }

    async fn queue(&self, password: Password, work: Work) -> Result<Done, PoolError> {
        let (answer, answered) = oneshot::channel();
        self.shared.push(Job { password, work, queued: Instant::now(), answer })?;
        match tokio::time::timeout(MAX_WAIT, answered).await {
            Ok(Ok(done)) => Ok(done?),
            // The time is up, or the worker dropped the job for the same reason.
            Ok(Err(_)) | Err(_) => Err(PoolError::Overloaded),
        }
    }
}

impl Shared {
    /// A panic in argon2 poisons nothing that matters: the queue is whole whenever it is unlocked.
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), PoolError> {
        let mut queue = self.lock();
        if queue.jobs.len() >= MAX_QUEUE {
            return Err(PoolError::Overloaded);
        }
        queue.jobs.push_back(job);
        metrics::set(&self.metrics.queue, queue.jobs.len());
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    fn next(&self, arena: &mut Arena) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                metrics::set(&self.metrics.queue, queue.jobs.len());
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            let waited = self.changed.wait_timeout(queue, KEEP_ARENA);
            let (locked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = locked;
            if timeout.timed_out() {
                *arena = Arena::default();
            }
        }
    }

    fn work(&self) {
        // Postfix, and logins that need no hash, go first. Lowering one's own priority is always
        // allowed; should it fail all the same, latencies only become less even.
        let _unneeded = rustix::process::setpriority_process(None, NICE);
        let mut arena = Arena::default();
        while let Some(job) = self.next(&mut arena) {
            let waited = job.queued.elapsed();
            self.metrics.wait.observe((), waited);
            // The client is gone, or Postfix has given up on us: save the work.
            if waited >= MAX_WAIT || job.answer.is_closed() {
                continue;
            }
            self.metrics.busy.inc();
            let done = catch_unwind(AssertUnwindSafe(|| job.work.run(&job.password, &mut arena)));
            self.metrics.busy.dec();
            let Ok(done) = done else {
                arena = Arena::default();
                continue;
            };
            // A receiver that went away in the meantime needs no answer.
            drop(job.answer.send(done));
        }
    }
}

impl Work {
    fn run(&self, password: &Password, arena: &mut Arena) -> Result<Done, HashError> {
        match self {
            Self::Verify { hashes } => verify_any(password, hashes, arena).map(Done::Verified),
            Self::Hash { cost } => super::hash(password, *cost, arena).map(Done::Hashed),
        }
    }
}

fn verify_any(
    password: &Password,
    hashes: &[String],
    arena: &mut Arena,
) -> Result<Option<usize>, HashError> {
    let mut trouble = None;
    for (position, hash) in hashes.iter().enumerate() {
        match super::verify(password, hash, arena) {
            Ok(true) => return Ok(Some(position)),
            Ok(false) => {}
            Err(error) => trouble = Some(error),
        }
    }
    trouble.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests;
