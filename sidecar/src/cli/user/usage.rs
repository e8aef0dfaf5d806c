//! How much of its limits a user has used: by way of this relay, and of the others of a fleet.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::console::ask;
use crate::cli::failure::Failure;
use crate::control::protocol::{Answer, Question};
use crate::limits::limit::Limits;
use crate::limits::usage::Usage;
use crate::store::UserStore;
use crate::store::shared::Kind;
use crate::user_name::UserName;

/// What was used by way of the other relays of a fleet.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// By the relay's name.
    parts: Vec<(String, Usage)>,
    /// Whether nobody could be asked.
    is_unknown: bool,
}

impl Elsewhere {
    /// Asks the running daemon, if this database belongs to a fleet.
    pub fn ask(store: &UserStore, folder: &Path, name: &UserName) -> Result<Self, Failure> {
        if store.position(Kind::Users).map_err(Failure::trouble)?.is_none() {
            return Ok(Self::default());
        }
        let user = name.as_str().to_owned();
        Ok(match ask::daemon(folder, &Question::UsedElsewhere { user }) {
            Ok(Answer::UsedElsewhere(parts)) => Self { parts, is_unknown: false },
            _ => Self { parts: Vec::new(), is_unknown: true },
        })
    }

    fn usage(&self) -> Vec<Usage> {
        self.parts.iter().map(|(_, usage)| usage.clone()).collect()
    }

    /// A line for each limit.
    pub fn as_text(&self, here: &Usage, limits: &Limits, now: u64) -> String {
        let mut text = String::new();
        if limits.0.is_empty() {
            text += "limit     none\n";
        }
        let others = self.usage();
        for limit in &limits.0 {
            let used = here.used_in_all(now, limit, &others);
            let left = limit.most.saturating_sub(used);
            text += &format!("limit     {limit}: {used} used, {left} left");
            if !self.parts.is_empty() {
                let part = |(node, usage): &(String, Usage)| {
                    format!(", {node} {}", usage.used(now, limit))
                };
                let parts: String = self.parts.iter().map(part).collect();
                text += &format!(" (here {}{parts})", here.used(now, limit));
            }
            if self.is_unknown {
                text += " here; relay serve does not run, so the rest of the fleet is not known";
            }
            text.push('\n');
        }
        text
    }

    pub fn as_json(&self, here: &Usage, limits: &Limits, now: u64) -> Vec<Value> {
        let others = self.usage();
        let usage = limits.0.iter().map(|limit| {
            let used = here.used_in_all(now, limit, &others);
            let left = limit.most.saturating_sub(used);
            let mut value = json!({ "limit": limit.to_string(), "used": used, "left": left });
            if !self.parts.is_empty() {
                let part =
                    |(node, usage): &(String, Usage)| (node.clone(), usage.used(now, limit).into());
                let parts: serde_json::Map<String, Value> = self.parts.iter().map(part).collect();
                if let Some(value) = value.as_object_mut() {
                    value.insert("used_here".to_owned(), here.used(now, limit).into());
                    value.insert("used_elsewhere".to_owned(), parts.into());
                }
            }
            value
        });
        usage.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_600_000;

    fn sent(messages: u32) -> Usage {
        let mut usage = Usage::default();
        (0..messages).for_each(|_| usage.charge(NOW, 1));
        usage
    }

    #[test]
    fn the_sum_and_each_relays_part_are_shown() {
        let limits: Limits = "10/hour".parse().unwrap();
        let parts = vec![("b".to_owned(), sent(2)), ("c".to_owned(), sent(3))];
        let elsewhere = Elsewhere { parts, is_unknown: false };
        let text = elsewhere.as_text(&sent(1), &limits, NOW);
        assert_eq!(text, "limit     10/hour: 6 used, 4 left (here 1, b 2, c 3)\n");
        let json = json!(elsewhere.as_json(&sent(1), &limits, NOW));
        let expected = json!([{
            "limit": "10/hour", "used": 6, "left": 4, "used_here": 1, "used_elsewhere": { "b": 2, "c": 3 },
        }]);
        assert_eq!(json, expected);
    }

    #[test]
    fn a_relay_alone_shows_its_own() {
        let limits: Limits = "10/hour".parse().unwrap();
        let text = Elsewhere::default().as_text(&sent(1), &limits, NOW);
        assert_eq!(text, "limit     10/hour: 1 used, 9 left\n");
        assert_eq!(
            Elsewhere::default().as_text(&sent(1), &Limits::default(), NOW),
            "limit     none\n"
        );
    }
}
