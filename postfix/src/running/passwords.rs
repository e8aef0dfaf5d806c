//! The password tables for the logins at next hops.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::Context;
use zeroize::Zeroizing;

use super::programs::{self, POSTMAP, program};
use super::signals::Inbox;
use crate::configuration::files::{PASSWORD_TABLE, hop_password_table};
use crate::files;
use crate::maillog::pump::Pump;
use crate::settings::smarthosts::NextHops;

/// Makes Postfix's tables, and keeps no other copy of the passwords on disk.
pub fn write_tables(
    hops: &NextHops,
    time_zone: Option<&OsStr>,
    signals: &Inbox,
    pump: &Pump,
) -> anyhow::Result<()> {
    let mut tables = vec![(PASSWORD_TABLE.to_owned(), hops.password_lines())];
    tables.extend(hops.by_sender.iter().zip(1..).map(|(entry, number)| {
        (hop_password_table(number), entry.hop.password_line().into_iter().collect())
    }));
    tables.retain(|(_, lines)| !lines.is_empty());
    let mut postmap = program(POSTMAP, time_zone);
    for (path, lines) in &tables {
        let mut text = Zeroizing::new(String::new());
        // Reserved in advance, because a growing string leaves copies behind in memory.
        text.reserve(lines.iter().map(|line| line.reveal().len()).sum());
        lines.iter().for_each(|line| text.push_str(line.reveal()));
        files::write_atomically(Path::new(path), text.as_bytes(), 0o600)?;
        postmap.arg(format!("lmdb:{path}"));
    }
    if tables.is_empty() {
        return Ok(());
    }
    let result = programs::run(&mut postmap, signals, pump);
    for (path, _) in &tables {
        fs::remove_file(path).with_context(|| format!("cannot remove {path}"))?;
    }
    result
}
