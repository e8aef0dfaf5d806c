//! `relay dkim …`: one function for each command.

mod check;
mod command;
mod import;
mod listing;

use std::io::{self, BufWriter, Write as _};
use std::str::FromStr;

pub use command::{DkimCommand, ImportArguments};

use super::database::{open, open_to_change};
use super::failure::{Exit, Failure};
use super::listing::written;
use super::progress::Progress;
use crate::clock::now;
use crate::dkim::choice::{self, KeyFacts};
use crate::dkim::key::{Algorithm, NamedKey};
use crate::dkim::names::{Domain, Selector};
use crate::signing::upkeep;
use crate::store::{KeyChangeError, ListedKey, UserStore};

/// Runs one command and prints what it did.
///
/// # Errors
///
/// With a text for the operator and an exit code.
pub fn run(command: DkimCommand) -> Result<(), Failure> {
    let mut end = Ok(());
    let said = match command {
        DkimCommand::Add { domain, data } => {
            add(&open_to_change(&data.path)?, &parse(&domain.text)?)?
        }
        DkimCommand::List { json, data } => listing::list(&open(&data.path)?, json)?,
        DkimCommand::Show { domain, data } => {
            listing::records(&keys_of(&open(&data.path)?, &parse(&domain.text)?)?)?
        }
        DkimCommand::Check { domain, data } => {
            let domain = domain.as_deref().map(parse).transpose()?;
            let (said, checked) = check::run(&open_to_change(&data.path)?, domain.as_ref())?;
            end = checked;
            said
        }
        DkimCommand::Rotate { domain, data } => {
            rotate(&open_to_change(&data.path)?, &parse(&domain.text)?)?
        }
        DkimCommand::Import(arguments) => {
            import::run(&open_to_change(&arguments.data.path)?, &arguments)?
        }
        DkimCommand::Export { domain, selector, data } => {
            let key = open(&data.path)?.dkim_key(&parse(&domain.text)?, &parse(&selector)?)?;
            // Straight to the output: a copy in a string would not be wiped.
            written(io::stdout().lock().write_all(key.record.private.to_pem().as_bytes()))?;
            String::new()
        }
        DkimCommand::Remove { domain, selector, data } => {
            remove(&open_to_change(&data.path)?, &parse(&domain.text)?, &parse(&selector)?)?
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    written(out.write_all(said.as_bytes()).and_then(|()| out.flush()))?;
    end
}

fn parse<T: FromStr<Err = String>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|mistake| Failure::new(Exit::BadName, mistake))
}

impl From<KeyChangeError> for Failure {
    fn from(error: KeyChangeError) -> Self {
        match error {
            KeyChangeError::Exists(..) => Self::new(Exit::UserExists, error),
            KeyChangeError::Unknown(..) => Self::new(Exit::UserUnknown, error),
            KeyChangeError::Store(error) => error.into(),
        }
    }
}

/// All keys, or those of one domain. One that cannot be read is an error that names it.
fn all_keys(store: &UserStore, domain: Option<&Domain>) -> Result<Vec<NamedKey>, Failure> {
    let mut keys = Vec::new();
    for ListedKey { domain: of, selector, record } in store.dkim_keys().map_err(Failure::trouble)? {
        if domain.is_none_or(|domain| *domain == of) {
            let record = record.map_err(Failure::trouble)?;
            keys.push(NamedKey { domain: of, selector, record });
        }
    }
    Ok(keys)
}

/// The keys of a domain that must have some.
fn keys_of(store: &UserStore, domain: &Domain) -> Result<Vec<NamedKey>, Failure> {
    let keys = all_keys(store, Some(domain))?;
    if keys.is_empty() {
        let text = format!("{domain} has no DKIM keys; make them with: relay dkim add {domain}");
        return Err(Failure::new(Exit::UserUnknown, text));
    }
    Ok(keys)
}

fn facts(key: &NamedKey) -> KeyFacts {
    let record = &key.record;
    let algorithm = record.algorithm.into();
    KeyFacts { algorithm, created: record.created, published: record.published }
}

fn add(store: &UserStore, domain: &Domain) -> Result<String, Failure> {
    if !all_keys(store, Some(domain))?.is_empty() {
        let text = format!(
            "{domain} has DKIM keys already: relay dkim show {domain} prints them, relay dkim rotate \
             {domain} makes the next ones"
        );
        return Err(Failure::new(Exit::UserExists, text));
    }
    let keys = make(domain, &Algorithm::BOTH, &[])?;
    store.add_dkim_keys(&keys)?;
    Ok(format!("DKIM keys of {domain} made\n\n{}", to_publish(domain, &keys)?))
}

fn rotate(store: &UserStore, domain: &Domain) -> Result<String, Failure> {
    let keys = keys_of(store, domain)?;
    let all_facts: Vec<KeyFacts> = keys.iter().map(facts).collect();
    for key in &keys {
        if choice::waits_to_replace(&all_facts, facts(key)) {
            let text = format!(
                "{key} is the next key already, and DNS does not have it yet: relay dkim show \
                 {domain} prints its record"
            );
            return Err(Failure::new(Exit::BadInput, text));
        }
    }
    let has = |algorithm: &&Algorithm| all_facts.iter().any(|key| key.algorithm == **algorithm);
    let algorithms: Vec<Algorithm> = Algorithm::BOTH.iter().filter(has).copied().collect();
    let taken: Vec<Selector> = keys.into_iter().map(|key| key.selector).collect();
    let next = make(domain, &algorithms, &taken)?;
    store.add_dkim_keys(&next)?;
    Ok(format!(
        "the next DKIM keys of {domain} made; the old ones sign until DNS has these\n\n{}",
        to_publish(domain, &next)?
    ))
}

/// An RSA key may take a second or two.
fn make(
    domain: &Domain,
    algorithms: &[Algorithm],
    taken: &[Selector],
) -> Result<Vec<NamedKey>, Failure> {
    let _progress = Progress::working("making keys");
    upkeep::make(domain, algorithms, taken, now()).map_err(Failure::trouble)
}

/// The records of new keys, and what comes next.
fn to_publish(domain: &Domain, keys: &[NamedKey]) -> Result<String, Failure> {
    Ok(format!(
        "{}Publish these records, then run: relay dkim check {domain}\n",
        listing::records(keys)?
    ))
}

fn remove(store: &UserStore, domain: &Domain, selector: &Selector) -> Result<String, Failure> {
    store.remove_dkim_key(domain, selector)?;
    let left = store.dkim_selectors(domain.as_str()).map_err(Failure::trouble)?.len();
    let hint = match left {
        0 => format!("mail of {domain} leaves unsigned now\n"),
        _ => String::new(),
    };
    Ok(format!("DKIM key {domain}/{selector} removed\n{hint}"))
}
