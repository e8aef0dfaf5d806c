//! `relay dkim check`: what DNS says of the keys.

use super::{all_keys, facts, keys_of};
use crate::cli::failure::{Exit, Failure};
use crate::cli::progress::Progress;
use crate::cli::rights::timestamp;
use crate::clock::now;
use crate::dkim::choice::{self, KeyFacts, STAYS_PUBLISHED};
use crate::dkim::key::NamedKey;
use crate::dkim::names::Domain;
use crate::dkim::published::Finding;
use crate::signing::upkeep::{self, Answer};
use crate::store::UserStore;

/// Asks for the keys of one domain, or of all; notes what DNS has; returns what to print, and how
/// the command ends.
pub fn run(
    store: &UserStore,
    domain: Option<&Domain>,
) -> Result<(String, Result<(), Failure>), Failure> {
    let keys = match domain {
        Some(domain) => keys_of(store, domain)?,
        None => all_keys(store, None)?,
    };
    if keys.is_empty() {
        return Ok(("no DKIM keys; make them with: relay dkim add DOMAIN\n".to_owned(), Ok(())));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::trouble)?;
    let progress = Progress::working("asking DNS");
    let checked = runtime.block_on(upkeep::ask(keys)).map_err(Failure::trouble)?;
    drop(progress);
    for Answer { key, findings } in &checked {
        if let Ok(findings) = findings {
            upkeep::note(store, key, findings).map_err(Failure::trouble)?;
        }
    }
    let said = report(&checked, &all_keys(store, domain)?, now());
    Ok((said, end(&checked)))
}

/// What to print, with the keys as they are noted now.
fn report(checked: &[Answer], noted: &[NamedKey], now: u64) -> String {
    let mut text = String::new();
    for Answer { key, findings } in checked {
        let said = match findings {
            Ok(findings) if findings.is_empty() => "the record is right".to_owned(),
            Ok(findings) => {
                let words: Vec<String> = findings.iter().map(Finding::to_string).collect();
                words.join("; ")
            }
            Err(error) => format!("{error}; nothing changes"),
        };
        text += &format!("{key}: {said}{}\n", advice(key, noted, now));
    }
    let wrong = checked.iter().any(is_wrong);
    if wrong {
        text += "\nrelay dkim show DOMAIN prints the records as they have to be\n";
    }
    text
}

/// Of a key that was replaced: until when its record is needed. Mail that it signed may be on its
/// way, in queues that try for days.
fn advice(key: &NamedKey, noted: &[NamedKey], now: u64) -> String {
    let of_domain: Vec<KeyFacts> =
        noted.iter().filter(|other| other.domain == key.domain).map(facts).collect();
    let current =
        noted.iter().find(|other| other.domain == key.domain && other.selector == key.selector);
    let Some(since) = choice::replaced_since(&of_domain, facts(current.unwrap_or(key))) else {
        return String::new();
    };
    let until = since.saturating_add(STAYS_PUBLISHED.as_secs());
    let (domain, selector) = (&key.domain, &key.selector);
    if now < until {
        format!("; replaced, but leave its record until {}", timestamp(until))
    } else {
        format!("; replaced: its record can go, then relay dkim remove {domain} {selector}")
    }
}

fn is_wrong(answer: &Answer) -> bool {
    answer.findings.as_ref().is_ok_and(|findings| findings.iter().any(Finding::spoils))
}

fn end(checked: &[Answer]) -> Result<(), Failure> {
    if checked.iter().any(is_wrong) {
        return Err(Failure::new(
            Exit::RecordWrong,
            "DNS does not have every record as it has to be; keys without one do not sign",
        ));
    }
    if checked.iter().any(|checked| checked.findings.is_err()) {
        return Err(Failure::trouble("DNS did not answer for every record; try again later"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::key::{AlgorithmName, KeyRecord, PrivateKey};
    use crate::dns::DnsTrouble;

    const DAY: u64 = 86_400;

    fn key(selector: &str, created: u64, published: Option<u64>) -> NamedKey {
        let record = KeyRecord {
            algorithm: AlgorithmName::Ed25519,
            private: PrivateKey::from_seed(&[1; 32]),
            created,
            published,
        };
        NamedKey {
            domain: "example.org".parse().unwrap(),
            selector: selector.parse().unwrap(),
            record,
        }
    }

    #[test]
    fn a_replaced_record_has_to_stay_for_seven_days_after_the_next_key_took_over() {
        let keys = [key("old", 0, Some(0)), key("new", DAY, Some(2 * DAY))];
        let checked = |key: &NamedKey| Answer { key: key.clone(), findings: Ok(Vec::new()) };
        let checked: Vec<Answer> = keys.iter().map(checked).collect();
        let during = report(&checked, &keys, 9 * DAY - 1);
        assert!(
            during.contains("example.org/old: the record is right; replaced, but leave its record until 1970-01-10"),
            "{during}"
        );
        let after = report(&checked, &keys, 9 * DAY);
        assert!(after.contains("its record can go, then relay dkim remove example.org old"));
        assert!(after.contains("example.org/new: the record is right\n"), "{after}");
    }

    #[test]
    fn the_exit_code_tells_a_wrong_record_from_a_silent_dns() {
        let checked = |findings| Answer { key: key("s", 0, None), findings };
        let silence = || Err(DnsTrouble::new("example.org", "no answer"));
        let exit = |answers: Vec<_>| {
            let checked: Vec<Answer> = answers.into_iter().map(checked).collect();
            end(&checked).map_err(|failure| failure.exit)
        };
        assert_eq!(exit(vec![Ok(vec![]), Ok(vec![Finding::Testing])]), Ok(()));
        assert_eq!(exit(vec![silence()]), Err(Exit::Trouble));
        let both = vec![silence(), Ok(vec![Finding::Missing])];
        assert_eq!(exit(both), Err(Exit::RecordWrong));
    }
}
