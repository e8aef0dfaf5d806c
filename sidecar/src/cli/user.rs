//! `relay user …`: one function for each command that changes a user.

mod command;
mod show;
mod usage;

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use super::database::{open, open_to_change};
use super::failure::{Exit, Failure};
use super::listing::written;
use super::password_input::{NewPassword, new_password};
use super::rights::{Rights, parse_time};
use super::{PasswordSource, RightsOptions, export, import, snippet};
use crate::clock::now;
use crate::config::{Config, Environment, ProcessEnvironment};
use crate::password::strength::is_unguessable;
use crate::password::{self, Arena, Cost};
use crate::store::{ChangeError, UserStore};
use crate::user_name::UserName;
use crate::users::{Credential, MAX_CREDENTIALS, NewHash, User};

pub use command::{PasswordCommand, UserCommand};
use usage::Elsewhere;

/// Runs one command and prints what it did.
///
/// # Errors
///
/// With a text for the operator and an exit code; nothing was changed then.
pub fn run(command: UserCommand) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let said = match command {
        UserCommand::Add { name, password, rights, data } => {
            add(&open_to_change(&data.path)?, &parse(&name.text)?, &password, &rights)?
        }
        UserCommand::Set { name, rights, data } => {
            set(&open_to_change(&data.path)?, &parse(&name.text)?, &rights)?
        }
        UserCommand::Remove { name, data } => {
            remove(&open_to_change(&data.path)?, &parse(&name.text)?)?
        }
        UserCommand::List { json, data } => {
            show::list(&open(&data.path)?, json, &mut out)?;
            String::new()
        }
        UserCommand::Show { name, json, data } => {
            let (store, name) = (open(&data.path)?, parse(&name.text)?);
            let elsewhere = Elsewhere::ask(&store, &data.path, &name)?;
            show::show(&store, &name, &elsewhere, json)?
        }
        UserCommand::Passwd { name, password, data } => {
            passwd(&open_to_change(&data.path)?, &parse(&name.text)?, &password)?
        }
        UserCommand::Password(PasswordCommand::Add { name, label, password, expires, data }) => {
            let expires = expires.as_deref();
            add_password(
                &open_to_change(&data.path)?,
                &parse(&name.text)?,
                &label,
                &password,
                expires,
            )?
        }
        UserCommand::Password(PasswordCommand::Remove { name, label, data }) => {
            remove_password(&open_to_change(&data.path)?, &parse(&name.text)?, &label)?
        }
        UserCommand::Enable { name, data } => {
            enable(&open_to_change(&data.path)?, &parse(&name.text)?)?
        }
        UserCommand::Disable { name, data } => {
            disable(&open_to_change(&data.path)?, &parse(&name.text)?)?
        }
        UserCommand::Import { file, replace, data } => {
            import::run(&open_to_change(&data.path)?, &data.path, &file, replace, cost()?)?
        }
        UserCommand::Snippet { name, program, at, data } => {
            let name = parse(&name.text)?;
            existing(&open(&data.path)?, &name)?;
            snippet::run(&name, &program, &at)?
        }
        UserCommand::Export { data } => {
            export::run(&open(&data.path)?, &mut out)?;
            String::new()
        }
    };
    written(out.write_all(said.as_bytes()).and_then(|()| out.flush()))
}

fn parse(name: &str) -> Result<UserName, Failure> {
    UserName::parse(name).map_err(|error| {
        Failure::new(Exit::BadName, format!("{name:?} is not a user name: {error}"))
    })
}

/// Reads a user who must exist.
fn existing(store: &UserStore, name: &UserName) -> Result<Arc<User>, Failure> {
    let found = store.user(name).map_err(Failure::trouble)?;
    found.ok_or_else(|| ChangeError::Unknown(name.clone()).into())
}

fn add(
    store: &UserStore,
    name: &UserName,
    source: &PasswordSource,
    rights: &RightsOptions,
) -> Result<String, Failure> {
    // Everything is checked first, so that nobody types a password in vain.
    let rights = Rights::parse(rights, now())?;
    if store.user(name).map_err(Failure::trouble)?.is_some() {
        return Err(ChangeError::Exists(name.clone()).into());
    }
    let new = new_password(source)?;
    let mut user = User::new(hash(&new)?, now());
    rights.apply(&mut user, now());
    store.add(name, &user)?;
    let senders = show::senders(&user);
    Ok(format!("user {name} added; may send as {senders}\n{}", about(&new, name)))
}

