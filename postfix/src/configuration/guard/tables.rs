//! Lookup tables in a value: which types this image has, and what is written out in the value itself.
//!
//! The content of files is the operator's business, and may change while Postfix runs.

use super::words;

/// Types that this image can read without asking anybody else: no sockets, no other programs, and not
/// the environment, which holds secrets.
const TYPES: &[&str] = &["cidr", "fail", "inline", "lmdb", "regexp", "static", "texthash"];
/// Tables of tables.
const OF_TABLES: &[&str] = &["pipemap", "unionmap"];
/// What access(5) and header_checks(5) can do to a message besides refusing it. A message that is
/// held waits forever, because nobody here looks for it.
const MOVES_MAIL: &[&str] = &["BCC", "DISCARD", "FILTER", "HOLD", "REDIRECT"];
/// The transport that throws mail away.
const DISCARD: &str = "discard";

/// A list of tables, or of names among which tables may be.
pub fn tables(value: &str) -> Result<(), String> {
    words(value).iter().try_for_each(|word| table(word))
}

/// One word, which Postfix takes for a table if it has a colon and does not start with a bracket.
pub fn table(word: &str) -> Result<(), String> {
    let word = word.trim_start_matches('!');
    let Some((kind, name)) = word.split_once(':') else { return Ok(()) };
    if word.starts_with('[') || TYPES.contains(&kind) {
        return Ok(());
    }
    if OF_TABLES.contains(&kind) {
        let inner = name.trim().strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        return tables(inner.unwrap_or(name));
    }
    Err(format!(
        "uses a table of type {kind}, which this image does not have or which asks another server; \
         use {} or {}",
        TYPES.join(", "),
        OF_TABLES.join(", ")
    ))
}

/// Everything that is written out in the value itself, word by word: keys, patterns and results.
fn written_out(value: &str) -> Vec<&str> {
    let divides = |character: char| character.is_ascii_whitespace() || "{}=,".contains(character);
    value.split(divides).map(after_the_type).filter(|word| !word.is_empty()).collect()
}

/// `static:DISCARD` has its result where other types have a name.
fn after_the_type(word: &str) -> &str {
    word.strip_prefix("static:").unwrap_or(word)
}

/// Tables whose results are actions: none that moves, copies or drops a message.
pub fn content(value: &str) -> Result<(), String> {
    tables(value)?;
    no_action_that_moves_mail(value)
}

pub fn no_action_that_moves_mail(value: &str) -> Result<(), String> {
    let is_one = |word: &&str| MOVES_MAIL.iter().any(|action| word.eq_ignore_ascii_case(action));
    match written_out(value).into_iter().find(is_one) {
        Some(action) => Err(format!(
            "contains {action}, which drops, holds, copies or redirects mail after the client was told \
             that it was accepted"
        )),
        None => Ok(()),
    }
}

/// Whether a table permits something in a list that may only refuse.
pub fn permits(value: &str) -> bool {
    let is_permit = |word: &str| {
        ["ok", "relay"].iter().any(|action| word.eq_ignore_ascii_case(action))
            || word.to_ascii_lowercase().starts_with("permit")
    };
    let found = words(value);
    let mut tables = found.iter().filter(|word| word.contains(':'));
    tables.any(|word| written_out(word).into_iter().any(is_permit))
}

/// Tables of transports: none that throws mail away.
pub fn transport_tables(value: &str) -> Result<(), String> {
    tables(value)?;
    let is_discard =
        |word: &str| word.split_once(':').map_or(word, |(transport, _)| transport) == DISCARD;
    match written_out(value).into_iter().any(is_discard) {
        true => Err("names the transport discard, which throws mail away".to_owned()),
        false => Ok(()),
    }
}

/// One transport, with or without a next hop.
pub fn transport(value: &str) -> Result<(), String> {
    let name = value.split_once(':').map_or(value, |(name, _)| name).trim();
    let hop = name.strip_prefix("hop").unwrap_or_default();
    let is_hop = !hop.is_empty() && hop.bytes().all(|byte| byte.is_ascii_digit());
    match ["", "smtp", "error", "retry"].contains(&name) || is_hop {
        true => Ok(()),
        false => Err(format!(
            "names the transport {name}, which does not exist here or throws mail away; use smtp, \
             error, retry or a hop of RELAYHOST_MAP (hop1, …)"
        )),
    }
}

/// EHLO keywords that are ignored from some next hops: STARTTLS and AUTH must not be among them.
pub fn asked_keywords(value: &str) -> Result<(), String> {
    tables(value)?;
    let is_needed = |word: &&str| ["starttls", "auth"].iter().any(|w| word.eq_ignore_ascii_case(w));
    match written_out(value).into_iter().find(is_needed) {
        Some(word) => {
            Err(format!("must not contain {word}, or mail would go without TLS or login"))
        }
        None => Ok(()),
    }
}
