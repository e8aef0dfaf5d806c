//! `relay dkim list` and `show`.

use serde_json::{Value, json};

use super::facts;
use crate::cli::failure::Failure;
use crate::cli::rights::timestamp;
use crate::dkim::choice::{self, KeyFacts};
use crate::dkim::key::{Algorithm, NamedKey};
use crate::dkim::record::Record;
use crate::labels::Label as _;
use crate::store::{ListedKey, UserStore};

/// All keys, one a line.
pub fn list(store: &UserStore, json: bool) -> Result<String, Failure> {
    let listed = store.dkim_keys().map_err(Failure::trouble)?;
    let readable: Vec<NamedKey> = listed.iter().filter_map(readable).collect();
    if json {
        let rows: Vec<Value> = listed.iter().map(|key| as_json(key, &readable)).collect();
        return Ok(format!("{:#}\n", Value::Array(rows)));
    }
    if listed.is_empty() {
        return Ok("no DKIM keys; make them with: relay dkim add DOMAIN\n".to_owned());
    }
    let domain_width = listed.iter().map(|key| key.domain.as_str().len()).max().unwrap_or(0).max(6);
    let selector_width =
        listed.iter().map(|key| key.selector.as_str().len()).max().unwrap_or(0).max(8);
    let mut text = format!(
        "{:domain_width$}  {:selector_width$}  {:14}  {:20}  STATE\n",
        "DOMAIN", "SELECTOR", "ALGORITHM", "CREATED"
    );
    for key in &listed {
        let [algorithm, created, state] = match &key.record {
            Ok(record) => [
                Algorithm::from(record.algorithm).label().to_owned(),
                timestamp(record.created),
                state(key, &readable).to_owned(),
            ],
            Err(error) => [String::new(), String::new(), error.to_string()],
        };
        let (domain, selector) = (key.domain.as_str(), key.selector.as_str());
        text += &format!(
            "{domain:domain_width$}  {selector:selector_width$}  {algorithm:14}  {created:20}  {state}\n"
        );
    }
    Ok(text)
}

fn readable(key: &ListedKey) -> Option<NamedKey> {
    let record = key.record.as_ref().ok()?.clone();
    Some(NamedKey { domain: key.domain.clone(), selector: key.selector.clone(), record })
}

/// What a key does. Without `DKIM_REQUIRE_DNS` a key signs before DNS has it, too.
fn state(key: &ListedKey, all: &[NamedKey]) -> &'static str {
    let Ok(record) = &key.record else { return "damaged" };
    let of_domain: Vec<KeyFacts> =
        all.iter().filter(|other| other.domain == key.domain).map(facts).collect();
    let own = KeyFacts {
        algorithm: record.algorithm.into(),
        created: record.created,
        published: record.published,
    };
    match (own.published, choice::replaced_since(&of_domain, own)) {
        (_, Some(_)) => "replaced",
        (Some(_), None) => "signs",
        (None, None) => "waits for DNS",
    }
}

fn as_json(key: &ListedKey, all: &[NamedKey]) -> Value {
    match &key.record {
        Ok(record) => json!({
            "domain": key.domain,
            "selector": key.selector,
            "algorithm": Algorithm::from(record.algorithm).label(),
            "created": record.created,
            "published": record.published,
            "state": state(key, all),
        }),
        Err(error) => json!({
            "domain": key.domain,
            "selector": key.selector,
            "error": error.to_string(),
        }),
    }
}

/// The records of keys, in both ways that people enter them.
pub fn records(keys: &[NamedKey]) -> Result<String, Failure> {
    let mut zone = String::from("For a zone file:\n\n");
    let mut form = String::from("\nFor a web form, type TXT:\n\n");
    for key in keys {
        let record = Record::of(key)
            .map_err(|error| Failure::trouble(format!("the DKIM key {key}: {error}")))?;
        zone += &format!("{}\n", record.zone_line());
        form += &format!("name   {}\nvalue  {}\n\n", record.name, record.value);
    }
    Ok(zone + &form)
}
