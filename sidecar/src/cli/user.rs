//! `relay user …`: one function for each command that changes a user.

mod show;

use std::io::Write;
use std::path::Path;

use super::password_input::{NewPassword, new_password};
use super::rights::{Rights, parse_time};
use super::transfer;
use super::{Exit, Failure, PasswordCommand, PasswordSource, RightsOptions, UserCommand};
use crate::config::{Config, ProcessEnvironment};
use crate::password::{self, Arena, Cost};
use crate::users::store::{ChangeError, UserStore};
use crate::users::{Credential, MAX_CREDENTIALS, User, UserName, now};

/// Runs one command and prints what it did.
///
/// # Errors
///
/// With a text for the operator and an exit code; nothing was changed then.
pub fn run(command: UserCommand, out: &mut impl Write) -> Result<(), Failure> {
    let said = match command {
        UserCommand::Add { name, password, rights, data } => {
            add(&open(&data.path)?, &parse(&name)?, &password, &rights)?
        }
        UserCommand::Set { name, rights, data } => {
            set(&open(&data.path)?, &parse(&name)?, &rights)?
        }
        UserCommand::Remove { name, data } => remove(&open(&data.path)?, &parse(&name)?)?,
        UserCommand::List { json, data } => show::list(&open(&data.path)?, json)?,
        UserCommand::Show { name, json, data } => {
            show::show(&open(&data.path)?, &parse(&name)?, json)?
        }
        UserCommand::Passwd { name, password, data } => {
            passwd(&open(&data.path)?, &parse(&name)?, &password)?
        }
        UserCommand::Password(PasswordCommand::Add { name, label, password, expires, data }) => {
            let expires = expires.as_deref();
            add_password(&open(&data.path)?, &parse(&name)?, &label, &password, expires)?
        }
        UserCommand::Password(PasswordCommand::Remove { name, label, data }) => {
            remove_password(&open(&data.path)?, &parse(&name)?, &label)?
        }
        UserCommand::Enable { name, data } => enable(&open(&data.path)?, &parse(&name)?)?,
        UserCommand::Disable { name, data } => disable(&open(&data.path)?, &parse(&name)?)?,
        UserCommand::Import { file, replace, data } => {
            transfer::import(&open(&data.path)?, &file, replace, cost()?)?
        }
        UserCommand::Export { data } => transfer::export(&open(&data.path)?)?,
    };
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(Exit::Trouble, format!("cannot write the answer: {error}")))
}

fn open(folder: &Path) -> Result<UserStore, Failure> {
    UserStore::open(folder).map_err(|error| Failure::new(Exit::Trouble, error))
}

fn parse(name: &str) -> Result<UserName, Failure> {
    UserName::parse(name)
        .map_err(|error| Failure::new(Exit::BadName, format!("{name:?} is no user name: {error}")))
}

