//! `relay user list` and `show`, for people and as JSON.

use std::io::Write;

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::listing::{for_each_user, written};
use super::super::rights::timestamp;
use super::existing;
use super::usage::Elsewhere;
use crate::access::Standing;
use crate::clock::now;
use crate::config::{Config, ProcessEnvironment};
use crate::limits::account::{Account, AccountKey};
use crate::printable::on_a_terminal;
use crate::store::UserStore;
use crate::user_name::UserName;
use crate::users::User;

/// Columns as wide as most names need. The list is printed as it is read, so the longest name is
/// not known before.
const NAME_WIDTH: usize = 24;

/// Prints all users, one per line.
pub fn list(store: &UserStore, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json {
        return list_json(store, out);
    }
    if store.user_count().map_err(Failure::trouble)? == 0 {
        return written(writeln!(out, "no users; add one with: relay user add NAME"));
    }
    let [name, state, created] = ["NAME", "STATE", "CREATED"];
    written(writeln!(out, "{name:NAME_WIDTH$}  {state:9}  {created:20}  SENDERS"))?;
    for_each_user(store, |name, user| {
        let name = on_a_terminal(name);
        written(match user {
            Ok(user) => {
                let (state, created) = (state_of(&user), timestamp(user.created));
                writeln!(out, "{name:NAME_WIDTH$}  {state:9}  {created:20}  {}", senders(&user))
            }
            Err(error) => {
                let error = on_a_terminal(&error.to_string());
                writeln!(out, "{name:NAME_WIDTH$}  {:9}  {error}", "damaged")
            }
        })
    })
}

fn list_json(store: &UserStore, out: &mut impl Write) -> Result<(), Failure> {
    let mut separator = "[";
    for_each_user(store, |name, user| {
        let value = match user {
            Ok(user) => as_json(name, &user, &Account::default(), Vec::new()),
            Err(error) => json!({ "name": name, "error": error.to_string() }),
        };
        written(write!(out, "{separator}\n{value}"))?;
        separator = ",";
        Ok(())
    })?;
    written(out.write_all(if separator == "[" { b"[]\n" } else { b"\n]\n" }))
}

pub fn show(
    store: &UserStore,
    name: &UserName,
    elsewhere: &Elsewhere,
    json: bool,
) -> Result<String, Failure> {
    let user = existing(store, name)?;
    let account = store.account(&AccountKey::User(name.clone())).map_err(Failure::trouble)?;
    // An earlier user of this name may have left one behind.
    let account = account.filter(|account| account.owner == user.id).unwrap_or_default();
    let limits = match &user.limits {
        Some(own) => own.clone(),
        None => Config::user_limits(&ProcessEnvironment)?,
    };
    if json {
        let used = elsewhere.as_json(&account.usage, &limits, now());
        return Ok(format!("{:#}\n", as_json(name.as_str(), &user, &account, used)));
    }
    let mut text = format!(
        "name      {}\nstate     {}\ncreated   {}\nsenders   {}\nnetworks  {}\n",
        on_a_terminal(name.as_str()),
        state_of(&user),
        timestamp(user.created),
        senders(&user),
        networks(&user),
    );
    if let Some(expires) = user.expires {
        text += &format!("expires   {}\n", timestamp(expires));
    }
    text += &elsewhere.as_text(&account.usage, &limits, now());
    for credential in &user.credentials {
        let label = on_a_terminal(&credential.label);
        text += &format!("password  {label}: set {}", timestamp(credential.created));
        match account.last_logins.get(&credential.label) {
            Some(last) => {
                let from = last.address.map_or_else(|| "unknown".to_owned(), |a| a.to_string());
                text += &format!(", last used {} from {from}", timestamp(last.time));
            }
            None => text += ", never used",
        }
        if !credential.unguessable {
            text += ", could be guessed";
        }
        if let Some(expires) = credential.expires {
            text += &format!(", expires {}", timestamp(expires));
        }
        text.push('\n');
    }
    if let Some(note) = &user.note {
        text += &format!("note      {}\n", on_a_terminal(note));
    }
    Ok(text)
}

/// Without the hashes: they are no use to a reader, and some to an attacker.
fn as_json(name: &str, user: &User, account: &Account, usage: Vec<Value>) -> Value {
    let passwords = user.credentials.iter().map(|credential| {
        let last = account.last_logins.get(&credential.label);
        json!({
            "label": credential.label,
            "created": timestamp(credential.created),
            "unguessable": credential.unguessable,
            "expires": credential.expires.map(timestamp),
            "last_used": last.map(|last| timestamp(last.time)),
            "last_address": last.and_then(|last| last.address),
        })
    });
    json!({
        "name": name,
        "state": state_of(user),
        "enabled": user.enabled,
        "created": timestamp(user.created),
        "expires": user.expires.map(timestamp),
        "suspended": user.suspended.map(timestamp),
        "senders": user.senders,
        "limits": user.limits,
        "usage": usage,
        "networks": user.login_networks,
        "passwords": passwords.collect::<Vec<_>>(),
        "note": user.note,
    })
}

fn state_of(user: &User) -> &'static str {
    match user.standing(now()) {
        Standing::Enabled => "enabled",
        Standing::Disabled => "disabled",
        Standing::Suspended => "suspended",
        Standing::Expired => "expired",
        Standing::OtherNetwork | Standing::LoginOutdated | Standing::Unknown => "unknown",
    }
}

/// Who a user may send as, in words.
pub fn senders(user: &User) -> String {
    if user.senders.is_empty() {
        return "any address".to_owned();
    }
    let patterns: Vec<String> = user.senders.iter().map(ToString::to_string).collect();
    on_a_terminal(&patterns.join(", "))
}

fn networks(user: &User) -> String {
    if user.login_networks.is_empty() {
        return "any".to_owned();
    }
    let networks: Vec<String> = user.login_networks.iter().map(ToString::to_string).collect();
    networks.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::NewHash;

    #[test]
    fn a_table_shows_what_would_be_invisible_or_move_other_text() {
        let folder = tempfile::tempdir().unwrap();
        let store = UserStore::open(folder.path()).unwrap();
        let name = UserName::parse("alice").unwrap();
        let user = User {
            senders: vec!["bo\u{200b}b@example.org".parse().unwrap()],
            note: Some("fax\u{202e}\n2nd floor".to_owned()),
            ..User::new(NewHash { hash: "x".into(), unguessable: true }, 0)
        };
        store.add(&name, &user).unwrap();
        let shown = show(&store, &name, &Elsewhere::default(), false).unwrap();
        assert!(shown.contains("senders   bo\\u{200b}b@example.org\n"), "{shown}");
        assert!(shown.contains("note      fax\\u{202e}\\u{a}2nd floor\n"), "{shown}");
        let mut listed = Vec::new();
        list(&store, false, &mut listed).unwrap();
        let listed = String::from_utf8(listed).unwrap();
        assert!(listed.ends_with("bo\\u{200b}b@example.org\n"), "{listed}");
    }
}
