//! RELAYHOST_MAP: a next hop for each sender, and RELAYHOST_MAP_PASSWORDS: their passwords.
//!
//! An entry is `@example.org=[smtp.example.net]:587:name`, and its password is the line
//! `@example.org=password` of the other variable, or better, of its file.

use std::collections::BTreeMap;

use super::environment::{Problem, Reader, Secret};
use super::hostname;
use super::next_hop::{Login, NextHop, check_password, parse_username};
use super::variables::{RELAYHOST_MAP, RELAYHOST_MAP_PASSWORDS};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderHop {
    /// `@example.org` or `alice@example.org`, in lower case.
    pub sender: String,
    pub hop: NextHop,
}

type Passwords = BTreeMap<String, Secret>;

pub fn read(reader: &mut Reader<'_>) -> Vec<SenderHop> {
    let mut passwords = read_passwords(reader);
    let text = reader.text(&RELAYHOST_MAP).unwrap_or_default();
    let mut hops: Vec<SenderHop> = Vec::new();
    for entry in text.split([',', ' ', '\t', '\n', '\r']).filter(|entry| !entry.is_empty()) {
        match parse_entry(entry, &mut passwords) {
            Ok(hop) if hops.iter().any(|other| other.sender == hop.sender) => {
                let advice = format!("{} stands in it twice; keep one", hop.sender);
                reader.problems.push(Problem::without_value(RELAYHOST_MAP.name, advice));
            }
            Ok(hop) => hops.push(hop),
            Err(advice) => {
                // Only the left side is shown: who writes a fourth field writes a password.
                let sender = entry.split_once('=').map_or("an entry", |(sender, _)| sender);
                let advice = format!("{}: {advice}", sender.escape_debug());
                reader.problems.push(Problem::without_value(RELAYHOST_MAP.name, advice));
            }
        }
    }
    for sender in passwords.keys() {
        let advice = format!("{sender} has no entry with a login in {}", RELAYHOST_MAP.name);
        reader.problems.push(Problem::without_value(RELAYHOST_MAP_PASSWORDS.name, advice));
    }
    hops
}

fn parse_entry(entry: &str, passwords: &mut Passwords) -> Result<SenderHop, String> {
    const FORMS: &str = "an entry is @example.org=[smtp.example.net]:587:name, or without the name \
                         where no login is needed";
    let (sender, target) = entry.split_once('=').ok_or(FORMS)?;
    let sender = parse_sender(sender)?;
    // Taken out in any case, so that a mistake in the entry is not a second one of the password.
    let password = passwords.remove(&sender);
    let (host, username) = split_target(target).ok_or(FORMS)?;
    let login = match (username, password) {
        (Some(username), Some(password)) => {
            Some(Login { username: parse_username(username)?, password })
        }
        (Some(_), None) => {
            return Err(format!(
                "a login needs a password: the line {sender}=password in {} or its file",
                RELAYHOST_MAP_PASSWORDS.name
            ));
        }
        (None, Some(_)) => {
            return Err(format!("a password without a name to log in with; {FORMS}"));
        }
        (None, None) => None,
    };
    Ok(SenderHop { sender, hop: NextHop::new(host, login)? })
}

/// The host with its port, and the name behind it.
fn split_target(target: &str) -> Option<(&str, Option<&str>)> {
    let behind_host = match target.starts_with('[') {
        true => target.find(']')? + 1,
        false => target.find(':').unwrap_or(target.len()),
    };
    let (_, rest) = target.split_at_checked(behind_host)?;
    let Some(second_colon) = rest.strip_prefix(':').and_then(|port| port.find(':')) else {
        return Some((target, None));
    };
    let (host, username) = target.split_at_checked(behind_host + 1 + second_colon)?;
    let username = username.strip_prefix(':').filter(|name| !name.is_empty())?;
    Some((host, Some(username)))
}

fn parse_sender(text: &str) -> Result<String, String> {
    let expected = "the sender must be @example.org, or an address like alice@example.org";
    let (local, domain) = text.rsplit_once('@').ok_or(expected)?;
    // What may stand in main.cf as it is.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    if !local.chars().all(is_plain) {
        return Err(format!("{expected}, with only letters, digits and . _ + - before the @"));
    }
    hostname::target_name(domain).map_err(|why| format!("{expected}; {why}"))?;
    Ok(text.to_ascii_lowercase())
}

fn read_passwords(reader: &mut Reader<'_>) -> Passwords {
    let mut passwords = Passwords::new();
    let Some(text) = reader.secret(&RELAYHOST_MAP_PASSWORDS) else {
        return passwords;
    };
    let lines = text.reveal().split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    for (at, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line
            .split_once('=')
            .ok_or_else(|| "must be sender=password, like @example.org=secret".to_owned())
            .and_then(|(sender, password)| {
                if password.is_empty() {
                    return Err("the password is empty".to_owned());
                }
                let password = Secret::new(password.to_owned());
                check_password(&password).map_err(|why| format!("the password {why}"))?;
                Ok((parse_sender(sender)?, password))
            });
        match parsed {
            Ok((sender, password)) => {
                if passwords.insert(sender, password).is_some() {
                    let advice = format!("line {} is for a sender that had a line before", at + 1);
                    reader
                        .problems
                        .push(Problem::without_value(RELAYHOST_MAP_PASSWORDS.name, advice));
                }
            }
            Err(advice) => {
                let advice = format!("line {} {advice}", at + 1);
                reader.problems.push(Problem::without_value(RELAYHOST_MAP_PASSWORDS.name, advice));
            }
        }
    }
    passwords
}

#[cfg(test)]
mod tests;
