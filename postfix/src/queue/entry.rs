//! A message as postqueue lists it, and which messages a command selects. Pure.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde_json::{Value, json};

use crate::answers::{Explanation, explain};

/// How postqueue prints the null sender. It never prints an address without its domain, so this is no
/// address; `MAILER-DAEMON@example.org` is one.
const NULL_SENDER: &str = "MAILER-DAEMON";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    /// `incoming`, `active`, `deferred`, `hold`, …
    pub queue: String,
    pub arrival: SystemTime,
    pub size: u64,
    /// Empty for the null sender.
    pub sender: String,
    /// The login it was submitted with, which postqueue does not report.
    pub user: Option<String>,
    pub recipients: Vec<Recipient>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub address: String,
    /// Why the last delivery attempt failed.
    pub reason: Option<String>,
}

impl Recipient {
    fn to_json(&self) -> Value {
        let of_receiver = self.reason.as_deref().and_then(explain);
        let explanation = of_receiver.map(|Explanation { receiver, meaning, remedy }| {
            json!({ "receiver": receiver, "meaning": meaning, "remedy": remedy })
        });
        json!({ "address": self.address, "reason": self.reason, "explanation": explanation })
    }
}

impl Entry {
    pub fn to_json(&self, now: SystemTime) -> Value {
        let recipients: Vec<Value> = self.recipients.iter().map(Recipient::to_json).collect();
        json!({
            "queue_id": self.id,
            "queue": self.queue,
            "arrival": humantime::format_rfc3339_seconds(self.arrival).to_string(),
            "age_seconds": now.duration_since(self.arrival).unwrap_or_default().as_secs(),
            "size": self.size,
            "sender": self.sender,
            "user": self.user,
            "recipients": recipients,
        })
    }
}

/// Parses the output of `postqueue -j`: one JSON object per line.
pub fn parse(text: &str) -> anyhow::Result<Vec<Entry>> {
    text.lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line)
                .with_context(|| format!("postqueue printed a line that is not JSON: {line}"))?;
            entry(&value)
                .with_context(|| format!("postqueue printed a message with fields missing: {line}"))
        })
        .collect()
}

fn entry(value: &Value) -> Option<Entry> {
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let seconds = value.get("arrival_time")?.as_u64()?;
    let recipients = value.get("recipients")?.as_array()?.iter();
    let recipients = recipients.map(|recipient| {
        let text = |name: &str| Some(recipient.get(name)?.as_str()?.to_owned());
        Some(Recipient { address: text("address")?, reason: text("delay_reason") })
    });
    Some(Entry {
        id: text("queue_id")?,
        queue: text("queue_name")?,
        arrival: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
        size: value.get("message_size")?.as_u64()?,
        sender: text("sender")
            .map(|sender| if sender == NULL_SENDER { String::new() } else { sender })?,
        user: None,
        recipients: recipients.collect::<Option<_>>()?,
    })
}

/// Which messages a command works on: those that match every condition that is set.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub ids: Vec<String>,
    pub user: Option<String>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub before: Option<SystemTime>,
}

impl Selection {
    pub fn matches_envelope(&self, entry: &Entry) -> bool {
        let recipients = || entry.recipients.iter();
        (self.ids.is_empty() || self.ids.contains(&entry.id))
            && self.sender.as_ref().is_none_or(|wanted| is_address(wanted, &entry.sender))
            && self
                .recipient
                .as_ref()
                .is_none_or(|wanted| recipients().any(|one| is_address(wanted, &one.address)))
            && self.before.is_none_or(|before| entry.arrival <= before)
    }

    /// User names are lower case; what the operator typed need not be.
    pub fn matches_user(&self, entry: &Entry) -> bool {
        let user = entry.user.as_deref().unwrap_or_default();
        self.user.as_ref().is_none_or(|wanted| wanted.to_lowercase() == user.to_lowercase())
    }
}

