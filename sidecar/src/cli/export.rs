//! `relay user export`: all users as JSON, one per line, with their hashes.

use std::io::Write;

use serde::Serialize;

use super::failure::Failure;
use super::import::export_file::VERSION;
use super::listing::{for_each_user, written};
use super::progress::Progress;
use crate::store::UserStore;
use crate::users::User;

#[derive(Serialize)]
struct Exported<'a> {
    name: &'a str,
    user: &'a User,
}

/// Writes all users.
///
/// # Errors
///
/// When a record cannot be read; nothing is written then, because an export with users missing
/// would pass for a backup.
pub fn run(store: &UserStore, out: &mut impl Write) -> Result<(), Failure> {
    let (progress, mut users) = (Progress::users(), 0);
    for_each_user(store, |_, user| {
        progress.checked();
        users += 1;
        user.map(drop).map_err(Failure::trouble)
    })?;
    progress.writing(users);
    let mut separator = "";
    written(write!(out, "{{\"relay_users\":{VERSION},\"users\":["))?;
    for_each_user(store, |name, user| {
        let user = user.map_err(Failure::trouble)?;
        let json = serde_json::to_string(&Exported { name, user: &user });
        let line = format!("{separator}\n{}", json.map_err(Failure::trouble)?);
        separator = ",";
        progress.written();
        written(out.write_all(line.as_bytes()))
    })?;
    written(out.write_all(b"\n]}\n"))
}
