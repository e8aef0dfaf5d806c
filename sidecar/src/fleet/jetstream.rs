//! The part of JetStream that a fleet needs: streams, their messages, and messages written by compare-and-set. It is a JSON
//! API over requests (docs.nats.io, "NATS API Reference"), and the client's own layer for all of it takes two megabytes.

use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::connection::State as Connection;
use async_nats::{Client, HeaderMap, Message};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::link::in_full;

/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a question is repeated that changes nothing. Electing another leader takes up to nine seconds.
const PATIENCE: Duration = Duration::from_secs(9);
const PAUSE: Duration = Duration::from_millis(300);
/// Error codes of the engine.
const UNAVAILABLE: u64 = 10_008;
const NO_STREAM: u64 = 10_059;
const NO_MESSAGE: u64 = 10_037;
const WRONG_REVISION: u64 = 10_071;
/// "no suitable peers for placement" and "replicas > 1 not supported in non-clustered mode".
const TOO_FEW_SERVERS: [u64; 2] = [10_005, 10_074];
const EXPECTED_REVISION: &str = "Nats-Expected-Last-Subject-Sequence";

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody took the request.
    Away(String),
    /// It was sent, and nothing is known of what became of it.
    NoAnswer(String),
    Refused {
        code: u64,
        text: String,
    },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(text) | Self::NoAnswer(text) => f.write_str(text),
            Self::Refused { code, text } => write!(f, "{text} (error {code})"),
        }
    }
}

impl Trouble {
    pub fn is_no_stream(&self) -> bool {
        matches!(self, Self::Refused { code: NO_STREAM, .. })
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::Refused { code: UNAVAILABLE, .. })
    }

    pub fn is_no_message(&self) -> bool {
        matches!(self, Self::Refused { code: NO_MESSAGE, .. })
    }

    pub fn is_wrong_revision(&self) -> bool {
        matches!(self, Self::Refused { code: WRONG_REVISION, .. })
    }

    pub fn is_too_few_servers(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if TOO_FEW_SERVERS.contains(code))
    }
}

/// What is known of a stream.
#[derive(Debug, Clone, Deserialize)]
pub struct Info {
    /// Everything that it was made with.
    pub config: Value,
    /// Tells it from another one of the same name.
    pub created: String,
    pub state: State,
    /// Missing where a server is alone, or without a name.
    cluster: Option<Value>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct State {
    pub messages: u64,
    pub last_seq: u64,
}

impl Info {
    pub fn is_in_cluster(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.get("name").is_some())
    }

    pub fn replicas(&self) -> u64 {
        self.config.get("num_replicas").and_then(Value::as_u64).unwrap_or(1)
    }
}

/// A message as the engine keeps it.
#[derive(Debug, Deserialize)]
pub struct Stored {
    pub seq: u64,
    /// In base64.
    #[serde(default)]
    pub data: String,
    /// In base64, as they are on the wire.
    #[serde(default)]
    pub hdrs: String,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error: Error,
}

#[derive(Debug, Deserialize)]
struct Error {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Asks the engine. The body may be `null`.
///
/// # Errors
///
/// When it does not answer, or refuses.
pub async fn ask<T: DeserializeOwned>(
    client: &Client,
    what: &str,
    body: &Value,
) -> Result<T, Trouble> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::new().payload(body.into());
    read(&send(client, format!("$JS.API.{what}"), request).await?)
}

/// Asks what changes nothing, and asks again: a stream without a leader leaves a question unanswered until it has one.
async fn ask_again<T: DeserializeOwned>(
    client: &Client,
    what: &str,
    body: &Value,
) -> Result<T, Trouble> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask(client, what, body).await;
        let is_passing = answer.as_ref().is_err_and(Trouble::is_passing);
        if !is_passing
            || Instant::now() >= end
            || client.connection_state() != Connection::Connected
        {
            return answer;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn send(client: &Client, subject: String, request: Request) -> Result<Message, Trouble> {
    let sent = client.send_request(subject, request.timeout(Some(TIMEOUT))).await;
    sent.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => {
            Trouble::Away("no server of it can decide at the moment".to_owned())
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            Trouble::Refused { code: 0, text: in_full(&error) }
        }
        RequestErrorKind::TimedOut | RequestErrorKind::Other => Trouble::NoAnswer(in_full(&error)),
    })
}

fn read<T: DeserializeOwned>(answer: &Message) -> Result<T, Trouble> {
    if let Ok(Refusal { error }) = serde_json::from_slice(&answer.payload) {
        return Err(Trouble::Refused { code: error.err_code, text: error.description });
    }
    let strange = |error| Trouble::NoAnswer(format!("it answers something strange: {error}"));
    serde_json::from_slice(&answer.payload).map_err(strange)
}

/// # Errors
///
/// As [`ask`].
pub async fn info(client: &Client, stream: &str) -> Result<Info, Trouble> {
    ask_again(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await
}

/// The newest message of a subject, if there is one, from the server that decides about it.
///
/// # Errors
///
/// As [`ask`].
pub async fn newest(
    client: &Client,
    stream: &str,
    subject: &str,
) -> Result<Option<Stored>, Trouble> {
    #[derive(Deserialize)]
    struct Found {
        message: Stored,
    }
    let body = json!({ "last_by_subj": subject });
    match ask_again::<Found>(client, &format!("STREAM.MSG.GET.{stream}"), &body).await {
        Ok(found) => Ok(Some(found.message)),
        Err(trouble) if trouble.is_no_message() => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// A message to be written.
#[derive(Debug, Clone)]
pub struct Writing {
    pub subject: String,
    pub payload: Vec<u8>,
    /// Names and values.
    pub header: Option<(&'static str, &'static str)>,
    /// The revision that the subject must have; 0 is none.
    pub expected: Option<u64>,
}

impl Writing {
    /// Whatever the subject has so far.
    pub fn over(subject: String, payload: Vec<u8>) -> Self {
        Self { subject, payload, header: None, expected: None }
    }
}

/// Writes a message, and returns its revision.
///
/// # Errors
///
/// As [`ask`]; and when the subject has another revision.
pub async fn write(client: &Client, writing: Writing) -> Result<u64, Trouble> {
    #[derive(Deserialize)]
    struct Taken {
        seq: u64,
    }
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = writing.header {
        headers.insert(name, value);
    }
    if let Some(expected) = writing.expected {
        headers.insert(EXPECTED_REVISION, expected.to_string());
    }
    let request = Request::new().payload(writing.payload.into()).headers(headers);
    let answer = send(client, writing.subject, request).await?;
    read::<Taken>(&answer).map(|taken| taken.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_alone_is_no_cluster_whatever_its_version() {
        let info = |cluster: Value| {
            let mut info = json!({
                "config": {"num_replicas": 1},
                "created": "2026-11-25T12:00:00Z",
                "state": {"messages": 0, "last_seq": 0},
            });
            if let Some(info) = info.as_object_mut().filter(|_| !cluster.is_null()) {
                info.insert("cluster".to_owned(), cluster);
            }
            serde_json::from_value::<Info>(info).unwrap()
        };
        assert!(!info(Value::Null).is_in_cluster(), "2.9");
        assert!(!info(json!({ "leader": "nats0" })).is_in_cluster(), "2.10");
        assert!(info(json!({ "name": "fleet", "leader": "nats0" })).is_in_cluster());
    }
}