/// The failure for a change that was not made.
pub fn change_failed(error: ChangeError) -> Failure {
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

/// Reads a user who must be there.
fn existing(store: &UserStore, name: &UserName) -> Result<User, Failure> {
    let found = store.get(name).map_err(|error| Failure::new(Exit::Trouble, error))?;
    found.ok_or_else(|| change_failed(ChangeError::Unknown(name.clone())))
}

fn add(
    store: &UserStore,
    name: &UserName,
    source: &PasswordSource,
    rights: &RightsOptions,
) -> Result<String, Failure> {
    // All is checked first, so that nobody types a password in vain.
    let rights = Rights::parse(rights, now())?;
    if store.get(name).map_err(|error| Failure::new(Exit::Trouble, error))?.is_some() {
        return Err(change_failed(ChangeError::Exists(name.clone())));
    }
    let new = new_password(source)?;
    let mut user = User::new(hash(&new)?, now(), None);
    rights.apply(&mut user);
    store.add(name, &user).map_err(change_failed)?;
    Ok(format!("user {name} added; may send as {}\n{}", show::senders(&user), shown_once(&new)))
}

fn set(store: &UserStore, name: &UserName, rights: &RightsOptions) -> Result<String, Failure> {
    let rights = Rights::parse(rights, now())?;
    if rights.is_empty() {
        return Err(Failure::new(
            Exit::BadInput,
            "nothing to set: name --sender, --limit, --network, --expires or --note",
        ));
    }
    let user = store.update(name, |user| rights.apply(user)).map_err(change_failed)?;
    Ok(format!("user {name} changed; may send as {}\n", show::senders(&user)))
}

fn passwd(store: &UserStore, name: &UserName, source: &PasswordSource) -> Result<String, Failure> {
    existing(store, name)?;
    let new = new_password(source)?;
    let hash = hash(&new)?;
    store.update(name, |user| user.set_password(hash, now())).map_err(change_failed)?;
    Ok(format!("password of user {name} changed\n{}", shown_once(&new)))
}

fn add_password(
    store: &UserStore,
    name: &UserName,
    label: &str,
    source: &PasswordSource,
    expires: Option<&str>,
) -> Result<String, Failure> {
    let bad_input = |text: String| Failure::new(Exit::BadInput, text);
    Credential::check_label(label).map_err(bad_input)?;
    let expires = expires.map(|text| parse_time(text, now())).transpose();
    let expires = expires.map_err(|mistake| bad_input(format!("--expires: {mistake}")))?;
    check_room(name, &existing(store, name)?, label)?;
    let new = new_password(source)?;
    let credential =
        Credential { label: label.to_owned(), hash: hash(&new)?, created: now(), expires };
    // Another command may have added one in the meantime.
    let mut checked = Ok(());
    let change = |user: &mut User| {
        checked = check_room(name, user, label);
        if checked.is_ok() {
            user.credentials.push(credential);
        }
    };
    store.update(name, change).map_err(change_failed)?;
    checked?;
    Ok(format!("password {label:?} of user {name} added\n{}", shown_once(&new)))
}

fn check_room(name: &UserName, user: &User, label: &str) -> Result<(), Failure> {
    if user.credentials.iter().any(|credential| credential.label == label) {
        return Err(Failure::new(
            Exit::BadInput,
            format!("user {name} has a password {label:?} already: remove it first"),
        ));
    }
    if user.credentials.len() >= MAX_CREDENTIALS {
        return Err(Failure::new(
            Exit::BadInput,
            format!("user {name} has {MAX_CREDENTIALS} passwords, which is the most: remove one"),
        ));
    }
    Ok(())
}

fn remove_password(store: &UserStore, name: &UserName, label: &str) -> Result<String, Failure> {
    let mut left = None;
    let change = |user: &mut User| {
        let before = user.credentials.len();
        user.credentials.retain(|credential| credential.label != label);
        left = (user.credentials.len() < before).then_some(user.credentials.len());
    };
    store.update(name, change).map_err(change_failed)?;
    match left {
        None => Err(Failure::new(
            Exit::BadInput,
            format!("user {name} has no password {label:?}; relay user show {name} lists them"),
        )),
        Some(0) => Ok(format!(
            "password {label:?} of user {name} removed; it was the last, nobody can log in as {name}\n"
        )),
        Some(_) => Ok(format!("password {label:?} of user {name} removed\n")),
    }
}

fn remove(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.remove(name).map_err(change_failed)?;
    Ok(format!("user {name} removed\n"))
}

fn enable(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.update(name, |user| user.enable(now())).map_err(change_failed)?;
    Ok(format!("user {name} enabled\n"))
}

fn disable(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.update(name, |user| user.enabled = false).map_err(change_failed)?;
    Ok(format!("user {name} disabled\n"))
}

fn cost() -> Result<Cost, Failure> {
    Config::cost(&ProcessEnvironment)
        .map_err(|mistakes| Failure::new(Exit::BadSetting, format!("wrong settings:\n{mistakes}")))
}

fn hash(new: &NewPassword) -> Result<String, Failure> {
    password::hash(&new.password, cost()?, &mut Arena::default())
        .map_err(|error| Failure::new(Exit::Trouble, error))
}

fn shown_once(new: &NewPassword) -> String {
    new.generated.as_ref().map_or_else(String::new, |password| {
        format!("password: {}\nwrite it down: it is not stored and not shown again\n", **password)
    })
}
