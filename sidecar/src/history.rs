//! The last decisions and deliveries, so that "where is my mail?" has an answer. Pure; time is an argument.
//!
//! In memory only: it begins with the process, and the oldest entries make room for new ones. Refusals have room of
//! their own, because strangers can cause as many as they like.

mod filter;
mod redact;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use filter::Filter;
pub use redact::mask;

/// Accepted messages and deliveries that are kept, and refusals as well. With every field as long as it may be,
/// each take 3 MiB.
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
    /// Of a delivery: what the next hop answered, or why there is no answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// Of a deferred delivery: when Postfix tries again, in seconds since 1970; it may take some minutes more.
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

    /// Whom Postfix logs about: everything that can name a person.
    fn addresses(&mut self) -> [&mut String; 4] {
        [&mut self.user, &mut self.sender, &mut self.recipients, &mut self.answer]
    }

    fn bounded(mut self) -> Self {
        let Self { queue_id, user, client, sender, recipients, reason, next_hop, .. } = &mut self;
        for field in [queue_id, user, client, sender, recipients, reason, next_hop] {
            cut(field, MAX_FIELD);
        }
        cut(&mut self.answer, MAX_ANSWER);
        self
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
    entries: VecDeque<Entry>,
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
        self.entries.push_back(entry);
    }
}

/// What is remembered.
#[derive(Debug)]
pub struct History {
    messages: Recent,
    refusals: Recent,
    /// `LOG_REDACT`: whether local parts are masked.
    redacted: bool,
}

/// Entries that were asked for, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    pub entries: Vec<Entry>,
    /// Since when nothing is missing, in seconds since 1970.
    pub since: u64,
    /// How many entries there are in all.
    pub remembered: usize,
}

impl History {
    /// `now` is when the memory begins.
    pub fn new(now: u64, redacted: bool) -> Self {
        Self { messages: Recent::new(now), refusals: Recent::new(now), redacted }
    }

    pub fn add(&mut self, entry: Entry) {
        let mut entry = entry.bounded();
        if self.redacted {
            entry.addresses().into_iter().for_each(|text| *text = mask(text));
        }
        match entry.event {
            Event::Refused | Event::LoginRefused => self.refusals.add(entry),
            _ => self.messages.add(entry),
        }
    }

    /// The newest entries that match, at most `most`, and with a message all that is known of it.
    pub fn find(&self, filter: &Filter, most: usize) -> Excerpt {
        let filter = if self.redacted { filter.masked() } else { filter.clone() };
        let all = || self.messages.entries.iter().chain(&self.refusals.entries);
        let messages = filter.messages(all());
        let is_wanted =
            |entry: &&Entry| filter.matches(entry) || messages.contains(entry.queue_id.as_str());
        let mut found: Vec<&Entry> = all().filter(is_wanted).collect();
        // What belongs to one message stays in the order in which it was heard of.
        found.sort_by_key(|entry| entry.time);
        let skipped = found.len().saturating_sub(most);
        Excerpt {
            entries: found.into_iter().skip(skipped).cloned().collect(),
            since: self.messages.since.max(self.refusals.since),
            remembered: all().count(),
        }
    }
}

#[cfg(test)]
mod tests;
