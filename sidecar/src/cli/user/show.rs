//! `relay user list` and `show`, for people and as JSON.

use serde_json::{Value, json};

use super::super::rights::timestamp;
use super::super::{Exit, Failure};
use super::existing;
use crate::access::Standing;
use crate::config::{Config, ProcessEnvironment};
use crate::limits::account::{Account, AccountKey};
use crate::limits::rate::Limits;
use crate::users::store::UserStore;
use crate::users::{User, UserName, now};

pub fn list(store: &UserStore, json: bool) -> Result<String, Failure> {
    let users = store.list().map_err(|error| Failure::new(Exit::Trouble, error))?;
    if json {
        let values = users.iter().map(|(name, user)| match user {
            Ok(user) => as_json(name, user, &Account::default(), &Limits::default()),
            Err(error) => json!({ "name": name, "error": error.to_string() }),
        });
        return Ok(format!("{:#}\n", Value::Array(values.collect())));
    }
    if users.is_empty() {
        return Ok("no users; add one with: relay user add NAME\n".to_owned());
    }
    let width = users.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = users.iter().map(|(name, user)| match user {
        Ok(user) => format!(
            "{name:width$}  {:9}  {}  {}\n",
            state(user),
            timestamp(user.created),
            senders(user)
        ),
        Err(error) => format!("{name:width$}  {error}\n"),
    });
    Ok(lines.collect())
}

pub fn show(store: &UserStore, name: &UserName, json: bool) -> Result<String, Failure> {
    let user = existing(store, name)?;
    let account = store.account(&AccountKey::User(name.clone()));
    let account = account.map_err(|error| Failure::new(Exit::Trouble, error))?.unwrap_or_default();
    let limits = match &user.limits {
        Some(own) => own.clone(),
        None => Config::user_limits(&ProcessEnvironment).map_err(|mistakes| {
            Failure::new(Exit::BadSetting, format!("wrong settings:\n{mistakes}"))
        })?,
    };
    if json {
        return Ok(format!("{:#}\n", as_json(name.as_str(), &user, &account, &limits)));
    }
    let mut text = format!(
        "name      {name}\nstate     {}\ncreated   {}\nsenders   {}\nlog in    {}\n",
        state(&user),
        timestamp(user.created),
        senders(&user),
        networks(&user),
    );
    if let Some(expires) = user.expires {
        text += &format!("expires   {}\n", timestamp(expires));
    }
    if limits.0.is_empty() {
        text += "limit     none\n";
    }
    for limit in &limits.0 {
        let used = account.usage.used(now(), limit);
        let left = limit.most.saturating_sub(used);
        text += &format!("limit     {limit}: {used} used, {left} left\n");
    }
    for credential in &user.credentials {
        text += &format!("password  {}: set {}", credential.label, timestamp(credential.created));
        match account.last_logins.get(&credential.label) {
            Some(last) => {
                let from = last.address.map_or_else(|| "unknown".to_owned(), |a| a.to_string());
                text += &format!(", last used {} from {from}", timestamp(last.time));
            }
            None => text += ", not used yet",
        }
        if let Some(expires) = credential.expires {
            text += &format!(", expires {}", timestamp(expires));
        }
        text.push('\n');
    }
    if let Some(note) = &user.note {
        let shown: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text += &format!("note      {shown}\n");
    }
    Ok(text)
}

/// The hashes are not in it: they are of no use to a reader, and of some to an attacker.
fn as_json(name: &str, user: &User, account: &Account, limits: &Limits) -> Value {
    let passwords = user.credentials.iter().map(|credential| {
        let last = account.last_logins.get(&credential.label);
        json!({
            "label": credential.label,
            "created": timestamp(credential.created),
            "expires": credential.expires.map(timestamp),
            "last_used": last.map(|last| timestamp(last.time)),
            "last_address": last.and_then(|last| last.address),
        })
    });
    let usage = limits.0.iter().map(|limit| {
        let used = account.usage.used(now(), limit);
        json!({ "limit": limit.to_string(), "used": used, "left": limit.most.saturating_sub(used) })
    });
    json!({
        "name": name,
        "state": state(user),
        "enabled": user.enabled,
        "created": timestamp(user.created),
        "expires": user.expires.map(timestamp),
        "suspended": user.suspended.map(timestamp),
        "senders": user.senders,
        "limits": user.limits,
        "usage": usage.collect::<Vec<_>>(),
        "networks": user.login_networks,
        "passwords": passwords.collect::<Vec<_>>(),
        "note": user.note,
    })
}

fn state(user: &User) -> &'static str {
    match user.standing(now()) {
        Standing::Enabled => "enabled",
        Standing::Disabled => "disabled",
        Standing::Suspended => "suspended",
        Standing::Expired => "expired",
        Standing::Unknown => "unknown",
    }
}

/// Who a user may send as, in words.
pub fn senders(user: &User) -> String {
    if user.senders.is_empty() {
        return "any address".to_owned();
    }
    let patterns: Vec<String> = user.senders.iter().map(ToString::to_string).collect();
    patterns.join(", ")
}

fn networks(user: &User) -> String {
    if user.login_networks.is_empty() {
        return "from anywhere".to_owned();
    }
    let networks: Vec<String> = user.login_networks.iter().map(ToString::to_string).collect();
    format!("from {}", networks.join(", "))
}
