//! Looks after the keys while the relay runs: makes those of `DKIM_DOMAINS`, and asks DNS every
//! hour whether the records are there.

use std::time::{Duration, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::dkim::choice::Rules;
use crate::dkim::key::{Algorithm, AlgorithmName, BadKey, KeyRecord, NamedKey, PrivateKey};
use crate::dkim::names::{Domain, Selector, record_name};
use crate::dkim::published::{self, Finding, Txt};
use crate::dns::{Dns, DnsTrouble};
use crate::store::{KeyChangeError, ListedKey, StoreError, UserStore};

/// How often DNS is asked for every record.
const ASK_EVERY: Duration = Duration::from_secs(3_600);

/// Runs until the relay stops.
pub async fn run(
    store: UserStore,
    domains: Vec<Domain>,
    rules: Rules,
    stopping: CancellationToken,
) {
    let making = store.clone();
    let made = tokio::task::spawn_blocking(move || make_missing(&making, &domains));
    if made.await.is_err() {
        tracing::error!("the DKIM keys of DKIM_DOMAINS could not be made: a thread ended");
    }
    if !rules.require_dns {
        return;
    }
    loop {
        ask_for_all(&store).await;
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// Makes two keys for each domain that has none.
fn make_missing(store: &UserStore, domains: &[Domain]) {
    for domain in domains {
        let made = match store.dkim_selectors(domain.as_str()) {
            Ok(selectors) if selectors.is_empty() => make(domain, &Algorithm::BOTH, &[], now())
                .map_err(|error| error.to_string())
                .and_then(|keys| store.add_dkim_keys(&keys).map_err(|error| error.to_string())),
            Ok(_) => continue,
            Err(error) => Err(error.to_string()),
        };
        match made {
            Ok(()) => tracing::warn!(
                %domain,
                "DKIM keys made: publish the records that relay dkim show {domain} prints, then run \
                 relay dkim check {domain}"
            ),
            Err(error) => tracing::error!(
                %domain, %error,
                "no DKIM keys made: mail of this domain leaves unsigned; run relay dkim add {domain}"
            ),
        }
    }
}

/// New keys with selectors that the domain does not have yet: what they are for, and the day.
///
/// # Errors
///
/// When the system has no random numbers.
pub fn make(
    domain: &Domain,
    algorithms: &[Algorithm],
    taken: &[Selector],
    now: u64,
) -> Result<Vec<NamedKey>, BadKey> {
    let key = |algorithm: &Algorithm| {
        let record = KeyRecord {
            algorithm: match algorithm {
                Algorithm::Rsa => AlgorithmName::Rsa,
                Algorithm::Ed25519 => AlgorithmName::Ed25519,
            },
            private: PrivateKey::generate(*algorithm)?,
            created: now,
            published: None,
        };
        let selector = free_selector(*algorithm, taken, now);
        Ok(NamedKey { domain: domain.clone(), selector, record })
    };
    algorithms.iter().map(key).collect()
}

fn free_selector(algorithm: Algorithm, taken: &[Selector], now: u64) -> Selector {
    let kind = match algorithm {
        Algorithm::Rsa => "rsa",
        Algorithm::Ed25519 => "ed",
    };
    let date = humantime::format_rfc3339(UNIX_EPOCH + Duration::from_secs(now)).to_string();
    let digits: String =
        date.chars().take("2026-11-25".len()).filter(char::is_ascii_digit).collect();
    let day = digits.parse().unwrap_or_default();
    let mut selectors = (1..=u32::MAX).map(|number| Selector::of_ours(kind, day, number));
    // The next number is free after as many as are taken.
    selectors
        .find(|selector| !taken.contains(selector))
        .unwrap_or_else(|| Selector::of_ours(kind, day, 0))
}

/// Asks for every record, and notes what changed.
async fn ask_for_all(store: &UserStore) {
    let keys = match read_keys(store) {
        Ok(keys) if keys.is_empty() => return,
        Ok(keys) => keys,
        Err(error) => {
            tracing::error!(%error, "the DKIM keys cannot be read");
            return;
        }
    };
    let answers = match ask(keys).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::warn!(%error, "DNS cannot be asked for DKIM records; nothing changes");
            return;
        }
    };
    let store = store.clone();
    // Writing waits for the disk.
    let noted = tokio::task::spawn_blocking(move || note_all(&store, &answers));
    if noted.await.is_err() {
        tracing::error!("what DNS says of DKIM keys is not noted: a thread ended");
    }
}

fn note_all(store: &UserStore, answers: &[Answer]) {
    for Answer { key, findings } in answers {
        match findings {
            Ok(findings) => {
                if let Err(error) = note(store, key, findings) {
                    tracing::error!(dkim = %key, %error, "what DNS says is not noted");
                }
            }
            Err(error) => tracing::warn!(
                dkim = %key, %error,
                "DNS does not answer; this key stays as it is, and DNS is asked again in an hour"
            ),
        }
    }
}

fn read_keys(store: &UserStore) -> Result<Vec<NamedKey>, StoreError> {
    let listed = store.dkim_keys()?.into_iter();
    Ok(listed
        .filter_map(|ListedKey { domain, selector, record }| match record {
            Ok(record) => Some(NamedKey { domain, selector, record }),
            Err(error) => {
                tracing::error!(%domain, %selector, %error, "this DKIM key cannot be used");
                None
            }
        })
        .collect())
}

/// What DNS says of a key.
#[derive(Debug)]
pub struct Answer {
    pub key: NamedKey,
    /// What is to be said of its record, unless DNS did not answer.
    pub findings: Result<Vec<Finding>, DnsTrouble>,
}

/// Questions that are asked at a time.
const AT_A_TIME: usize = 16;

/// Asks for the records of these keys.
///
/// # Errors
///
/// When this machine has no resolver to ask.
pub async fn ask(keys: Vec<NamedKey>) -> Result<Vec<Answer>, DnsTrouble> {
    let dns = Dns::from_system()?;
    let mut answers = Vec::new();
    for some in keys.chunks(AT_A_TIME) {
        let mut asking = JoinSet::new();
        for key in some.iter().cloned() {
            let dns = dns.clone();
            asking.spawn(async move {
                let found = dns.txt(&record_name(&key.domain, &key.selector)).await;
                Answer { findings: found.map(|found| compare(&key, &found.records)), key }
            });
        }
        answers.extend(asking.join_all().await);
    }
    answers.sort_by(|a, b| (&a.key.domain, &a.key.selector).cmp(&(&b.key.domain, &b.key.selector)));
    Ok(answers)
}

/// What is to be said of the records at a key's name.
pub fn compare(key: &NamedKey, records: &[Txt]) -> Vec<Finding> {
    let algorithm = key.record.algorithm.into();
    // A key whose public part cannot be made cannot be compared, and never equals a record.
    let public = key.record.private.public(algorithm).unwrap_or_default();
    published::compare(records, algorithm, &public)
}

/// Notes whether DNS has a key's record, where that is news, and says so in the log. Returns
/// whether DNS has it.
///
/// # Errors
///
/// When the database cannot be written.
pub fn note(store: &UserStore, key: &NamedKey, findings: &[Finding]) -> Result<bool, StoreError> {
    let is_there = !findings.iter().any(Finding::spoils);
    let was_there = key.record.published.is_some();
    if is_there != was_there {
        let published = is_there.then(now);
        match store.set_published(&key.domain, &key.selector, published) {
            // Removed a moment ago.
            Ok(()) | Err(KeyChangeError::Unknown(..) | KeyChangeError::Exists(..)) => {}
            Err(KeyChangeError::Store(error)) => return Err(error),
        }
    }
    let said: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let said = said.join("; ");
    match (was_there, is_there) {
        (false, true) => tracing::info!(dkim = %key, "DNS has this key: it signs from now on"),
        (true, false) => tracing::error!(
            dkim = %key, dns = said,
            "DNS has this key no more: it does not sign until its record is back"
        ),
        (false, false) => tracing::warn!(
            dkim = %key, dns = said,
            "DNS does not have this key yet: it does not sign; relay dkim show {} prints the record",
            key.domain
        ),
        (true, true) => {}
    }
    Ok(is_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_say_what_they_are_for_and_the_day_and_are_never_taken_twice() {
        let taken: Vec<Selector> =
            ["ed-20261125", "ed-20261125-2"].map(|text| text.parse().unwrap()).to_vec();
        let selector = |algorithm| free_selector(algorithm, &taken, 1_795_600_000).to_string();
        assert_eq!(selector(Algorithm::Ed25519), "ed-20261125-3");
        assert_eq!(selector(Algorithm::Rsa), "rsa-20261125");
    }
}
