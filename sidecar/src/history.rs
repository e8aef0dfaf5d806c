//! The last decisions and deliveries, so that "where is my mail?" has an answer. Pure; time is an argument.
//!
//! In memory only: it begins with the process, and the oldest entries make room for new ones. What strangers are
//! refused has room of its own, because they can cause as much of it as they like.

mod filter;
mod redact;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use filter::Filter;
pub use redact::{Redaction, Redactor};

/// Entries about messages that are kept, and as many about strangers. With every field as long as it may be, each
/// take 3 MiB.
pub const MAX_ENTRIES: usize = 1_000;
/// Bytes of a field; an address has at most 320 (RFC 3696, erratum 1690).
const MAX_FIELD: usize = 320;
/// Bytes of a next hop's answer.
const MAX_ANSWER: usize = 512;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A message was accepted.
    Accepted,
    /// A recipient or a message was refused.
    Refused,
    LoginRefused,
    /// A next hop took the message for one recipient.
    Sent,
    /// It did not yet, and Postfix will try again.
    Deferred,
    Bounced,
    /// Postfix gave the message up because of its age.
    Expired,
}

impl Event {
    /// As shown in a list.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::LoginRefused => "login refused",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
        }
    }
}

/// One event. Fields that do not apply are empty; their text is a peer's, and not safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: u64,
    pub event: Event,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub queue_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sender: String,
    /// Envelope recipients, as many as are known, separated by commas.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recipients: String,
    /// Of a decision: the word of the log and the metrics.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Of a delivery: the next hop, as `host[address]:port`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next_hop: String,
    /// Of a refusal: our reply. Of a delivery: what the next hop answered, or why there is no answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// Of a deferred delivery: when Postfix tries again, in seconds since 1970; it may take some minutes more. Not
    /// known in the first seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<u64>,
}

impl Entry {
    /// An entry with nothing but what happened.
    pub fn new(time: u64, event: Event) -> Self {
        Self {
            time,
            event,
            queue_id: String::new(),
            user: String::new(),
            client: String::new(),
            sender: String::new(),
            recipients: String::new(),
            reason: String::new(),
            next_hop: String::new(),
            answer: String::new(),
            next_try: None,
        }
    }

    /// The entry as it may be kept: addresses redacted, and every field as long as it may be at most.
    #[must_use]
    pub fn kept(mut self, redactor: &Redactor) -> Self {
        // Long before anything is cut, so that no part of an address is left without its `@`.
        if !redactor.is_off() {
            for text in [&mut self.user, &mut self.sender, &mut self.recipients, &mut self.answer] {
                *text = redactor.text(text);
            }
        }
        let Self { queue_id, user, client, sender, recipients, reason, next_hop, .. } = &mut self;
        for field in [queue_id, user, client, sender, recipients, reason, next_hop] {
            cut(field, MAX_FIELD);
        }
        cut(&mut self.answer, MAX_ANSWER);
        self
    }

    /// Whether anybody on the Internet can have such entries made.
    fn is_of_a_stranger(&self) -> bool {
        match self.event {
            Event::LoginRefused => true,
            Event::Refused => self.user.is_empty(),
            _ => false,
        }
    }
}

/// Shortens a text to so many bytes, an ellipsis included.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most.saturating_sub('…'.len_utf8())).rev();
        let end = end.into_iter().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text.shrink_to_fit();
}

/// The last entries of a kind.
#[derive(Debug)]
struct Recent {
    entries: VecDeque<Arc<Entry>>,
    /// Since when none is missing.
    since: u64,
}

impl Recent {
    fn new(now: u64) -> Self {
        Self { entries: VecDeque::new(), since: now }
    }

    fn add(&mut self, entry: Entry) {
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.pop_front();
            self.since = self.entries.front().map_or(entry.time, |oldest| oldest.time);
        }
        self.entries.push_back(Arc::new(entry));
    }
}

/// What is remembered.
#[derive(Debug)]
pub struct History {
    messages: Recent,
    strangers: Recent,
}

/// Entries that were asked for: each message with all that is known of it, and last what had news last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    pub entries: Vec<Entry>,
    /// Since when nothing is missing, in seconds since 1970.
    pub since: u64,
    /// How many entries there are in all.
    pub remembered: usize,
}

/// Everything at one moment. It takes no time to make, and is looked through at leisure.
#[derive(Debug)]
pub struct Snapshot {
    entries: Vec<Arc<Entry>>,
    since: u64,
}

impl History {
    /// `now` is when the memory begins.
    pub fn new(now: u64) -> Self {
        Self { messages: Recent::new(now), strangers: Recent::new(now) }
    }

    pub fn add(&mut self, entry: Entry) {
        match entry.is_of_a_stranger() {
            true => self.strangers.add(entry),
            false => self.messages.add(entry),
        }
    }

    /// Notes when Postfix tries again, by queue id.
    pub fn retries(&mut self, times: &HashMap<&str, u64>) {
        for entry in &mut self.messages.entries {
            // An earlier attempt is known to have been followed by this one.
            let is_open = entry.event == Event::Deferred && entry.next_try.is_none();
            let time = times.get(entry.queue_id.as_str()).filter(|time| **time >= entry.time);
            if let Some(time) = time.filter(|_| is_open) {
                Arc::make_mut(entry).next_try = Some(*time);
            }
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let all = self.messages.entries.iter().chain(&self.strangers.entries);
        let mut entries: Vec<Arc<Entry>> = all.cloned().collect();
        // What belongs to one message stays in the order in which it was heard of.
        entries.sort_by_key(|entry| entry.time);
        Snapshot { entries, since: self.messages.since.max(self.strangers.since) }
    }
}

impl Snapshot {
    /// The newest messages that match, at most `most`. A refusal that has no queue id counts as one.
    pub fn find(&self, filter: &Filter, most: usize) -> Excerpt {
        let mut messages: Vec<Vec<&Entry>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for entry in self.entries.iter().map(Arc::as_ref) {
            let id = entry.queue_id.as_str();
            let place = if id.is_empty() { None } else { places.get(id) };
            match place.and_then(|place| messages.get_mut(*place)) {
                Some(message) => message.push(entry),
                None => {
                    places.insert(id, messages.len());
                    messages.push(vec![entry]);
                }
            }
        }
        messages.retain(|message| filter.matches(message));
        messages.sort_by_key(|message| message.last().map(|entry| entry.time));
        let skipped = messages.len().saturating_sub(most);
        let found = messages.into_iter().skip(skipped).flatten();
        let remembered = self.entries.len();
        Excerpt { entries: found.cloned().collect(), since: self.since, remembered }
    }
}

#[cfg(test)]
mod tests;
