//! `relay user import` and `export`.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::user::change_failed;
use super::{Exit, Failure};
use crate::password::{self, Arena, Cost, Password};
use crate::users::import::{Entry, Secret, parse};
use crate::users::store::UserStore;
use crate::users::{User, UserName, now};

/// Larger files are refused: a hundred thousand users fit.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The format of an export; import knows it by the first field.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    relay_users: u32,
    users: Vec<Exported>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    name: String,
    user: User,
}

const EXPORT_VERSION: u32 = 1;

/// Writes all users, or none when one cannot be read.
pub fn export(store: &UserStore) -> Result<String, Failure> {
    let trouble = |error| Failure::new(Exit::Trouble, error);
    let mut users = Vec::new();
    for (name, user) in store.list().map_err(trouble)? {
        users.push(Exported { name, user: user.map_err(trouble)? });
    }
    let export = Export { relay_users: EXPORT_VERSION, users };
    serde_json::to_string_pretty(&export)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(Exit::Trouble, error))
}

/// Reads a file of users and adds them all, or none when one line is wrong.
pub fn import(
    store: &UserStore,
    file: &Path,
    replace: bool,
    cost: Cost,
) -> Result<String, Failure> {
    let text = read(file)?;
    let users = if text.trim_start().starts_with('{') && text.contains("\"relay_users\"") {
        from_export(&text)?
    } else {
        from_lines(&text, cost)?
    };
    if users.is_empty() {
        return Err(Failure::new(Exit::BadInput, "no users in this file; nothing was changed"));
    }
    store.add_all(&users, replace).map_err(|error| {
        let failure = change_failed(error);
        let hint = if failure.exit == Exit::UserExists {
            "nothing was imported: --replace overwrites users that exist"
        } else {
            "nothing was imported"
        };
        Failure::new(failure.exit, format!("{}\n{hint}", failure.text))
    })?;
    let names: Vec<&str> = users.iter().map(|(name, _)| name.as_str()).collect();
    Ok(format!("{} imported: {}\n", names.len(), names.join(", ")))
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(MAX_FILE).read_to_string(&mut text))
    };
    match read {
        Ok(length) if length as u64 == MAX_FILE => {
            Err(Failure::new(Exit::BadInput, format!("{} is too large", file.display())))
        }
        Ok(_) => Ok(text),
        Err(error) => {
            Err(Failure::new(Exit::Trouble, format!("cannot read {}: {error}", file.display())))
        }
    }
}

fn from_export(text: &str) -> Result<Vec<(UserName, User)>, Failure> {
    let bad = |text: String| Failure::new(Exit::BadInput, text);
    let export: Export = serde_json::from_str(text)
        .map_err(|error| bad(format!("this is no export of relay: {error}")))?;
    if export.relay_users != EXPORT_VERSION {
        return Err(bad(format!("this export is of a later version ({})", export.relay_users)));
    }
    let mut users = Vec::new();
    for exported in export.users {
        let name = UserName::parse(&exported.name)
            .map_err(|error| bad(format!("{:?} is no user name: {error}", exported.name)))?;
        for credential in &exported.user.credentials {
            password::check(&credential.hash).map_err(|error| {
                bad(format!("password {:?} of user {name}: {error}", credential.label))
            })?;
        }
        users.push((name, exported.user));
    }
    Ok(users)
}

fn from_lines(text: &str, cost: Cost) -> Result<Vec<(UserName, User)>, Failure> {
    let entries = parse(text).map_err(|mistakes| {
        Failure::new(Exit::BadInput, mistakes.join("\n") + "\nnothing was imported")
    })?;
    let mut arena = Arena::default();
    let users = entries.into_iter().map(|Entry { name, secret }| {
        let hash = match secret {
            Secret::Hash(hash) => hash,
            Secret::Plain(plain) => {
                let password = Password::choose(plain.as_bytes()).map_err(|error| {
                    Failure::new(Exit::BadPassword, format!("user {name}: {error}"))
                })?;
                password::hash(&password, cost, &mut arena)
                    .map_err(|error| Failure::new(Exit::Trouble, error))?
            }
        };
        Ok((name, User::new(hash, now(), None)))
    });
    users.collect()
}
