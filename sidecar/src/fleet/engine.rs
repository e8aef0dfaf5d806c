//! Changes of records, by compare-and-set in the engine.

use std::future::Future;
use std::sync::OnceLock;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use tokio::runtime::{Handle, Runtime};
use zeroize::Zeroizing;

use super::buckets::Bucket;
use super::link::{Link, in_full};
use crate::config::FleetConfig;
use crate::store::shared::{Change, Engine, EngineError, Kind, Record};

/// Says in a message that the key was removed, as NATS's tools do.
pub const OPERATION: &str = "KV-Operation";

/// The engine for threads that may wait: those of the blocking pool, and commands.
#[derive(Debug)]
pub struct NatsEngine(Access);

#[derive(Debug)]
enum Access {
    /// In the daemon.
    Shared(Handle, Link),
    /// In a command, which connects when it has something to change.
    Own { config: Box<FleetConfig>, connected: OnceLock<Result<(Runtime, Link), String>> },
}

impl NatsEngine {
    pub fn of_daemon(handle: Handle, link: Link) -> Self {
        Self(Access::Shared(handle, link))
    }

    pub fn of_command(config: FleetConfig) -> Self {
        Self(Access::Own { config: Box::new(config), connected: OnceLock::new() })
    }

    /// Runs what waits for the network on the runtime that has the connection.
    ///
    /// # Errors
    ///
    /// When a command has no connection.
    pub fn run<T: Send, F: Future<Output = T> + Send>(
        &self,
        work: impl FnOnce(Link) -> F + Send,
    ) -> Result<T, EngineError> {
        match &self.0 {
            Access::Shared(handle, link) => Ok(handle.block_on(work(link.clone()))),
            Access::Own { config, connected } => {
                match connected.get_or_init(|| on_a_free_thread(|| connect(config))) {
                    Ok((runtime, link)) => {
                        Ok(on_a_free_thread(|| runtime.block_on(work(link.clone()))))
                    }
                    Err(error) => Err(EngineError::Away(error.clone())),
                }
            }
        }
    }
}

/// A command may be on a runtime of its own, which cannot wait for another one.
fn on_a_free_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Handle::try_current().is_err() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn connect(config: &FleetConfig) -> Result<(Runtime, Link), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let link = runtime.block_on(Link::now(config))?;
    Ok((runtime, link))
}

impl Engine for NatsEngine {
    fn newest(&self, kind: Kind, key: &[u8]) -> Result<Option<Record>, EngineError> {
        self.run(|link| async move { newest(&link, kind, key).await })?
    }

    fn write(&self, changes: &[Change]) -> Vec<Result<u64, EngineError>> {
        let written = self.run(|link| async move { write(&link, changes).await });
        written.unwrap_or_else(|error| vec![Err(error); changes.len()])
    }
}

/// The newest version of a record, from the one server that decides about it.
///
/// # Errors
///
/// When the engine does not answer.
pub async fn newest(link: &Link, kind: Kind, key: &[u8]) -> Result<Option<Record>, EngineError> {
    check_connected(link)?;
    let bucket = Bucket::Records(kind);
    let stream = link.jetstream.get_stream_no_info(bucket.stream()).await;
    let stream = stream.map_err(|error| EngineError::Away(in_full(&error)))?;
    match stream.get_last_raw_message_by_subject(&bucket.subject(key)).await {
        Ok(found) => {
            let is_removed = found.headers.get(OPERATION).is_some();
            let value = (!is_removed).then(|| Zeroizing::new(found.payload.to_vec()));
            Ok(Some(Record { key: key.to_owned(), value, revision: found.sequence }))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(EngineError::Away(in_full(&error))),
    }
}

/// Writes all at once, and waits for what the engine says to each.
pub async fn write(link: &Link, changes: &[Change]) -> Vec<Result<u64, EngineError>> {
    if let Err(error) = check_connected(link) {
        return vec![Err(error); changes.len()];
    }
    let mut sent = Vec::new();
    for change in changes {
        sent.push(send(link, change).await);
    }
    let mut written = Vec::new();
    for sent in sent {
        let answer = match sent {
            Ok(answer) => answer.await.map(|answer| answer.sequence),
            Err(error) => Err(error),
        };
        written.push(answer.map_err(|error| what_became_of_it(&error)));
    }
    written
}

async fn send(link: &Link, change: &Change) -> Result<PublishAckFuture, PublishError> {
    let message = PublishMessage::build().expected_last_subject_sequence(change.expected);
    let message = match &change.value {
        Some(value) => message.payload(value.to_vec().into()),
        None => message.header(OPERATION, "DEL"),
    };
    let subject = Bucket::Records(change.kind).subject(&change.key);
    link.jetstream.send_publish(subject, message).await
}

/// A message that is sent without a connection waits for one, and nobody would know what became of it.
fn check_connected(link: &Link) -> Result<(), EngineError> {
    if link.is_connected() {
        return Ok(());
    }
    Err(EngineError::Away("there is no connection to it".to_owned()))
}

fn what_became_of_it(error: &PublishError) -> EngineError {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => EngineError::Meanwhile,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
            EngineError::Unsure(in_full(error))
        }
        PublishErrorKind::StreamNotFound => {
            EngineError::Away("no server of it can decide at the moment".to_owned())
        }
        _ => EngineError::Refused(in_full(error)),
    }
}
