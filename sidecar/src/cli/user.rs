//! `relay user …`: one function for each command.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::password_input::{NewPassword, new_password};
use super::{Exit, Failure, PasswordSource, UserCommand};
use crate::config::{Config, ProcessEnvironment};
use crate::password::{self, Arena};
use crate::users::store::{ChangeError, UserStore};
use crate::users::{User, UserName};

/// Runs one command and prints what it did.
///
/// # Errors
///
/// With a text for the operator and an exit code; nothing was changed then.
pub fn run(command: UserCommand, out: &mut impl Write) -> Result<(), Failure> {
    let said = match command {
        UserCommand::Add { name, password, note, data } => {
            add(&open(&data.path)?, &parse(&name)?, &password, note)?
        }
        UserCommand::Remove { name, data } => remove(&open(&data.path)?, &parse(&name)?)?,
        UserCommand::List { json, data } => list(&open(&data.path)?, json)?,
        UserCommand::Show { name, json, data } => show(&open(&data.path)?, &parse(&name)?, json)?,
        UserCommand::Passwd { name, password, data } => {
            passwd(&open(&data.path)?, &parse(&name)?, &password)?
        }
        UserCommand::Enable { name, data } => enable(&open(&data.path)?, &parse(&name)?, true)?,
        UserCommand::Disable { name, data } => enable(&open(&data.path)?, &parse(&name)?, false)?,
    };
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(Exit::Trouble, format!("cannot write the answer: {error}")))
}

fn open(folder: &std::path::Path) -> Result<UserStore, Failure> {
    UserStore::open(folder).map_err(|error| Failure::new(Exit::Trouble, error))
}

fn parse(name: &str) -> Result<UserName, Failure> {
    UserName::parse(name)
        .map_err(|error| Failure::new(Exit::BadName, format!("{name:?} is no user name: {error}")))
}

fn change_failed(error: ChangeError) -> Failure {
    match error {
        ChangeError::Exists(name) => Failure::new(
            Exit::UserExists,
            format!("user {name} exists already; for a new password: relay user passwd {name}"),
        ),
        ChangeError::Unknown(name) => Failure::new(
            Exit::UserUnknown,
            format!("there is no user {name}; relay user list shows who there is"),
        ),
        ChangeError::Store(error) => Failure::new(Exit::Trouble, error),
    }
}

fn add(
    store: &UserStore,
    name: &UserName,
    source: &PasswordSource,
    note: Option<String>,
) -> Result<String, Failure> {
    // Asked first, so that nobody types a password in vain.
    if get(store, name)?.is_some() {
        return Err(change_failed(ChangeError::Exists(name.clone())));
    }
    let new = new_password(source)?;
    let user = User::new(hash(&new)?, now(), note);
    store.add(name, &user).map_err(change_failed)?;
    Ok(format!("user {name} added; may send with any sender address\n{}", shown_once(&new)))
}

fn passwd(store: &UserStore, name: &UserName, source: &PasswordSource) -> Result<String, Failure> {
    if get(store, name)?.is_none() {
        return Err(change_failed(ChangeError::Unknown(name.clone())));
    }
    let new = new_password(source)?;
    let hash = hash(&new)?;
    store.update(name, |user| user.set_password(hash, now())).map_err(change_failed)?;
    Ok(format!("password of user {name} changed\n{}", shown_once(&new)))
}

fn remove(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.remove(name).map_err(change_failed)?;
    Ok(format!("user {name} removed\n"))
}

fn enable(store: &UserStore, name: &UserName, enabled: bool) -> Result<String, Failure> {
    store.update(name, |user| user.enabled = enabled).map_err(change_failed)?;
    Ok(format!("user {name} {}\n", if enabled { "enabled" } else { "disabled" }))
}

fn list(store: &UserStore, json: bool) -> Result<String, Failure> {
    let users = store.list().map_err(|error| Failure::new(Exit::Trouble, error))?;
    if json {
        let values = users.iter().map(|(name, user)| match user {
            Ok(user) => as_json(name, user),
            Err(error) => serde_json::json!({ "name": name, "error": error.to_string() }),
        });
        return Ok(format!("{:#}\n", serde_json::Value::Array(values.collect())));
    }
    if users.is_empty() {
        return Ok("no users; add one with: relay user add NAME\n".to_owned());
    }
    let width = users.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = users.iter().map(|(name, user)| match user {
        Ok(user) => format!("{name:width$}  {:8}  {}\n", state(user), timestamp(user.created)),
        Err(error) => format!("{name:width$}  {error}\n"),
    });
    Ok(lines.collect())
}

fn show(store: &UserStore, name: &UserName, json: bool) -> Result<String, Failure> {
    let Some(user) = get(store, name)? else {
        return Err(change_failed(ChangeError::Unknown(name.clone())));
    };
    if json {
        return Ok(format!("{:#}\n", as_json(name.as_str(), &user)));
    }
    let mut text = format!(
        "name      {name}\nstate     {}\ncreated   {}\nsenders   any\n",
        state(&user),
        timestamp(user.created)
    );
    for credential in &user.credentials {
        text += &format!("password  {}, set {}\n", credential.label, timestamp(credential.created));
    }
    if let Some(note) = &user.note {
        text += &format!("note      {}\n", crate::printable::Printable(note.as_bytes()));
    }
    Ok(text)
}

fn get(store: &UserStore, name: &UserName) -> Result<Option<User>, Failure> {
    store.get(name).map_err(|error| Failure::new(Exit::Trouble, error))
}

fn hash(new: &NewPassword) -> Result<String, Failure> {
    let cost = Config::cost(&ProcessEnvironment).map_err(|mistakes| {
        Failure::new(Exit::BadSetting, format!("wrong settings:\n{mistakes}"))
    })?;
    password::hash(&new.password, cost, &mut Arena::default())
        .map_err(|error| Failure::new(Exit::Trouble, error))
}

fn shown_once(new: &NewPassword) -> String {
    new.generated.as_ref().map_or_else(String::new, |password| {
        format!("password: {}\nwrite it down: it is not stored and not shown again\n", **password)
    })
}

/// The hash is not in it: it is of no use to a reader, and of some to an attacker.
fn as_json(name: &str, user: &User) -> serde_json::Value {
    let passwords = user.credentials.iter().map(|credential| {
        serde_json::json!({ "label": credential.label, "created": timestamp(credential.created) })
    });
    serde_json::json!({
        "name": name,
        "enabled": user.enabled,
        "created": timestamp(user.created),
        "passwords": passwords.collect::<Vec<_>>(),
        "note": user.note,
    })
}

fn state(user: &User) -> &'static str {
    if user.enabled { "enabled" } else { "disabled" }
}

fn timestamp(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// Seconds since 1970; 0 on a machine whose clock stands before.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
