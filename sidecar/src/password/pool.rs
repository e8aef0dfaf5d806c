//! The hashing pool: a fixed number of threads, each with its own memory, and a bounded queue.
//!
//! argon2id takes 19 MiB and 25 ms of a core. Postfix can ask for two hundred at a time; without a
//! bound that would be gigabytes, and no thread left for anything else. What has waited too long
//! is not computed at all, because its client is no longer there to hear of it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::oneshot;

use super::{Arena, Cost, HashError, Password};
use crate::metrics::Metrics;

/// Postfix gives up after 10 s (`AUTH_TIMEOUT` in xsasl_dovecot_server.c). After 6 s in the queue
/// the client is told to come back, while there is still somebody to tell.
pub const MAX_WAIT: Duration = Duration::from_secs(6);
/// More waiting passwords than any pool can work off in [`MAX_WAIT`].
const MAX_QUEUE: usize = 1024;

/// A thread without work gives its 19 MiB back after this long; getting them again costs the next
/// login two milliseconds.
const KEEP_ARENA: Duration = Duration::from_secs(5);

/// The threads' nice value, of 19.
const NICE: i32 = 10;

#[derive(Debug, Error)]
pub enum PoolError {
    #[error("too many logins at once: {MAX_QUEUE} wait, or one waited more than 6 s")]
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
    metrics: Metrics,
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
    Verify { phc: String },
    Hash { cost: Cost },
}

#[derive(Debug)]
enum Done {
    Verified(bool),
    Hashed(String),
}

impl HashingPool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(threads: usize, metrics: &Metrics) -> std::io::Result<Self> {
        Self::with_threads(threads.max(1), metrics)
    }

    fn with_threads(threads: usize, metrics: &Metrics) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), metrics: metrics.clone() });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(Self { _open: Arc::new(CloseOnDrop(Arc::clone(&shared))), shared })
    }

    /// Whether this is the password of this PHC string.
    pub async fn verify(&self, password: Password, phc: String) -> Result<bool, PoolError> {
        match self.submit(password, Work::Verify { phc }).await? {
            Done::Verified(matches) => Ok(matches),
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
        self.metrics.hashing_queue(queue.jobs.len());
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    fn next(&self, arena: &mut Arena) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                self.metrics.hashing_queue(queue.jobs.len());
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
        // Whoever need not be hashed, and Postfix, goes first. Lowering one's own priority is
        // always allowed; should it fail all the same, logins only get less even.
        let _unneeded = rustix::process::setpriority_process(None, NICE);
        let mut arena = Arena::default();
        while let Some(job) = self.next(&mut arena) {
            let waited = job.queued.elapsed();
            self.metrics.hashing_waited(waited);
            // The client is gone, or Postfix has given up on us: save the work.
            if waited >= MAX_WAIT || job.answer.is_closed() {
                continue;
            }
            let done = catch_unwind(AssertUnwindSafe(|| job.work.run(&job.password, &mut arena)));
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
            Self::Verify { phc } => super::verify(password, phc, arena).map(Done::Verified),
            Self::Hash { cost } => super::hash(password, *cost, arena).map(Done::Hashed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn password(text: &str) -> Password {
        Password::choose(text.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn many_logins_at_once_are_all_answered() {
        let pool = HashingPool::start(2, &Metrics::new().unwrap()).unwrap();
        let phc = pool.hash(password("right"), CHEAP).await.unwrap();
        let mut tasks = Vec::new();
        for number in 0..200 {
            let (pool, phc) = (pool.clone(), phc.clone());
            let text = if number % 2 == 0 { "right" } else { "wrong" };
            tasks.push(tokio::spawn(async move { pool.verify(password(text), phc).await }));
        }
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap().unwrap(), number % 2 == 0);
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_overload_and_not_a_wrong_password() {
        // Nobody works, so the queue only fills.
        let pool = HashingPool::with_threads(0, &Metrics::new().unwrap()).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..MAX_QUEUE {
            let (answer, answered) = oneshot::channel();
            waiting.push(answered);
            let (password, work) = (password("x"), Work::Hash { cost: CHEAP });
            pool.shared.push(Job { password, work, queued: Instant::now(), answer }).unwrap();
        }
        let one_more = pool.hash(password("x"), CHEAP).await;
        assert!(matches!(one_more, Err(PoolError::Overloaded)), "{one_more:?}");
    }

    #[tokio::test]
    async fn what_waited_too_long_is_not_computed() {
        let pool = HashingPool::start(1, &Metrics::new().unwrap()).unwrap();
        let (answer, answered) = oneshot::channel();
        let long_ago = Instant::now().checked_sub(MAX_WAIT).unwrap();
        let work = Work::Hash { cost: CHEAP };
        pool.shared.push(Job { password: password("x"), work, queued: long_ago, answer }).unwrap();
        assert!(answered.await.is_err());
    }
}
