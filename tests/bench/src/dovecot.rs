//! Dovecot's authentication server, of Debian's package, with users in a file or in SQLite.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use relay_tests::lab::Lab;

use crate::service::Service;

/// Where the users are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// One file, read by the one process that answers.
    File,
    /// SQLite, which worker processes ask and then check the hash: its way to use more than a core.
    Sqlite,
}

/// A running server for users `user0` to `user<count - 1>`, all with this stored password.
pub fn start<'lab>(
    lab: &'lab Lab,
    name: &str,
    users: Users,
    stored: &str,
    count: usize,
) -> Result<Service<'lab>> {
    let version = Command::new("dovecot").arg("--version").output();
    let version = version.context("dovecot is missing: run `make bench`, which installs it")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    ensure!(version.starts_with("2.3."), "the benchmark knows Dovecot 2.3; this is {version}");
    let folder = lab.evidence.directory()?.join(name);
    fs::create_dir_all(&folder)?;
    let passdb = match users {
        Users::File => password_file(&folder, stored, count)?,
        Users::Sqlite => database(&folder, stored, count)?,
    };
    let path = folder.display();
    let config = format!(
        "base_dir = {path}/run\nstate_dir = {path}/run\nlog_path = {path}/log\nprotocols =\nssl = no\n\
         disable_plaintext_auth = no\nauth_mechanisms = plain login\n{passdb}\n\
         default_internal_user = root\ndefault_login_user = nobody\n\
         userdb {{\n  driver = static\n  args = uid=nobody gid=nogroup home=/\n}}\n\
         service auth {{\n  user = root\n  client_limit = 2000\n\
         unix_listener {path}/auth {{\n    mode = 0666\n  }}\n}}\n\
         service auth-worker {{\n  user = root\n}}\n"
    );
    let config_path = folder.join("dovecot.conf");
    fs::write(&config_path, config)?;
    let config_path = config_path.to_string_lossy().into_owned();
    let command = ["dovecot", "-F", "-c", config_path.as_str()];
    Service::program(lab, name, folder.join("auth"), &command)
}

fn password_file(folder: &Path, stored: &str, count: usize) -> Result<String> {
    let mut text = String::new();
    for number in 0..count {
        writeln!(text, "user{number}:{stored}::::::")?;
    }
    let path = folder.join("users");
    fs::write(&path, text)?;
    let path = path.display();
    Ok(format!("passdb {{\n  driver = passwd-file\n  args = username_format=%u {path}\n}}"))
}

fn database(folder: &Path, stored: &str, count: usize) -> Result<String> {
    let mut sql = "CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT);\nBEGIN;\n".to_owned();
    for number in 0..count {
        writeln!(sql, "INSERT INTO users VALUES ('user{number}', '{stored}');")?;
    }
    sql.push_str("COMMIT;\n");
    let (script, database) = (folder.join("users.sql"), folder.join("users.db"));
    fs::write(&script, sql)?;
    let made = Command::new("sqlite3").arg(&database).stdin(fs::File::open(&script)?).status();
    let made = made.context("sqlite3 is missing: run `make bench`, which installs it")?;
    ensure!(made.success(), "sqlite3 ended with {made}");
    let query = "SELECT name AS user, password FROM users WHERE name = '%u'";
    let settings =
        format!("driver = sqlite\nconnect = {}\npassword_query = {query}\n", database.display());
    let path = folder.join("sql.conf");
    fs::write(&path, settings)?;
    Ok(format!("passdb {{\n  driver = sql\n  args = {}\n}}", path.display()))
}
