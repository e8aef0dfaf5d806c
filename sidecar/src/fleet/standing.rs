//! How a relay stands in its fleet, for all who show it. Pure data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How this relay stands in the fleet. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub node: String,
    /// Whether the engine answers.
    pub connected: bool,
    /// Since when.
    pub since: u64,
    /// Records that the engine has and this relay has not.
    pub behind: u64,
    /// Accounts whose counts the others do not know yet.
    pub untold: u64,
    /// Users and keys that did not check, and were not applied.
    pub damaged: BTreeSet<String>,
    /// Users and keys that a newer version of relay wrote.
    pub newer: BTreeSet<String>,
    /// Users and keys that are here and not in the engine, since its bucket is a new one.
    pub missing: Vec<String>,
    /// Whether another relay has the same name.
    pub has_double: bool,
}

impl Standing {
    /// Whether this relay follows nobody, because it has what the engine lacks.
    pub fn is_apart(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The same for people who may not know who uses the relay.
    #[must_use]
    pub fn without_names(self) -> Self {
        let number = |count: usize| format!("{count} records");
        let hidden = |names: BTreeSet<String>| match names.len() {
            0 => BTreeSet::new(),
            count => BTreeSet::from([number(count)]),
        };
        let missing = match self.missing.len() {
            0 => Vec::new(),
            count => vec![number(count)],
        };
        Self { damaged: hidden(self.damaged), newer: hidden(self.newer), missing, ..self }
    }
}