fn set(store: &UserStore, name: &UserName, rights: &RightsOptions) -> Result<String, Failure> {
    let rights = Rights::parse(rights, now())?;
    if rights.is_empty() {
        return Err(Failure::new(
            Exit::BadInput,
            "nothing to change: use --sender, --limit, --network, --expires or --note",
        ));
    }
    let user = store.update(name, |user| rights.apply(user, now()))?;
    Ok(format!("user {name} changed; may send as {}\n", show::senders(&user)))
}

fn passwd(store: &UserStore, name: &UserName, source: &PasswordSource) -> Result<String, Failure> {
    existing(store, name)?;
    let new = new_password(source)?;
    let hash = hash(&new)?;
    store.update(name, |user| user.set_password(hash, now()))?;
    Ok(format!("password of user {name} changed\n{}", about(&new, name)))
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
    let user = existing(store, name)?;
    check_room(name, &user, label)?;
    let new = new_password(source)?;
    let credential = Credential { expires, ..Credential::new(label, hash(&new)?, now()) };
    // Another command may have added one in the meantime.
    let mut checked = Ok(());
    let change = |user: &mut User| {
        checked = check_room(name, user, label);
        if checked.is_ok() {
            user.credentials.push(credential);
        }
    };
    store.update(name, change)?;
    checked?;
    Ok(format!("password {label:?} of user {name} added\n{}", about(&new, name)))
}

fn check_room(name: &UserName, user: &User, label: &str) -> Result<(), Failure> {
    if user.credentials.iter().any(|credential| credential.label == label) {
        return Err(Failure::new(
            Exit::BadInput,
            format!("user {name} already has a password {label:?}: remove it first"),
        ));
    }
    if user.credentials.len() >= MAX_CREDENTIALS {
        return Err(Failure::new(
            Exit::BadInput,
            format!("user {name} already has {MAX_CREDENTIALS} passwords, the most there can be"),
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
        if left.is_some() {
            user.sessions_since = now();
        }
    };
    store.update(name, change)?;
    match left {
        None => Err(Failure::new(
            Exit::BadInput,
            format!("user {name} has no password {label:?}; relay user show {name} lists them"),
        )),
        Some(0) => Ok(format!(
            "password {label:?} of user {name} removed; it was the last one, so nobody can log in as \
             {name} now\n"
        )),
        Some(_) => Ok(format!("password {label:?} of user {name} removed\n")),
    }
}

fn remove(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.remove(name)?;
    let setting = ProcessEnvironment.get("SMTP_USERNAME").and_then(|n| UserName::parse(&n).ok());
    let hint = match setting.as_ref() == Some(name) {
        true => "SMTP_USERNAME still names this user: remove it, or the next start adds it again\n",
        false => "",
    };
    Ok(format!("user {name} removed\n{hint}"))
}

fn enable(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.update(name, |user| user.enable(now()))?;
    Ok(format!("user {name} enabled\n"))
}

fn disable(store: &UserStore, name: &UserName) -> Result<String, Failure> {
    store.update(name, |user| user.enabled = false)?;
    Ok(format!("user {name} disabled\n"))
}

fn cost() -> Result<Cost, Failure> {
    Ok(Config::cost(&ProcessEnvironment)?)
}

/// The hash of a new password, at the cost that is set.
pub fn hash(new: &NewPassword) -> Result<NewHash, Failure> {
    let hash = password::hash(&new.password, cost()?, &mut Arena::default());
    let hash = hash.map_err(Failure::trouble)?;
    Ok(NewHash { hash, unguessable: is_unguessable(&new.password) })
}

/// What an operator should know of a new password: the password itself, or that it could be
/// guessed.
fn about(new: &NewPassword, name: &UserName) -> String {
    match &new.generated {
        Some(password) => format!(
            "password: {}\nwrite it down: it is not stored and will not be shown again\n",
            **password
        ),
        None if is_unguessable(&new.password) => String::new(),
        None => format!(
            "this password is short enough to be guessed: while strangers try to, {name} may have \
             to wait before logging in from a new address; --generate makes one that cannot be\n"
        ),
    }
}
