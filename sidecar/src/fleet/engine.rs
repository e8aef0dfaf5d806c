//! Changes of records, by compare-and-set in the engine.

use std::future::Future;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::runtime::{Handle, Runtime};
use zeroize::Zeroizing;

use super::buckets::{Bucket, OPERATION};
use super::jetstream::{self, Stored, Trouble, Writing};
use super::link::Link;
use crate::config::FleetConfig;
use crate::store::shared::{Change, Engine, EngineError, Kind, Record};

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
    let found = jetstream::newest(&link.client, &bucket.stream(), &bucket.subject(key)).await;
    let found = found.map_err(|trouble| EngineError::Away(trouble.to_string()))?;
    let Some(Stored { seq, data, hdrs }) = found else { return Ok(None) };
    let strange = |error: base64::DecodeError| EngineError::Away(error.to_string());
    let headers = BASE64_STANDARD.decode(hdrs).map_err(strange)?;
    let is_removed = String::from_utf8_lossy(&headers).contains(OPERATION);
    let value = match is_removed {
        true => None,
        false => Some(Zeroizing::new(BASE64_STANDARD.decode(data).map_err(strange)?)),
    };
    Ok(Some(Record { key: key.to_owned(), value, revision: seq }))
}

/// Writes all at once, and waits for what the engine says to each.
pub async fn write(link: &Link, changes: &[Change]) -> Vec<Result<u64, EngineError>> {
    if let Err(error) = check_connected(link) {
        return vec![Err(error); changes.len()];
    }
    let mut sent = Vec::new();
    for change in changes {
        let client = link.client.clone();
        let Change { kind, key, value, expected } = change;
        let writing = Writing {
            subject: Bucket::Records(*kind).subject(key),
            payload: value.as_ref().map(|value| value.to_vec()).unwrap_or_default(),
            header: value.is_none().then_some((OPERATION, "DEL")),
            expected: Some(*expected),
        };
        sent.push(tokio::spawn(async move { jetstream::write(&client, writing).await }));
    }
    let mut written = Vec::new();
    for sent in sent {
        written.push(match sent.await {
            Ok(answer) => answer.map_err(what_became_of_it),
            Err(error) => Err(EngineError::Unsure(error.to_string())),
        });
    }
    written
}

/// A message that is sent without a connection waits for one, and nobody would know what became of it.
fn check_connected(link: &Link) -> Result<(), EngineError> {
    if link.is_connected() {
        return Ok(());
    }
    Err(EngineError::Away("there is no connection to it".to_owned()))
}

fn what_became_of_it(trouble: Trouble) -> EngineError {
    if trouble.is_wrong_revision() {
        return EngineError::Meanwhile;
    }
    match trouble {
        Trouble::Away(text) => EngineError::Away(text),
        Trouble::NoAnswer(text) => EngineError::Unsure(text),
        refused @ Trouble::Refused { .. } => EngineError::Refused(refused.to_string()),
    }
}
