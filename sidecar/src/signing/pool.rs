//! The threads that sign. An RSA signature takes half a millisecond of a core, in which a runtime
//! thread would answer twenty policy requests; so they run here, and at a lower priority.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use thiserror::Error;
use tokio::sync::oneshot;

use super::keyring::ReadyKey;
use crate::dkim::fields::{SignedFields, TooMuchHeader};
use crate::dkim::signature::{Statement, sign};
use crate::dkim::signer::SigningError;

/// Signatures that may wait. Postfix has at most a few hundred messages open at a time.
const MAX_QUEUE: usize = 2_048;
/// The threads' nice value, that of the threads which hash passwords.
const NICE: i32 = 10;

/// A message that is to be signed.
#[derive(Debug)]
pub struct Task {
    pub keys: Vec<Arc<ReadyKey>>,
    pub fields: SignedFields,
    pub body_hash: [u8; 32],
    /// Seconds since 1970.
    pub now: u64,
}

#[derive(Debug, Error)]
pub enum PoolError {
    #[error("{MAX_QUEUE} messages are waiting for a signature")]
    Overloaded,
    #[error("a thread ended while it was signing")]
    Ended,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Header(#[from] TooMuchHeader),
}

type Answer = Result<Vec<String>, PoolError>;

struct Job {
    task: Task,
    answer: oneshot::Sender<Answer>,
}

/// A handle to the threads, which end when the last one is dropped.
#[derive(Clone)]
pub struct SigningPool(SyncSender<Job>);

impl std::fmt::Debug for SigningPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningPool").finish_non_exhaustive()
    }
}

impl SigningPool {
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(MAX_QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name(format!("signing-{number}")).spawn(move || {
                // Should it fail, latencies only become less even.
                let _unneeded = rustix::process::setpriority_process(None, NICE);
                while let Some(job) = next(&waiting) {
                    work(job);
                }
            })?;
        }
        Ok(Self(queue))
    }

    /// The values of the DKIM-Signature fields, one for each key.
    pub async fn sign(&self, task: Task) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { task, answer }).map_err(|error| match error {
            TrySendError::Full(_) => PoolError::Overloaded,
            TrySendError::Disconnected(_) => PoolError::Ended,
        })?;
        answered.await.unwrap_or(Err(PoolError::Ended))
    }
}

fn next(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn work(job: Job) {
    // The client is gone: save the work.
    if job.answer.is_closed() {
        return;
    }
    let done = catch_unwind(AssertUnwindSafe(|| run(&job.task)));
    // A receiver that went away in the meantime needs no answer.
    drop(job.answer.send(done.unwrap_or(Err(PoolError::Ended))));
}

fn run(task: &Task) -> Answer {
    let fields = task.fields.in_signing_order()?;
    let signatures = task.keys.iter().map(|key| {
        let statement = Statement {
            domain: &key.domain,
            selector: &key.selector,
            fields: &fields,
            body_hash: &task.body_hash,
            now: task.now,
        };
        Ok(sign(&statement, &key.signer)?)
    });
    signatures.collect()
}
