//! Everything that fuzzing has found worth keeping, once more.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[cfg(test)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Runs a target over each file of its corpus, in the order of their names.
fn replay(target: &str, check: impl Fn(&[u8])) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        files.push(entry?.path());
    }
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let data = fs::read(&file)?;
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&data)));
        assert!(outcome.is_ok(), "{} breaks a promise", file.display());
    }
    Ok(())
}

#[test]
fn sasl_line() -> io::Result<()> {
    replay("sasl_line", targets::sasl_line::check)
}

#[test]
fn sasl_session() -> io::Result<()> {
    let lab = targets::sasl_session::Lab::new();
    replay("sasl_session", |data| lab.check(data))
}

#[test]
fn policy_request() -> io::Result<()> {
    replay("policy_request", targets::policy_request::check)
}

#[test]
fn allowed_networks() -> io::Result<()> {
    replay("allowed_networks", targets::allowed_networks::check)
}

#[test]
fn passwd_import() -> io::Result<()> {
    replay("passwd_import", targets::passwd_import::check)
}

#[test]
fn address_check() -> io::Result<()> {
    replay("address_check", targets::address_check::check)
}

#[test]
fn dkim_key() -> io::Result<()> {
    replay("dkim_key", targets::dkim_key::check)
}

#[test]
fn dkim_message() -> io::Result<()> {
    replay("dkim_message", targets::dkim_message::check)
}
