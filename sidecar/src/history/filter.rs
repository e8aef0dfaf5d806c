//! Which messages are wanted. Pure.

use serde::{Deserialize, Serialize};

use super::{Entry, Redactor};

/// A message is wanted when everything that is set matches one of its entries: `user` may be that of its acceptance,
/// and `reason` that of a delivery. Case does not matter, but for the queue id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The whole name.
    pub user: Option<String>,
    /// A part is enough; `<>` is the null sender.
    pub sender: Option<String>,
    /// A part is enough.
    pub recipient: Option<String>,
    pub queue_id: Option<String>,
    /// The reason of a decision, or what happened, such as `deferred`.
    pub reason: Option<String>,
    /// Anywhere.
    pub text: Option<String>,
}

impl Filter {
    /// Whether a message is wanted, by all its entries.
    pub fn matches(&self, message: &[&Entry]) -> bool {
        let any = |wanted: &Option<String>, matches: &dyn Fn(&Entry, &str) -> bool| {
            let Some(wanted) = wanted else { return true };
            message.iter().any(|entry| matches(entry, wanted))
        };
        any(&self.queue_id, &|entry, wanted| entry.queue_id == wanted)
            && any(&self.user, &|entry, wanted| is_same(&entry.user, wanted))
            && any(&self.sender, &|entry, wanted| contains(&entry.sender, wanted))
            && any(&self.recipient, &|entry, wanted| contains(&entry.recipients, wanted))
            && any(&self.reason, &is_reason)
            && any(&self.text, &is_anywhere)
    }

    /// The same for entries whose addresses are redacted.
    #[must_use]
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let redact = |text: &Option<String>| text.as_deref().map(|text| redactor.text(text));
        Self {
            user: redact(&self.user),
            sender: redact(&self.sender),
            recipient: redact(&self.recipient),
            text: redact(&self.text),
            ..self.clone()
        }
    }
}

fn is_reason(entry: &Entry, wanted: &str) -> bool {
    is_same(&entry.reason, wanted) || is_same(entry.event.words(), &wanted.replace('_', " "))
}

fn is_anywhere(entry: &Entry, wanted: &str) -> bool {
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
    .iter()
    .any(|field| contains(field, wanted))
}

fn is_same(field: &str, wanted: &str) -> bool {
    field.to_lowercase() == wanted.to_lowercase()
}

fn contains(field: &str, wanted: &str) -> bool {
    field.to_lowercase().contains(&wanted.to_lowercase())
}