/// `@example.org` matches every address of a domain, and `<>` the null sender.
fn is_address(wanted: &str, address: &str) -> bool {
    let inner = wanted.strip_prefix('<').and_then(|wanted| wanted.strip_suffix('>'));
    let wanted = inner.unwrap_or(wanted).to_lowercase();
    let address = address.to_lowercase();
    match wanted.strip_prefix('@') {
        Some(domain) => address.rsplit_once('@').is_some_and(|(_, of)| of == domain),
        None => address == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of Postfix 3.10.13.
    const POSTQUEUE: &str = r#"{"queue_name": "deferred", "queue_id": "4jXvlj465Sz1Sm1P", "arrival_time": 1795000000, "message_size": 1561, "forced_expire": false, "sender": "alice@example.org", "recipients": [{"address": "bob@example.net", "delay_reason": "connect to 192.0.2.25[192.0.2.25]:2525: Connection refused"}, {"address": "carol@example.com"}]}
{"queue_name": "hold", "queue_id": "4jXvlj4F98z1Sm1Q", "arrival_time": 1795003600, "message_size": 12, "forced_expire": false, "sender": "MAILER-DAEMON", "recipients": [{"address": "alice@example.org"}]}
"#;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_output_of_postqueue_is_parsed() {
        let entries = parse(POSTQUEUE).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0].to_json(at(1_795_000_060)).to_string(),
            r#"{"age_seconds":60,"arrival":"2026-11-18T11:06:40Z","queue":"deferred","queue_id":"4jXvlj465Sz1Sm1P","recipients":[{"address":"bob@example.net","explanation":null,"reason":"connect to 192.0.2.25[192.0.2.25]:2525: Connection refused"},{"address":"carol@example.com","explanation":null,"reason":null}],"sender":"alice@example.org","size":1561,"user":null}"#
        );
        assert_eq!(entries[1].sender, "");
        assert_eq!(parse("").unwrap(), []);
        for sender in ["MAILER-DAEMON@example.org", "x-MAILER-DAEMON@a.test", "mailer-daemon"] {
            let line = POSTQUEUE.lines().next().unwrap().replace("alice@example.org", sender);
            assert_eq!(parse(&line).unwrap()[0].sender, sender);
        }
        assert!(parse("Mail queue is empty").is_err() && parse("{}").is_err());
    }

    #[test]
    fn a_message_is_selected_when_it_matches_every_condition() {
        let mut entries = parse(POSTQUEUE).unwrap();
        entries[0].user = Some("alice".to_owned());
        let some = |text: &str| Some(text.to_owned());
        let selected = |selection: Selection| {
            let of = entries.iter();
            let of = of.filter(|e| selection.matches_envelope(e) && selection.matches_user(e));
            of.map(|entry| entry.queue.as_str()).collect::<Vec<_>>().join(" ")
        };
        for (selection, expected) in [
            (Selection::default(), "deferred hold"),
            (Selection { ids: vec!["4jXvlj4F98z1Sm1Q".into()], ..Selection::default() }, "hold"),
            (Selection { user: some("Alice"), ..Selection::default() }, "deferred"),
            (Selection { user: some("bob"), ..Selection::default() }, ""),
            (Selection { sender: some("Alice@example.org"), ..Selection::default() }, "deferred"),
            (Selection { sender: some("<>"), ..Selection::default() }, "hold"),
            (Selection { sender: some("@example.org"), ..Selection::default() }, "deferred"),
            (Selection { sender: some("@ample.org"), ..Selection::default() }, ""),
            (
                Selection { recipient: some("carol@example.com"), ..Selection::default() },
                "deferred",
            ),
            (Selection { recipient: some("@example.org"), ..Selection::default() }, "hold"),
            (Selection { before: Some(at(1_795_000_000)), ..Selection::default() }, "deferred"),
            (Selection { before: Some(at(1)), ..Selection::default() }, ""),
            (Selection { sender: some("<>"), user: some("alice"), ..Selection::default() }, ""),
        ] {
            let shown = format!("{selection:?}");
            assert_eq!(selected(selection), expected, "{shown}");
        }
    }
}
