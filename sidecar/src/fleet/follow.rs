//! Copies the fleet's records into the database, from where it stopped the last time.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::buckets::Bucket;
use super::engine::newest;
use super::feed::{Feed, Item};
use super::jetstream::{self, Info};
use super::join;
use super::link::Link;
use super::state::State;
use super::watch::PAUSE;
use crate::store::shared::{Applied, Difference, Kind, Position, Record, Roll, name_of};
use crate::store::{StoreError, UserStore};

/// Records that are written in one transaction.
const BATCH: usize = 1_000;
/// How long a batch waits to be filled.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is checked that nothing is missing here and nothing too much.
const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// How long nothing may have come before that is checked for the first time on a connection.
const COMPARE_FIRST: Duration = Duration::from_secs(2);
/// How long a relay that has what the engine lacks waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What goes wrong again sooner is not said again.
const SAID_ONCE: Duration = Duration::from_secs(60);

/// Follows one kind of record.
#[derive(Debug, Clone)]
pub struct Follower {
    pub store: UserStore,
    pub link: Link,
    pub kind: Kind,
    pub state: State,
}

impl Follower {
    /// Until the process stops, or this relay leaves its fleet.
    pub async fn run(self, stopping: CancellationToken) {
        let kind = self.kind;
        if let Ok(damaged) = self.blocking(move |store| store.damaged_records(kind)).await {
            self.state.note(kind, &damaged, &[]);
        }
        let mut said = String::new();
        loop {
            let (connection, began) = (self.link.connected().await, Instant::now());
            let followed = tokio::select! {
                followed = self.follow() => followed,
                () = self.link.lost(connection) => Ok(()),
                () = stopping.cancelled() => return,
            };
            if let Ok(None) = self.blocking(move |store| store.position(kind)).await {
                tracing::info!(
                    kind = kind.name(),
                    "this relay has left its fleet and follows nobody"
                );
                return;
            }
            // An outage says so once.
            if let Err(error) = followed
                && (error != said || began.elapsed() > SAID_ONCE)
            {
                tracing::warn!(
                    kind = self.kind.name(),
                    error,
                    "the fleet cannot be followed; trying again"
                );
                said = error;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn bucket(&self) -> Bucket {
        Bucket::Records(self.kind)
    }

    /// As long as there is a connection.
    async fn follow(&self) -> Result<(), String> {
        let info = self.bucket().open(&self.link.client).await?;
        let mut position = self.position(info).await?;
        let mut feed = self.feed(position.revision + 1, false).await?;
        let (mut compare, mut before) = (Instant::now() + COMPARE_FIRST, None);
        loop {
            tokio::select! {
                first = feed.next() => {
                    let items = feed.gather(first?, BATCH, GATHER).await;
                    self.apply(&mut position, items).await?;
                }
                () = tokio::time::sleep_until(compare) => {
                    let state = self.info().await?.state;
                    let now = Some((position.revision, state.last_seq));
                    // Something may be on its way, or the last revisions are those of marks that somebody purged.
                    if now == before || position.revision == state.last_seq {
                        position.revision = state.last_seq;
                        self.state.set_behind(self.kind, 0);
                        if !self.is_complete(state.messages, &position).await? {
                            return Ok(());
                        }
                        compare = Instant::now() + COMPARE_EVERY;
                    } else {
                        compare = Instant::now() + COMPARE_FIRST;
                    }
                    before = now;
                }
            }
        }
    }

    async fn feed(&self, first: u64, headers_only: bool) -> Result<Feed, String> {
        Feed::open(&self.link.client, self.bucket(), first, headers_only).await
    }

    async fn info(&self) -> Result<Info, String> {
        let info = jetstream::info(&self.link.client, &self.bucket().stream()).await;
        info.map_err(|trouble| trouble.to_string())
    }

    /// Where to go on. If the bucket is not the one that was followed before, nothing that is here must get lost.
    async fn position(&self, info: Info) -> Result<Position, String> {
        let (bucket, last) = (info.created, info.state.last_seq);
        let kind = self.kind;
        let here = self.blocking(move |store| store.position(kind)).await?;
        // It has left, and must not come back by itself.
        let here = here.ok_or("this relay is in no fleet")?;
        match here {
            here if here.bucket == bucket && here.revision <= last => {
                self.state.set_missing(kind, Vec::new());
                self.state.set_behind(kind, last - here.revision);
                Ok(here)
            }
            _ => {
                let lacking = join::unheard_of(&self.store, &self.link, self.kind).await?;
                if !lacking.is_empty() {
                    self.state.set_missing(kind, lacking.clone());
                    tracing::error!(
                        "the fleet's engine has lost what this relay has: {}. This relay goes on with it, and follows \
                         nobody: relay fleet push writes it to the engine, relay fleet discard gives it up",
                        join::some(&lacking)
                    );
                    tokio::time::sleep(LOOK_AGAIN).await;
                    return Err("the engine lacks records that are here".to_owned());
                }
                let position = Position { bucket, revision: 0 };
                let new = position.clone();
                self.blocking(move |store| store.set_position(kind, &new)).await?;
                self.state.set_missing(kind, Vec::new());
                self.state.set_behind(kind, last);
                Ok(position)
            }
        }
    }

    async fn apply(&self, position: &mut Position, items: Vec<Item>) -> Result<(), String> {
        let (mut records, mut pending) = (Vec::new(), 0);
        for Item { key, value, place } in items {
            position.revision = place.revision;
            pending = place.pending;
            if let Some(key) = key {
                records.push(Record {
                    key,
                    value: value.map(Into::into),
                    revision: place.revision,
                });
            }
        }
        let (kind, at, names) = (
            self.kind,
            position.clone(),
            records.iter().map(|record| name_of(&record.key)).collect::<Vec<_>>(),
        );
        let applied = self.blocking(move |store| store.apply(kind, &records, Some(&at))).await?;
        let Applied { damaged, newer, .. } = applied;
        self.state.note(kind, &damaged, &newer);
        for name in names.iter().filter(|name| !damaged.contains(name) && !newer.contains(name)) {
            self.state.is_well(name);
        }
        self.state.set_behind(kind, pending);
        Ok(())
    }

    /// Whether there are as many records here as there. If not, all are compared, and what the engine has no more is removed.
    async fn is_complete(&self, messages: u64, position: &Position) -> Result<bool, String> {
        let (kind, last) = (self.kind, position.revision);
        let known = self.blocking(move |store| store.known_revisions(kind)).await?;
        if messages == known {
            return Ok(true);
        }
        tracing::warn!(
            kind = kind.name(),
            here = known,
            there = messages,
            "the fleet's records are compared with those here"
        );
        let there = self.roll(messages).await?;
        let found = self.blocking(move |store| store.compare(kind, &there, last)).await?;
        let Difference { strangers, mut has_all } = found;
        let mut gone = Vec::new();
        for record in strangers {
            // The server that told of all may be behind the one that decides.
            match newest(&self.link, kind, &record.key).await.map_err(|error| error.to_string())? {
                None => gone.push(record),
                Some(_) => has_all = false,
            }
        }
        let removed = self.blocking(move |store| store.forget(kind, &gone)).await?;
        if !removed.is_empty() {
            tracing::warn!(
                kind = kind.name(), removed = %join::some(&removed),
                "removed, because the fleet has them no more"
            );
        }
        if !has_all {
            let start = Position { revision: 0, ..position.clone() };
            self.blocking(move |store| store.set_position(kind, &start)).await?;
        }
        Ok(has_all)
    }

    /// All keys that the engine has, and their revisions.
    async fn roll(&self, expected: u64) -> Result<Roll, String> {
        let mut feed = self.feed(0, true).await?;
        let mut roll = Roll::default();
        while (roll.len() as u64) < expected {
            let item = feed.next().await?;
            if let Some(key) = &item.key {
                roll.insert(key, item.place.revision);
            }
            if item.place.pending == 0 {
                break;
            }
        }
        Ok(roll)
    }

    /// Works on the database on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&UserStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}
