//! Joining and leaving: no user is lost on the way.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::buckets::Bucket;
use super::engine::{newest, write};
use super::link::Link;
use crate::store::UserStore;
use crate::store::shared::{Change, Kind, Position, Record, name_of};

/// Records that are asked for or written side by side.
const AT_A_TIME: usize = 256;
/// Names that an error shows.
const SHOWN: usize = 10;
/// How long a relay that joins waits for the engine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before it asks again.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes the database a replica, if it is not one yet.
///
/// # Errors
///
/// In words, with the ways out: when the engine does not answer, or there are users or keys here that the fleet lacks.
pub async fn join(store: &UserStore, link: &Link) -> Result<(), String> {
    if is_replica(store)? {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    let reached = timeout_at(deadline, link.connected()).await;
    let mut answer = reached.map(drop).map_err(|_| "no server of it could be reached".to_owned());
    // A cluster that has just been started answers when it has elected a leader.
    while answer.is_ok() {
        match join_now(store, link).await {
            Ok(()) => return Ok(()),
            Err(NotJoined::Lacking(error)) => return Err(error),
            Err(NotJoined::NoAnswer(error)) if Instant::now() >= deadline => answer = Err(error),
            Err(NotJoined::NoAnswer(_)) => sleep(PAUSE).await,
        }
    }
    let error = answer.err().unwrap_or_default();
    Err(format!(
        "this relay has not joined its fleet yet, and the engine does not answer ({error}): check FLEET_URL, FLEET_CA and \
         FLEET_CREDENTIALS_FILE. A relay that has joined starts without the engine"
    ))
}

enum NotJoined {
    NoAnswer(String),
    /// There are users or keys here that the fleet lacks.
    Lacking(String),
}

async fn join_now(store: &UserStore, link: &Link) -> Result<(), NotJoined> {
    let mut missing = Vec::new();
    let mut positions = Vec::new();
    for kind in Kind::ALL {
        let info = Bucket::Records(kind).open(&link.client).await.map_err(NotJoined::NoAnswer)?;
        positions.push((kind, Position { bucket: info.created, revision: 0 }));
        missing.extend(lacking(store, link, kind).await.map_err(NotJoined::NoAnswer)?);
    }
    if !missing.is_empty() {
        return Err(NotJoined::Lacking(format!(
            "the fleet lacks what is here, or has something else under the same name: {}. To keep it, copy it to the \
             fleet: relay fleet push. To give it up, and take what the fleet has: relay fleet discard",
            some(&missing)
        )));
    }
    for (kind, position) in positions {
        let noted = store.set_position(kind, &position);
        noted.map_err(|error| NotJoined::NoAnswer(error.to_string()))?;
    }
    Ok(())
}

pub fn is_replica(store: &UserStore) -> Result<bool, String> {
    let position = store.position(Kind::Dkim).map_err(|error| error.to_string())?;
    Ok(position.is_some())
}

/// What a relay that joins would lose: what is here and not in the engine, or differs there. In words, such as `user alice`.
///
/// # Errors
///
/// When the engine does not answer, or the database cannot be read.
async fn lacking(store: &UserStore, link: &Link, kind: Kind) -> Result<Vec<String>, String> {
    differing(store, link, kind, |here, there| {
        there.as_ref().and_then(|there| there.value.as_ref()) != here.value.as_ref()
    })
    .await
}

/// What a replica would lose whose engine lost its memory: what it never heard of since. Where it has something, another
/// relay wrote it there, and changed or removed it later.
///
/// # Errors
///
/// As [`lacking`].
pub async fn unheard_of(store: &UserStore, link: &Link, kind: Kind) -> Result<Vec<String>, String> {
    differing(store, link, kind, |_, there| there.is_none()).await
}

async fn differing(
    store: &UserStore,
    link: &Link,
    kind: Kind,
    is_lost: impl Fn(&Record, &Option<Record>) -> bool,
) -> Result<Vec<String>, String> {
    let (mut found, mut pieces) = (Vec::new(), Pieces::of(store, kind));
    while let Some(records) = pieces.next()? {
        for (record, there) in records.iter().zip(there(link, kind, &records).await?) {
            if is_lost(record, &there) {
                found.push(in_words(kind, &record.key));
            }
        }
    }
    Ok(found)
}

/// What became of [`push`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    pub written: u64,
    pub there_already: u64,
    /// The fleet has something else under these names.
    pub differing: Vec<String>,
}

/// Copies to the engine what it lacks. What it has under the same name is left alone, unless `replace` says so.
///
/// # Errors
///
/// When the engine does not take it; what was written before stays, and a second call goes on.
pub async fn push(store: &UserStore, link: &Link, replace: bool) -> Result<Pushed, String> {
    let mut pushed = Pushed::default();
    for kind in Kind::ALL {
        Bucket::Records(kind).open(&link.client).await?;
        let mut pieces = Pieces::of(store, kind);
        while let Some(records) = pieces.next()? {
            let there = there(link, kind, &records).await?;
            let changes = pushed.changes(kind, records, there, replace);
            for written in write(link, &changes).await {
                written.map_err(|error| error.to_string())?;
                pushed.written += 1;
            }
        }
    }
    Ok(pushed)
}

impl Pushed {
    /// What is to be written, beside what is there.
    fn changes(
        &mut self,
        kind: Kind,
        records: Vec<Record>,
        there: Vec<Option<Record>>,
        replace: bool,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for (Record { key, value, .. }, there) in records.into_iter().zip(there) {
            let expected = there.as_ref().map_or(0, |there| there.revision);
            let there = there.and_then(|there| there.value);
            if there.is_some() && there == value {
                self.there_already += 1;
            } else if there.is_some() && !replace {
                self.differing.push(in_words(kind, &key));
            } else {
                changes.push(Change { kind, key, value, expected });
            }
        }
        changes
    }
}

/// What the engine has under the names of these records. The bucket must be there: whoever asks has opened it.
async fn there(link: &Link, kind: Kind, records: &[Record]) -> Result<Vec<Option<Record>>, String> {
    let mut asking = tokio::task::JoinSet::new();
    for (position, record) in records.iter().enumerate() {
        let (link, key) = (link.clone(), record.key.clone());
        asking.spawn(async move { (position, newest(&link, kind, &key).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(position, _)| *position);
    let answers = answers.into_iter().map(|(_, answer)| answer.map_err(|error| error.to_string()));
    answers.collect()
}

/// All records of a kind, a few at a time.
struct Pieces<'a> {
    store: &'a UserStore,
    kind: Kind,
    after: Option<Vec<u8>>,
}

impl<'a> Pieces<'a> {
    fn of(store: &'a UserStore, kind: Kind) -> Self {
        Self { store, kind, after: None }
    }

    /// `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<Record>>, String> {
        let records = self.store.records_after(self.kind, self.after.as_deref(), AT_A_TIME);
        let records = records.map_err(|error| error.to_string())?;
        let Some(last) = records.last() else { return Ok(None) };
        self.after = Some(last.key.clone());
        Ok(Some(records))
    }
}

fn in_words(kind: Kind, key: &[u8]) -> String {
    let name = name_of(key);
    match kind {
        Kind::Users => format!("user {name}"),
        Kind::Dkim => format!("DKIM key {name}"),
    }
}

/// The first few of a list, and how many more there are.
pub fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
