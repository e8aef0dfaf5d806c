//! Reads what `relay user export` writes, user by user.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::cli::progress::Progress;
use crate::password;
use crate::user_name::UserName;
use crate::users::{Credential, MAX_CREDENTIALS, User};

/// The format of an export.
pub const VERSION: u32 = 1;

/// Whether a file is an export: JSON, which no line of another server's file is.
pub fn begins(reader: &mut impl BufRead) -> io::Result<bool> {
    let start = reader.fill_buf()?.trim_ascii_start();
    Ok(start.strip_prefix(b"{").is_some_and(|rest| {
        rest.starts_with(b"\"") || rest.trim_ascii_start().starts_with(b"\"relay_users\"")
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    name: String,
    user: User,
}

/// Calls with the line, the name and the user for every one in the file.
///
/// # Errors
///
/// The line and the fault where the file stops being an export. What comes before it was handed on.
pub fn read(
    reader: Box<dyn BufRead>,
    progress: &Progress,
    mut take: impl FnMut(u64, String, User),
) -> Result<(), (u64, String)> {
    let line = Rc::new(Cell::new(1));
    let reader = Counting { reader, line: Rc::clone(&line), progress };
    let mut json = serde_json::Deserializer::from_reader(reader);
    let at = Rc::clone(&line);
    let mut take = |exported: Exported| take(at.get(), exported.name, exported.user);
    let done = json.deserialize_map(Document { take: &mut take }).and_then(|()| json.end());
    done.map_err(|error| (line.get(), format!("not an export of relay: {error}")))
}

/// Checks what only a tampered or foreign file has wrong.
///
/// # Errors
///
/// Says what is wrong, and of whom.
pub fn check(name: &str, user: &User) -> Result<UserName, String> {
    let parsed =
        UserName::parse(name).map_err(|error| format!("{name:?} is not a user name: {error}"))?;
    if user.credentials.len() > MAX_CREDENTIALS {
        return Err(format!("user {parsed} has more than {MAX_CREDENTIALS} passwords"));
    }
    for credential in &user.credentials {
        Credential::check_label(&credential.label)
            .map_err(|mistake| format!("user {parsed}: {mistake}"))?;
        password::check(&credential.hash).map_err(|error| {
            format!("password {:?} of user {parsed}: {error}", credential.label)
        })?;
    }
    Ok(parsed)
}

/// Counts lines and bytes. serde_json reads byte by byte, so the count is where the parser is.
struct Counting<'a> {
    reader: Box<dyn BufRead>,
    line: Rc<Cell<u64>>,
    progress: &'a Progress,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        let read = buffer.get(..length).unwrap_or_default();
        let lines = read.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.line.set(self.line.get() + lines);
        self.progress.read(length as u64);
        Ok(length)
    }
}

/// `{"relay_users": VERSION, "users": [ … ]}`
struct Document<'a, F> {
    take: &'a mut F,
}

impl<'de, F: FnMut(Exported)> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export of relay")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some("relay_users") = map.next_key::<String>()?.as_deref() else {
            return Err(A::Error::custom("it does not begin with relay_users"));
        };
        let version: u32 = map.next_value()?;
        if version != VERSION {
            return Err(A::Error::custom(format!("it was written by a newer version ({version})")));
        }
        let Some("users") = map.next_key::<String>()?.as_deref() else {
            return Err(A::Error::custom("users are missing"));
        };
        map.next_value_seed(Users { take: self.take })?;
        match map.next_key::<String>()? {
            None => Ok(()),
            Some(key) => Err(A::Error::custom(format!("unknown field {key}"))),
        }
    }
}

struct Users<'a, F> {
    take: &'a mut F,
}

impl<'de, F: FnMut(Exported)> DeserializeSeed<'de> for Users<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Exported)> Visitor<'de> for Users<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut users: A) -> Result<(), A::Error> {
        while let Some(user) = users.next_element::<Exported>()? {
            (self.take)(user);
        }
        Ok(())
    }
}
