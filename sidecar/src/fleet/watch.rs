//! Everything in a bucket that is in the engine's memory only, again after each time that the connection was lost.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::buckets::Bucket;
use super::feed::{Feed, Item};
use super::link::Link;

/// Before the engine is asked again.
pub const PAUSE: Duration = Duration::from_secs(1);

/// What is heard of a bucket.
#[derive(Debug)]
pub enum Heard {
    /// It is read from its beginning now. The engine may have lost what was there.
    Opened,
    Item(Item),
}

/// Gives everything in a bucket to `take` until the process stops.
pub async fn all(
    link: Link,
    bucket: Bucket,
    stopping: CancellationToken,
    mut take: impl FnMut(Heard),
) {
    loop {
        let connection = link.connected().await;
        let ended = tokio::select! {
            ended = read(&link, bucket, &mut take) => ended,
            () = link.lost(connection) => "the connection was lost".to_owned(),
            () = stopping.cancelled() => return,
        };
        tracing::debug!(bucket = bucket.name(), ended, "the fleet is not heard for a moment");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until something is wrong, and then says what.
async fn read(link: &Link, bucket: Bucket, take: &mut impl FnMut(Heard)) -> String {
    let feed = match bucket.open(&link.client).await {
        Ok(_) => Feed::open(&link.client, bucket, 0, false).await,
        Err(error) => Err(error),
    };
    let mut feed = match feed {
        Ok(feed) => feed,
        Err(error) => return error,
    };
    take(Heard::Opened);
    loop {
        match feed.next().await {
            Ok(item) => take(Heard::Item(item)),
            Err(error) => return error,
        }
    }
}
