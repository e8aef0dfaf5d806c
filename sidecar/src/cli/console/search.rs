//! What is looked for in the history.

use clap::Args;

use crate::history::Filter;

#[derive(Debug, Args)]
pub struct SearchOptions {
    /// Anything: a part of an address, a name, a queue id, a host or an answer
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Who logged in
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The envelope sender, or a part of it
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// An envelope recipient, or a part of it
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// Postfix's queue id
    #[arg(long, value_name = "ID")]
    pub queue_id: Option<String>,
    /// Why, as in the log, such as `rate_limit`; or what became of it, such as `deferred`
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// How many messages and refusals, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub limit: usize,
}

impl SearchOptions {
    pub fn filter(self) -> Filter {
        let Self { text, user, sender, recipient, queue_id, reason, limit: _ } = self;
        Filter { user, sender, recipient, queue_id, reason, text }
    }
}
