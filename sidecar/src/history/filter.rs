//! Which entries are wanted. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Entry, mask};

/// All that is set must match, without regard to case; a part of the field is enough, but for the queue id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    pub user: Option<String>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub queue_id: Option<String>,
    pub reason: Option<String>,
    /// Anywhere.
    pub text: Option<String>,
}

impl Filter {
    pub fn matches(&self, entry: &Entry) -> bool {
        let Self { user, sender, recipient, queue_id, reason, text } = self;
        let within = |wanted: &Option<String>, field: &str| {
            wanted.as_deref().is_none_or(|wanted| contains(field, wanted))
        };
        let everywhere = || {
            [
                entry.queue_id.as_str(),
                &entry.user,
                &entry.client,
                &entry.sender,
                &entry.recipients,
                &entry.reason,
                &entry.next_hop,
                &entry.answer,
                entry.event.words(),
            ]
        };
        queue_id.as_deref().is_none_or(|wanted| entry.queue_id == wanted)
            && within(user, &entry.user)
            && within(sender, &entry.sender)
            && within(recipient, &entry.recipients)
            && within(reason, &entry.reason)
            && text
                .as_deref()
                .is_none_or(|wanted| everywhere().iter().any(|field| contains(field, wanted)))
    }

    /// The queue ids of messages that match: their deliveries name neither user nor sender, and are wanted all
    /// the same.
    pub(super) fn messages<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> HashSet<&'a str> {
        let is_about_a_message = |entry: &&Entry| !entry.queue_id.is_empty();
        let found = entries.filter(is_about_a_message).filter(|entry| self.matches(entry));
        found.map(|entry| entry.queue_id.as_str()).collect()
    }

    /// The same for entries whose addresses are masked.
    pub(super) fn masked(&self) -> Self {
        let mask = |text: &Option<String>| text.as_deref().map(mask);
        Self {
            user: mask(&self.user),
            sender: mask(&self.sender),
            recipient: mask(&self.recipient),
            text: mask(&self.text),
            ..self.clone()
        }
    }
}

fn contains(field: &str, wanted: &str) -> bool {
    field.to_lowercase().contains(&wanted.to_lowercase())
}
