//! The generated files: where they are, and how they are written.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::files;

/// `/etc/postfix` in the image links to these, on a tmpfs.
pub const MAIN_CF: &str = "/run/postfix/main.cf";
pub const MASTER_CF: &str = "/run/postfix/master.cf";

/// The logins of the default transport. postmap makes `sasl_passwd.lmdb` of it.
pub const PASSWORD_TABLE: &str = "/run/postfix/sasl_passwd";

/// Age at which Postfix's programs trust main.cf at once.
const SETTLED: Duration = Duration::from_secs(5);

/// The login of one next hop of RELAYHOST_MAP, counted from 1.
pub fn hop_password_table(number: usize) -> String {
    format!("{PASSWORD_TABLE}_hop{number}")
}

/// Writes main.cf or master.cf.
///
/// A Postfix program that finds a main.cf only seconds old waits, in case somebody is still writing it.
/// These files are replaced in one step, so they can be dated back, which saves 1.5 s at each start.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    files::write_atomically(path, text.as_bytes(), 0o644)?;
    let file = File::options().write(true).open(path)?;
    file.set_modified(SystemTime::now() - SETTLED)?;
    Ok(())
}
