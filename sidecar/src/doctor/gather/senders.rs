//! Whose mail leaves here: the domains of users' senders and of keys.

use std::collections::BTreeSet;

use crate::dkim::key::NamedKey;
use crate::store::{ListedKey, StoreError, UserStore};

/// Domains that are looked at, and users that are read to find them: neither shall take long.
pub const MOST_DOMAINS: usize = 30;
const MOST_USERS: usize = 10_000;
const PAGE: usize = 500;

/// Domains to look at, those that were named first, and all keys that can be read.
///
/// # Errors
///
/// When the database cannot be read.
pub fn domains(
    store: &UserStore,
    named: &[String],
) -> Result<(Vec<String>, Vec<NamedKey>), StoreError> {
    let keys: Vec<NamedKey> = store.dkim_keys()?.into_iter().filter_map(readable).collect();
    let mut found: BTreeSet<String> =
        keys.iter().map(|key| key.domain.as_str().to_owned()).collect();
    let mut after: Option<String> = None;
    for _ in 0..MOST_USERS / PAGE {
        let page = store.users_after(after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        // One that cannot be read is told of elsewhere.
        let users = page.iter().filter_map(|(_, user)| user.as_ref().ok());
        let senders = users.flat_map(|user| &user.senders);
        found.extend(senders.map(|sender| sender.domain().to_owned()));
    }
    found.retain(|domain| !named.contains(domain));
    let all = named.iter().cloned().chain(found);
    Ok((all.take(MOST_DOMAINS).collect(), keys))
}

fn readable(listed: ListedKey) -> Option<NamedKey> {
    let ListedKey { domain, selector, record } = listed;
    Some(NamedKey { domain, selector, record: record.ok()? })
}
