//! The fleet's buckets in the engine, in the form of NATS's key-value buckets, and the names of their keys.

use std::time::Duration;

use async_nats::Client;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jetstream::{self, Info, Trouble};
use crate::store::shared::Kind;

/// Says in a message that the key was removed, as NATS's tools do.
pub const OPERATION: &str = "KV-Operation";

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
const REPLICAS: [u64; 3] = [5, 3, 1];

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

    fn config(self, replicas: u64) -> Value {
        let (storage, max_age) = match self {
            // For ever: a mark of removal has to be there when a relay comes back after a year.
            Self::Records(_) => ("file", Duration::ZERO),
            Self::Usage => ("memory", USAGE_AGE),
            Self::Blocked => ("memory", BLOCKED_AGE),
            Self::Nodes => ("memory", NODES_AGE),
        };
        json!({
            "name": self.stream(),
            "subjects": [format!("$KV.{}.>", self.name())],
            "retention": "limits",
            "storage": storage,
            "max_age": u64::try_from(max_age.as_nanos()).unwrap_or(0),
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_msg_size": -1,
            "max_consumers": -1,
            "num_replicas": replicas,
            "discard": "new",
            "allow_rollup_hdrs": true,
            "deny_delete": true,
            "allow_direct": true,
        })
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
    pub async fn open(self, client: &Client) -> Result<Info, String> {
        let missing = match jetstream::info(client, &self.stream()).await {
            Ok(info) => {
                self.add_replicas(client, &info).await;
                return Ok(info);
            }
            Err(trouble) => trouble,
        };
        if !missing.is_no_stream() {
            return Err(self.failed("cannot be opened", &missing));
        }
        for replicas in REPLICAS {
            let create = format!("STREAM.CREATE.{}", self.stream());
            match jetstream::ask(client, &create, &self.config(replicas)).await {
                Ok(info) => {
                    tracing::info!(bucket = self.name(), replicas, "bucket of the fleet made");
                    return Ok(info);
                }
                Err(trouble) if replicas > 1 && trouble.is_too_few_servers() => {}
                // Another relay made it this very moment.
                Err(trouble) => {
                    let opened = jetstream::info(client, &self.stream()).await;
                    return opened.map_err(|_| self.failed("cannot be made", &trouble));
                }
            }
        }
        Err(format!("the fleet's bucket {} cannot be made", self.name()))
    }

    /// Asks for more copies, where the cluster has grown since the bucket was made: when all start together, the first relay
    /// finds one server.
    async fn add_replicas(self, client: &Client, info: &Info) {
        // A server that is alone takes any number, and after a restart refuses to open what has more than one.
        if !info.is_in_cluster() {
            return;
        }
        for replicas in REPLICAS.into_iter().filter(|replicas| *replicas > info.replicas()) {
            let mut config = info.config.clone();
            if let Some(config) = config.as_object_mut() {
                config.insert("num_replicas".to_owned(), replicas.into());
            }
            let update = format!("STREAM.UPDATE.{}", self.stream());
            match jetstream::ask::<Info>(client, &update, &config).await {
                Ok(_) => {
                    let bucket = self.name();
                    tracing::info!(bucket, replicas, "bucket of the fleet has more copies");
                    return;
                }
                Err(Trouble::Refused { .. }) => {}
                Err(_) => return,
            }
        }
    }

    fn failed(self, what: &str, trouble: &Trouble) -> String {
        format!("the fleet's bucket {} {what}: {trouble}", self.name())
    }
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
