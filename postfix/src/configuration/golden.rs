//! Compares whole files: each `golden/NAME.env` must give what `golden/NAME.expected` contains.
//!
//! `UPDATE_GOLDEN=1 cargo nextest run -p relay-init golden` rewrites the expected files; read the diff
//! before committing it. In a case `\n` is a newline, `@FILES@` is a folder with files made for the
//! test, and the lines `## gateway ADDRESS` and `## validating resolver` say what the host is like.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Configuration;
use super::host::Host;
use crate::certificates::self_signed;
use crate::settings::environment::Environment;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
const FILES: &str = "@FILES@";

/// The files that the cases name.
fn make_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "other"] {
        let path = folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        self_signed::ensure(&path, "relay.example.org", SystemTime::now()).unwrap();
    }
    fs::write(folder.path().join("password"), "secret from a file\n").unwrap();
    fs::write(folder.path().join("passwords"), "@a.example=one\nbob@b.example=two\n").unwrap();
    folder
}

fn result_of(case: &str, files: &Path) -> String {
    let files = files.to_str().unwrap();
    let mut host = Host::default();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for line in case.lines() {
        if let Some(address) = line.strip_prefix("## gateway ") {
            host.untrusted.insert(address.parse().unwrap());
        }
        host.validating_resolver |= line == "## validating resolver";
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap();
        let value = value.replace("\\n", "\n").replace(FILES, files);
        pairs.push((name.to_owned(), value));
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut text = String::new();
    match Configuration::load(&Environment::from(pairs.as_slice())) {
        Err(mistakes) => {
            for problem in mistakes.problems {
                writeln!(text, "error: {problem}").unwrap();
            }
        }
        Ok(configuration) => {
            for warning in &configuration.settings.warnings {
                writeln!(text, "warning: {warning}").unwrap();
            }
            let main_cf = configuration.main_cf(&host);
            let master_cf = configuration.master_cf();
            write!(text, "##### main.cf\n{main_cf}\n##### master.cf\n{master_cf}").unwrap();
        }
    }
    text.replace(files, FILES)
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(CASES).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "env")).collect();
    cases.sort();
    cases
}

#[test]
fn every_case_gives_the_expected_files() {
    let files = make_files();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = Vec::new();
    for case in cases() {
        let found = result_of(&fs::read_to_string(&case).unwrap(), files.path());
        let path = case.with_extension("expected");
        if update {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let differ = |(found, expected): &(&str, &str)| found != expected;
        if let Some((found, expected)) = found.lines().zip(expected.lines()).find(differ) {
            differences.push(format!("{}:\n  {found}\nshould be\n  {expected}", path.display()));
        } else if found != expected {
            differences.push(format!("{}: one has more lines than the other", path.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(cases().len() >= 30);
}

#[test]
fn no_expected_file_contains_a_password() {
    for case in cases() {
        let expected = fs::read_to_string(case.with_extension("expected")).unwrap();
        for secret in ["hunter2", "secret from a file", "@a.example=one"] {
            assert!(!expected.contains(secret), "{}: {secret}", case.display());
        }
    }
}
