//! RELAYHOST_MAP: next hops by envelope sender, and RELAYHOST_MAP_PASSWORDS with their passwords.
//!
//! An entry is `@example.org=[smtp.example.net]:587:username`, and its password is the line
//! `@example.org=password` of the other variable or, better, of its file.

use std::collections::BTreeMap;

use super::environment::Problem;
use super::hostname;
use super::next_hop::{Login, NextHop, check_password, parse_username};
use super::reader::Reader;
use super::secret::Secret;
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
    let entries = text.split([',', ' ', '\t', '\n', '\r']).filter(|entry| !entry.is_empty());
    for (at, entry) in entries.enumerate() {
        match parse_entry(entry, &mut passwords) {
            Ok(hop) if hops.iter().any(|other| other.sender == hop.sender) => {
                let advice = format!("{} is listed twice; remove one of them", hop.sender);
                reader.problems.push(Problem::without_value(RELAYHOST_MAP.name, advice));
            }
            Ok(hop) => hops.push(hop),
            Err(advice) => {
                // Anything but a sender may be a password: a superfluous field on the right, or what
                // stands behind a space as in Postfix's table.
                let sender = entry.split_once('=').and_then(|(left, _)| parse_sender(left).ok());
                let advice = match sender {
                    Some(sender) => format!("{sender}: {advice}"),
                    None => format!("entry {}: {advice}", at + 1),
                };
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
    const FORMS: &str = "must be @example.org=[smtp.example.net]:587:username, or without the user \
                         name if no login is needed";
    let (sender, target) = entry.split_once('=').ok_or(FORMS)?;
    let sender = parse_sender(sender)?;
    // Taken out in any case, so that a bad entry is not also reported as a password without an entry.
    let password = passwords.remove(&sender);
    let (host, username) = split_target(target).ok_or(FORMS)?;
    let login = match (username, password) {
        (Some(username), Some(password)) => {
            Some(Login { username: parse_username(username)?, password: Some(password) })
        }
        (Some(_), None) => {
            return Err(format!(
                "the login needs a password: add the line {sender}=password to {} or its file",
                RELAYHOST_MAP_PASSWORDS.name
            ));
        }
        (None, Some(_)) => {
            return Err(format!("there is a password for it, but no user name; {FORMS}"));
        }
        (None, None) => None,
    };
    Ok(SenderHop { sender, hop: NextHop::new(host, login)? })
}

/// Splits the host, with its port, from the user name.
fn split_target(target: &str) -> Option<(&str, Option<&str>)> {
    let end_of_host = match target.starts_with('[') {
        true => target.find(']')? + 1,
        false => target.find(':').unwrap_or(target.len()),
    };
    let (_, rest) = target.split_at_checked(end_of_host)?;
    let Some(second_colon) = rest.strip_prefix(':').and_then(|port| port.find(':')) else {
        return Some((target, None));
    };
    let (host, username) = target.split_at_checked(end_of_host + 1 + second_colon)?;
    let username = username.strip_prefix(':').filter(|name| !name.is_empty())?;
    Some((host, Some(username)))
}

fn parse_sender(text: &str) -> Result<String, String> {
    let expected =
        "the sender must be a domain like @example.org or an address like alice@example.org";
    let (local, domain) = text.rsplit_once('@').ok_or(expected)?;
    // Characters without a meaning in main.cf.
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
                    return Err("has an empty password".to_owned());
                }
                let password = Secret::new(password.to_owned());
                check_password(&password).map_err(|why| format!("has a password that {why}"))?;
                Ok((parse_sender(sender)?, password))
            });
        match parsed {
            Ok((sender, password)) => {
                if passwords.insert(sender, password).is_some() {
                    let advice = format!(
                        "line {} is the second one for its sender; remove one of them",
                        at + 1
                    );
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
