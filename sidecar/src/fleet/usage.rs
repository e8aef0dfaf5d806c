//! Tells the fleet what this relay counts, once a second, and hears what the others count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::buckets::Bucket;
use super::jetstream::{self, Trouble, Writing};
use super::link::Link;
use super::sheet::{self, Sheet, Written};
use super::state::State;
use super::watch::{self, Heard};
use crate::clock::now;
use crate::ledger::Ledger;

/// How often the others are told. A limit can be passed by what they permit meanwhile.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often what no longer counts is forgotten, in seconds.
const FORGET_EVERY: u64 = 60;
/// Accounts that are read from the database at one time.
const AT_A_TIME: usize = 1_000;

/// Counts in a fleet.
#[derive(Debug, Clone)]
pub struct Counting {
    pub ledger: Arc<Ledger>,
    pub link: Link,
    pub node: Arc<str>,
    pub state: State,
    /// How often the engine's bucket was read from its beginning.
    pub opened: Arc<AtomicU64>,
}

impl Counting {
    /// Tells until the process stops, and once more then.
    pub async fn tell(self, stopping: CancellationToken) {
        self.ledger.share();
        let mut sheet = self.read_accounts().await;
        let (mut told, mut forgot) = ((0, 0), now());
        loop {
            let is_last = tokio::select! {
                () = tokio::time::sleep(TELL_EVERY) => false,
                () = stopping.cancelled() => true,
            };
            self.ledger.take_counted().into_iter().for_each(|counted| sheet.count(counted));
            let engine = (self.link.connection(), self.opened.load(Ordering::Relaxed));
            if engine.0 > 0 {
                // What the engine has in memory only may be gone since, with its connection or with another of its servers.
                if engine != told {
                    sheet.tell_all();
                }
                match self.write(&sheet.pages(now())).await {
                    Ok(()) => {
                        told = engine;
                        sheet.told();
                    }
                    Err(trouble) => {
                        tracing::debug!(%trouble, "the fleet was not told what is counted")
                    }
                }
            }
            self.state.set_untold(sheet.untold());
            if is_last {
                return;
            }
            if now().abs_diff(forgot) >= FORGET_EVERY {
                forgot = now();
                self.ledger.forget_elsewhere(forgot);
            }
        }
    }

    /// What was counted before the start.
    async fn read_accounts(&self) -> Sheet {
        let (mut sheet, mut after) = (Sheet::default(), None);
        loop {
            let (ledger, from) = (Arc::clone(&self.ledger), after.take());
            let read = spawn_blocking(move || ledger.counted_after(from.as_ref(), AT_A_TIME)).await;
            let Ok(Ok((counted, last))) = read else { return sheet };
            let time = now();
            let counts = counted.into_iter().filter(|counted| !counted.usage.is_over(time));
            counts.for_each(|counted| sheet.count(counted));
            if last.is_none() {
                return sheet;
            }
            after = last;
        }
    }

    /// One after the other: there is rarely more than one.
    async fn write(&self, pages: &[Written]) -> Result<(), Trouble> {
        for (page, text) in pages {
            let subject = Bucket::Usage.subject(format!("{}/{page}", self.node).as_bytes());
            jetstream::write(&self.link.client, Writing::over(subject, text.clone())).await?;
        }
        Ok(())
    }

    /// Hears until the process stops.
    pub async fn hear(self, stopping: CancellationToken) {
        let Self { ledger, link, node, opened, .. } = self;
        watch::all(link, Bucket::Usage, stopping, |heard| {
            let Heard::Item(item) = heard else {
                opened.fetch_add(1, Ordering::Relaxed);
                return;
            };
            let key = item.key.unwrap_or_default();
            let key = String::from_utf8_lossy(&key);
            let Some((from, _page)) = key.rsplit_once('/') else { return };
            // What this relay said itself it knows better.
            if from == &*node {
                return;
            }
            for (key, part) in sheet::read(from, &item.value.unwrap_or_default()) {
                ledger.count_elsewhere(key, part);
            }
        })
        .await;
    }
}
