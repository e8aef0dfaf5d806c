//! Who is in the fleet: every relay says so every few seconds.

use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::buckets::Bucket;
use super::feed::{Feed, Item};
use super::jetstream::{self, Writing};
use super::link::Link;
use super::state::State;
use super::watch::{self, Heard};
use crate::clock::now;
use crate::store::UserStore;
use crate::store::shared::Kind;

/// How often a relay says that it is there.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// A relay that said nothing for this long, in seconds, is not there.
pub const SILENT_AFTER: u64 = 20;

/// What a relay says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub version: String,
    /// Tells this run of the process from others of the same name.
    pub run: u64,
    /// Revisions that it has followed to.
    pub users: u64,
    pub dkim: u64,
    /// How many users it has.
    pub user_count: u64,
    /// When it said so, by the engine's clock; seconds since 1970.
    #[serde(default)]
    pub seen: u64,
}

/// Whether a version of nats-server is older than 2.10. What cannot be read is not.
fn is_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => (major, minor) < (2, 10),
        _ => false,
    }
}

/// Says that this relay is there until the process stops.
pub async fn tell(link: Link, store: UserStore, state: State, stopping: CancellationToken) {
    let run = getrandom::u64().unwrap_or_else(|_| now());
    loop {
        let connected = link.is_connected();
        if state.set_connected(connected) {
            if connected {
                let version = link.client.server_info().version;
                tracing::info!(version, "the fleet's engine answers");
                if is_too_old(&version) {
                    tracing::warn!(
                        version,
                        "this version of nats-server may keep, after a partition, a change that nobody confirmed: update it \
                         to 2.10 or later"
                    );
                }
            } else {
                tracing::warn!(
                    "the fleet's engine is away: logins and mail go on with what is here, this relay counts alone, and \
                     users cannot be changed until it is back"
                );
            }
        }
        if connected && let Some(node) = this_node(&store, &state, run).await {
            say(&link, &node).await;
        }
        tokio::select! {
            () = tokio::time::sleep(SAY_EVERY) => {}
            () = link_changes(&link, connected) => {}
            () = stopping.cancelled() => return,
        }
    }
}

async fn link_changes(link: &Link, connected: bool) {
    if connected {
        link.lost(link.connection()).await;
    } else {
        link.connected().await;
    }
}

async fn this_node(store: &UserStore, state: &State, run: u64) -> Option<Node> {
    let store = store.clone();
    let read = tokio::task::spawn_blocking(move || {
        let revision = |kind| {
            let position = store.position(kind).ok().flatten();
            position.map_or(0, |position| position.revision)
        };
        (revision(Kind::Users), revision(Kind::Dkim), store.user_count().unwrap_or(0))
    });
    let (users, dkim, user_count) = read.await.ok()?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let name = state.standing().node;
    Some(Node { name, version, run, users, dkim, user_count, seen: 0 })
}

async fn say(link: &Link, node: &Node) {
    let subject = Bucket::Nodes.subject(node.name.as_bytes());
    let payload = serde_json::to_vec(node).unwrap_or_default();
    // Said again in a few seconds.
    drop(jetstream::write(&link.client, Writing::over(subject, payload)).await);
}

/// Looks for another relay of the same name until the process stops: both would overwrite what the other counts.
pub async fn look_for_double(
    link: Link,
    node: Arc<str>,
    state: State,
    stopping: CancellationToken,
) {
    let mut runs: Vec<u64> = Vec::new();
    watch::all(link, Bucket::Nodes, stopping, |heard| {
        let Heard::Item(item) = heard else { return };
        let Some(found) = read(item).filter(|found| found.name == *node) else { return };
        // An earlier run of this relay is never heard again after the later one; a double is.
        let has_double = runs.last() != Some(&found.run) && runs.contains(&found.run);
        if !runs.contains(&found.run) {
            runs.push(found.run);
        } else if has_double {
            let position = runs.iter().position(|run| *run == found.run);
            if let Some(position) = position {
                let run = runs.remove(position);
                runs.push(run);
            }
        }
        if has_double && state.set_double(true) {
            tracing::error!(
                node = %node,
                "another relay of the fleet has this name, and each overwrites what the other counts: give every relay \
                 a FLEET_NODE of its own"
            );
        }
    })
    .await;
}

fn read(item: Item) -> Option<Node> {
    let node: Node = serde_json::from_slice(&item.value?).ok()?;
    Some(Node { seen: item.place.time, ..node })
}

/// All relays that are known, and the newest revisions of users and keys.
///
/// # Errors
///
/// In words, when the engine does not answer.
pub async fn list(link: &Link) -> Result<(Vec<Node>, [u64; 2]), String> {
    let mut last = [0; 2];
    for (revision, kind) in last.iter_mut().zip(Kind::ALL) {
        *revision = Bucket::Records(kind).open(&link.client).await?.state.last_seq;
    }
    let mut nodes = Vec::new();
    if Bucket::Nodes.open(&link.client).await?.state.messages > 0 {
        let mut feed = Feed::open(&link.client, Bucket::Nodes, 0, false).await?;
        loop {
            let item = feed.next().await?;
            let is_last = item.place.pending == 0;
            nodes.extend(read(item));
            if is_last {
                break;
            }
        }
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((nodes, last))
}

/// Takes a relay off the list.
///
/// # Errors
///
/// In words, when the engine does not answer.
pub async fn forget(link: &Link, name: &str) -> Result<(), String> {
    let body = json!({ "filter": Bucket::Nodes.subject(name.as_bytes()) });
    let purge = format!("STREAM.PURGE.{}", Bucket::Nodes.stream());
    let purged = jetstream::ask::<IgnoredAny>(&link.client, &purge, &body).await;
    purged.map(drop).map_err(|trouble| trouble.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_before_2_10_is_too_old_and_a_strange_one_is_not() {
        for (version, expected) in [
            ("2.9.10", true),
            ("1.4.1", true),
            ("2.10.0", false),
            ("2.10.27", false),
            ("2.12.0-RC.1", false),
            ("3.0.0", false),
            ("", false),
            ("main", false),
        ] {
            assert_eq!(is_too_old(version), expected, "{version}");
        }
    }
}
