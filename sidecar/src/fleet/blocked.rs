//! Addresses that guessed too much: blocked on one relay, blocked on all.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::buckets::Bucket;
use super::jetstream::{self, Writing};
use super::link::Link;
use super::watch::{self, Heard};

/// Who guessed too much, and until when that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub address: IpAddr,
    /// Seconds since 1970.
    pub until: u64,
    /// Where.
    pub node: String,
}

/// Tells the fleet of each until the process stops. What comes while the engine is away is lost: it is about strangers, and
/// they are told of again when they go on.
pub async fn tell(
    link: Link,
    node: Arc<str>,
    mut blocked: Receiver<(IpAddr, u64)>,
    stopping: CancellationToken,
) {
    loop {
        let found = tokio::select! {
            found = blocked.recv() => found,
            () = stopping.cancelled() => return,
        };
        let Some((address, until)) = found else { return };
        if !link.is_connected() {
            continue;
        }
        let block = Block { address, until, node: node.to_string() };
        let subject = Bucket::Blocked.subject(address.to_string().as_bytes());
        let payload = serde_json::to_vec(&block).unwrap_or_default();
        drop(jetstream::write(&link.client, Writing::over(subject, payload)).await);
    }
}

/// Hears of those that others block until the process stops.
pub async fn hear(
    link: Link,
    node: Arc<str>,
    block: impl Fn(IpAddr, u64),
    stopping: CancellationToken,
) {
    watch::all(link, Bucket::Blocked, stopping, |heard| {
        let Heard::Item(item) = heard else { return };
        let read = serde_json::from_slice::<Block>(&item.value.unwrap_or_default());
        if let Ok(Block { address, until, node: from }) = read
            && from != *node
        {
            block(address, until);
        }
    })
    .await;
}
