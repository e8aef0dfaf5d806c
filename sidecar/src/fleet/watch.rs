//! What a bucket has, and then what comes.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::message::Message;
use async_nats::jetstream::stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::buckets::Bucket;
use super::engine::OPERATION;
use super::link::{Link, in_full};

/// Before the engine is asked again.
pub const PAUSE: Duration = Duration::from_secs(1);

/// One version of a key.
#[derive(Debug)]
pub struct Item {
    pub key: Vec<u8>,
    /// `None` if it was removed.
    pub value: Option<Vec<u8>>,
    pub revision: u64,
    /// Seconds since 1970 at which the engine took it.
    pub time: u64,
    /// How many are still to come.
    pub pending: u64,
}

impl Item {
    /// `None` for what is not one of our keys.
    pub fn of(bucket: Bucket, message: &Message) -> Option<Self> {
        let info = message.info().ok()?;
        let key = bucket.key(&message.subject)?;
        let is_removed =
            message.headers.as_ref().is_some_and(|headers| headers.get(OPERATION).is_some());
        Some(Self {
            key,
            value: (!is_removed).then(|| message.payload.to_vec()),
            revision: info.stream_sequence,
            time: u64::try_from(info.published.unix_timestamp()).unwrap_or(0),
            pending: info.pending,
        })
    }
}

/// Everything from this revision on, in order.
///
/// # Errors
///
/// In words, when the engine does not answer.
pub async fn from(
    link: &Link,
    stream: &Stream,
    first: u64,
    headers_only: bool,
) -> Result<Ordered, String> {
    let deliver_policy = match first {
        0 | 1 => DeliverPolicy::All,
        first => DeliverPolicy::ByStartSequence { start_sequence: first },
    };
    let config = OrderedConfig {
        deliver_subject: link.client.new_inbox(),
        deliver_policy,
        headers_only,
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| in_full(&error))?;
    consumer.messages().await.map_err(|error| in_full(&error))
}

/// Gives everything in a bucket to `take`, again after each time that the connection was lost, until the process stops.
pub async fn all(
    link: Link,
    bucket: Bucket,
    stopping: CancellationToken,
    mut take: impl FnMut(Item),
) {
    loop {
        tokio::select! {
            () = all_of_one_connection(&link, bucket, &mut take) => {}
            () = stopping.cancelled() => return,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn all_of_one_connection(link: &Link, bucket: Bucket, take: &mut impl FnMut(Item)) {
    let connection = link.connected().await;
    let opened = match bucket.open(&link.jetstream).await {
        Ok(stream) => from(link, &stream, 0, false).await,
        Err(error) => Err(error),
    };
    let mut messages = match opened {
        Ok(messages) => messages,
        Err(error) => {
            tracing::debug!(bucket = bucket.name(), error, "the fleet's engine does not answer");
            return;
        }
    };
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(Ok(message)) => {
                    Item::of(bucket, &message).into_iter().for_each(&mut *take);
                }
                Some(Err(_)) | None => return,
            },
            () = link.lost(connection) => return,
        }
    }
}
