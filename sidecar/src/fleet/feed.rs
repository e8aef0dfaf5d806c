//! The messages of a stream in order, from some revision on: an ephemeral consumer of the engine's that pushes them, with
//! heartbeats, and acknowledgements that bound what is on its way. Whatever is missed ends it, and whoever reads begins again
//! from the revision it has.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::StreamExt as _;

use super::buckets::{Bucket, OPERATION};
use super::jetstream;
use super::link::in_full;

/// How often the engine says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long it may say nothing. One server sends all, and may be dead while the connection is to another.
const SILENCE: Duration = Duration::from_secs(5);
/// Messages on their way at the most: they are in memory here. Without that the engine sends 32 MB ahead.
const AHEAD: u64 = 4_000;
/// So often the engine is told that messages were read.
const TOLD_EVERY: u64 = 1_000;
/// The engine says of a message that was not acknowledged for so long that it gave up. Most never are.
const ACK_WAIT: Duration = Duration::from_secs(24 * 3_600);
/// How long the engine keeps a consumer that nobody hears.
const KEPT: Duration = Duration::from_secs(30);
const STALLED: &str = "Nats-Consumer-Stalled";
const LAST_DELIVERED: &str = "Nats-Last-Consumer";

/// One version of a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// `None` if it is not one of our keys.
    pub key: Option<Vec<u8>>,
    /// `None` if it was removed.
    pub value: Option<Vec<u8>>,
    pub place: Place,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub revision: u64,
    /// Its number among those that this consumer was sent.
    number: u64,
    /// Seconds since 1970 at which the engine took it.
    pub time: u64,
    /// How many are still to come.
    pub pending: u64,
}

#[derive(Debug)]
pub struct Feed {
    client: Client,
    bucket: Bucket,
    messages: Subscriber,
    /// How many were delivered.
    delivered: u64,
    /// Up to which the engine knows that they were read.
    told: u64,
    /// Where to tell it.
    last_reply: Option<Subject>,
}

impl Feed {
    /// Everything from this revision on; without the values if only headers are wanted.
    ///
    /// # Errors
    ///
    /// In words, when the engine does not answer.
    pub async fn open(
        client: &Client,
        bucket: Bucket,
        first: u64,
        headers_only: bool,
    ) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| in_full(&error))?;
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(0);
        let stream = bucket.stream();
        let consumer = json!({
            "stream_name": stream,
            "config": {
                "deliver_subject": inbox,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": first.max(1),
                "ack_policy": "all",
                "max_ack_pending": AHEAD,
                "ack_wait": nanoseconds(ACK_WAIT),
                "replay_policy": "instant",
                "max_deliver": 1,
                "flow_control": true,
                "idle_heartbeat": nanoseconds(HEARTBEAT),
                "inactive_threshold": nanoseconds(KEPT),
                "headers_only": headers_only,
                "mem_storage": true,
                "num_replicas": 1,
            },
        });
        let create = format!("CONSUMER.CREATE.{stream}");
        let made = jetstream::ask::<IgnoredAny>(client, &create, &consumer).await;
        made.map_err(|trouble| trouble.to_string())?;
        Ok(Self {
            client: client.clone(),
            bucket,
            messages,
            delivered: 0,
            told: 0,
            last_reply: None,
        })
    }

    /// The next one. May be given up at any point.
    ///
    /// # Errors
    ///
    /// In words, when something was missed or the engine is silent.
    pub async fn next(&mut self) -> Result<Item, String> {
        // Before one is taken, which must not get lost while this is given up.
        if let Some(reply) =
            self.last_reply.clone().filter(|_| self.delivered - self.told >= TOLD_EVERY)
        {
            let said = self.client.publish(reply, "+ACK".into()).await;
            said.map_err(|error| in_full(&error))?;
            self.told = self.delivered;
        }
        loop {
            let next = timeout(SILENCE, self.messages.next()).await;
            let message =
                next.map_err(|_| "the engine is silent")?.ok_or("the connection ended")?;
            if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
                self.heartbeat(&message).await?;
                continue;
            }
            let place =
                message.reply.as_deref().and_then(place).ok_or("a message without a place")?;
            if place.number != self.delivered + 1 {
                let (came, last) = (place.number, self.delivered);
                return Err(format!("message {came} came after {last}: some were missed"));
            }
            self.delivered = place.number;
            self.last_reply = message.reply;
            let is_removed =
                message.headers.as_ref().is_some_and(|headers| headers.get(OPERATION).is_some());
            let value = (!is_removed).then(|| message.payload.to_vec());
            return Ok(Item { key: self.bucket.key(&message.subject), value, place });
        }
    }

    /// What comes within this time after the first one, up to `most` in all. What is wrong meanwhile is told the next time.
    /// Must not be given up, or what it has is lost.
    pub async fn gather(&mut self, first: Item, most: usize, within: Duration) -> Vec<Item> {
        let mut items = vec![first];
        let deadline = Instant::now() + within;
        while items.len() < most
            && let Ok(Ok(item)) = timeout_at(deadline, self.next()).await
        {
            items.push(item);
        }
        items
    }

    /// A sign of life, which says how many were delivered; or a request to say how far we are.
    async fn heartbeat(&self, message: &Message) -> Result<(), String> {
        let header = |headers: &HeaderMap, name| headers.get(name).map(|value| value.to_string());
        let stalled = message.headers.as_ref().and_then(|headers| header(headers, STALLED));
        let reply = message.reply.as_ref().map(ToString::to_string);
        for subject in reply.into_iter().chain(stalled) {
            let said = self.client.publish(subject, "".into()).await;
            said.map_err(|error| in_full(&error))?;
        }
        let last = message.headers.as_ref().and_then(|headers| header(headers, LAST_DELIVERED));
        match last.and_then(|last| last.parse::<u64>().ok()) {
            Some(last) if last > self.delivered => Err("messages were missed".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Reads `$JS.ACK.STREAM.CONSUMER.TRIES.REVISION.NUMBER.NANOSECONDS.PENDING`; newer servers put two tokens before the
/// stream, and one behind.
fn place(reply: &str) -> Option<Place> {
    let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let numbers = match tokens.len() {
        7 => tokens.get(3..)?,
        9.. => tokens.get(5..)?,
        _ => return None,
    };
    let mut numbers = numbers.iter().map(|token| token.parse::<u64>().ok());
    let mut number = || numbers.next().flatten();
    let (revision, count, time, pending) = (number()?, number()?, number()?, number()?);
    Some(Place { revision, number: count, time: time / 1_000_000_000, pending })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_old_and_new_servers_write_it() {
        let expected = Place { revision: 12, number: 3, time: 1_795_600_000, pending: 7 };
        for reply in [
            "$JS.ACK.KV_users.abc.1.12.3.1795600000123456789.7",
            "$JS.ACK._.hash.KV_users.abc.1.12.3.1795600000123456789.7",
            "$JS.ACK.domain.hash.KV_users.abc.1.12.3.1795600000123456789.7.token",
        ] {
            assert_eq!(place(reply), Some(expected), "{reply}");
        }
        for reply in
            ["", "$JS.ACK.", "_INBOX.x", "$JS.ACK.KV_users.abc.1.12.3.x.7", "$JS.ACK.a.b.1.2"]
        {
            assert_eq!(place(reply), None, "{reply}");
        }
    }
}
