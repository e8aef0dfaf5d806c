//! The fleet's buckets in the engine, in the form of NATS's key-value buckets, and the names of their keys.

use std::time::Duration;

use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::link::in_full;
use crate::store::shared::Kind;

/// What the fleet shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    Records(Kind),
    /// What each node counts.
    Usage,
    /// Addresses that guessed too much somewhere.
    Blocked,
    /// Who is there.
    Nodes,
}

/// What counts for a day counts no longer after this.
const USAGE_AGE: Duration = Duration::from_secs(25 * 3_600);
/// The longest period of a limit on guessing.
const BLOCKED_AGE: Duration = Duration::from_secs(24 * 3_600);
/// A node that is gone for longer is not listed any more.
const NODES_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Copies of each bucket: as many as the cluster has servers for.
const REPLICAS: [usize; 3] = [5, 3, 1];
/// "no suitable peers for placement" and "replicas > 1 not supported in non-clustered mode".
const TOO_FEW_SERVERS: [u64; 2] = [10_005, 10_074];

impl Bucket {
    pub const ALL: [Self; 5] = [
        Self::Records(Kind::Users),
        Self::Records(Kind::Dkim),
        Self::Usage,
        Self::Blocked,
        Self::Nodes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Records(kind) => kind.name(),
            Self::Usage => "usage",
            Self::Blocked => "blocked",
            Self::Nodes => "nodes",
        }
    }

    /// The subject of a key, which may be any bytes: NATS allows few characters.
    pub fn subject(self, key: &[u8]) -> String {
        format!("$KV.{}.{}", self.name(), BASE64_URL_SAFE_NO_PAD.encode(key))
    }

    /// The key of a subject, if it is one of ours.
    pub fn key(self, subject: &str) -> Option<Vec<u8>> {
        let name = subject.strip_prefix("$KV.")?.strip_prefix(self.name())?.strip_prefix('.')?;
        BASE64_URL_SAFE_NO_PAD.decode(name).ok()
    }

    fn config(self, replicas: usize) -> Config {
        let (storage, max_age) = match self {
            // For ever: a mark of removal has to be there when a relay comes back after a year.
            Self::Records(_) => (StorageType::File, Duration::ZERO),
            Self::Usage => (StorageType::Memory, USAGE_AGE),
            Self::Blocked => (StorageType::Memory, BLOCKED_AGE),
            Self::Nodes => (StorageType::Memory, NODES_AGE),
        };
        Config {
            name: self.stream(),
            subjects: vec![format!("$KV.{}.>", self.name())],
            max_messages_per_subject: 1,
            max_age,
            storage,
            num_replicas: replicas,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// The stream that the bucket is made of.
    pub fn stream(self) -> String {
        format!("KV_{}", self.name())
    }

    /// The bucket, made if it is not there.
    ///
    /// # Errors
    ///
    /// In words, when the engine does not answer or refuses.
    pub async fn open(self, jetstream: &Context) -> Result<Stream, String> {
        let missing = match jetstream.get_stream(self.stream()).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        // JetStream's "stream not found".
        if !in_full(&missing).contains("10059") {
            return Err(self.failed("cannot be opened", &missing));
        }
        for replicas in REPLICAS {
            match jetstream.create_stream(self.config(replicas)).await {
                Ok(stream) => {
                    tracing::info!(bucket = self.name(), replicas, "bucket of the fleet made");
                    return Ok(stream);
                }
                Err(error) if replicas > 1 && has_too_few_servers(&in_full(&error)) => {}
                // Another relay made it this very moment.
                Err(error) => {
                    let opened = jetstream.get_stream(self.stream()).await;
                    return opened.map_err(|_| self.failed("cannot be made", &error));
                }
            }
        }
        Err(format!("the fleet's bucket {} cannot be made", self.name()))
    }

    /// Asks for more copies, where the cluster has grown since the bucket was made.
    pub async fn add_replicas(self, jetstream: &Context, stream: &Stream) {
        // A server that is alone takes any number, and has one.
        if stream.cached_info().cluster.is_none() {
            return;
        }
        let now = stream.cached_info().config.num_replicas;
        for replicas in REPLICAS.into_iter().filter(|replicas| *replicas > now) {
            let config = Config { num_replicas: replicas, ..stream.cached_info().config.clone() };
            if jetstream.update_stream(config).await.is_ok() {
                tracing::info!(
                    bucket = self.name(),
                    replicas,
                    "bucket of the fleet has more copies"
                );
                return;
            }
        }
    }

    fn failed(self, what: &str, error: &dyn std::error::Error) -> String {
        format!("the fleet's bucket {} {what}: {}", self.name(), in_full(error))
    }
}

fn has_too_few_servers(error: &str) -> bool {
    TOO_FEW_SERVERS.iter().any(|code| error.contains(&code.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_has_a_subject_and_is_read_from_it() {
        let bucket = Bucket::Records(Kind::Dkim);
        for key in ["example.org\0rsa-20261125", "jörg@example.org", "*.>", ""] {
            let subject = bucket.subject(key.as_bytes());
            assert!(subject.starts_with("$KV.dkim."), "{subject}");
            assert_eq!(bucket.key(&subject).as_deref(), Some(key.as_bytes()));
        }
        assert_eq!(bucket.key("$KV.users.YQ"), None);
        assert_eq!(bucket.key("$KV.dkim.a.b"), None);
    }
}
