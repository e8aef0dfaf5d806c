//! What a test leaves behind when it fails: its directory, and the ends of its logs in its output.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use tempfile::TempDir;

const LINES_SHOWN: usize = 80;

/// The directory of one test. It is kept unless [`Evidence::discard`] is reached.
#[derive(Debug)]
pub struct Evidence {
    directory: Option<TempDir>,
    secrets: Mutex<Vec<String>>,
}

impl Evidence {
    pub fn new() -> Result<Self> {
        // Open to all: the sidecar and Postfix run as users of their own.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let directory = tempfile::Builder::new()
            .prefix("relay-e2e-")
            .permissions(permissions)
            .tempdir()
            .context("making a directory for the test")?;
        std::fs::create_dir(directory.path().join("logs"))?;
        Ok(Self { directory: Some(directory), secrets: Mutex::default() })
    }

    pub fn directory(&self) -> Result<&Path> {
        Ok(self.directory.as_ref().context("the evidence is gone")?.path())
    }

    /// The log of a process, to which all its output goes.
    pub fn log(&self, name: &str) -> Result<PathBuf> {
        Ok(self.directory()?.join("logs").join(name))
    }

    /// Remembers a password that must not show in any log.
    pub fn secret(&self, password: &str) {
        if let Ok(mut secrets) = self.secrets.lock() {
            secrets.push(password.to_owned());
        }
    }

    /// Looks for each secret, in clear and in base64, in everything that was logged.
    pub fn check_secrets(&self) -> Result<()> {
        let secrets = self.secrets.lock().map(|secrets| secrets.clone()).unwrap_or_default();
        for (name, text) in self.logs()? {
            for secret in &secrets {
                if let Some(line) = text.lines().find(|line| shows(line, secret)) {
                    bail!("{name} shows the password {secret}: {line}");
                }
            }
        }
        Ok(())
    }

    /// Removes everything: the test passed.
    pub fn discard(mut self) -> Result<()> {
        let directory = self.directory.take().context("the evidence is gone")?;
        directory.close().context("removing the directory of the test")
    }

    fn logs(&self) -> Result<Vec<(String, String)>> {
        let mut logs = Vec::new();
        for entry in std::fs::read_dir(self.directory()?.join("logs"))? {
            let entry = entry?;
            let text = String::from_utf8_lossy(&std::fs::read(entry.path())?).into_owned();
            logs.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
        logs.sort();
        Ok(logs)
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        let logs = self.logs().unwrap_or_default();
        let Some(directory) = self.directory.take() else { return };
        let mut report = String::new();
        for (name, text) in logs {
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(LINES_SHOWN);
            report += &format!("---- {name}, from line {} of {}\n", from + 1, lines.len());
            for line in lines.iter().skip(from) {
                report += &format!("{line}\n");
            }
        }
        report += &format!("---- all of it is kept in {}\n", directory.keep().display());
        print(&report);
    }
}

#[expect(clippy::print_stderr, reason = "the test runner shows a failed test's standard error")]
fn print(report: &str) {
    eprint!("{report}");
}

/// Whether a line shows a secret as it is, or in base64 at any of the three alignments.
fn shows(line: &str, secret: &str) -> bool {
    let mut forms = vec![secret.to_owned()];
    for shift in 0..3 {
        let padded = [vec![0; shift].as_slice(), secret.as_bytes()].concat();
        let encoded = BASE64.encode(&padded);
        // The characters at both ends also hold bits of the neighbours.
        let (head, tail) = ((shift * 8).div_ceil(6), usize::from(padded.len() % 3 != 0));
        if let Some(inner) = encoded.get(head..encoded.len() - tail) {
            forms.push(inner.to_owned());
        }
    }
    forms.iter().any(|form| form.len() >= 4 && line.contains(form.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_at_every_alignment_of_base64() {
        for before in ["", "a", "ab", "abc", "\0alice\0"] {
            for after in ["", "x", "xy"] {
                let encoded = BASE64.encode(format!("{before}canary-3141{after}"));
                assert!(
                    shows(&format!("AUTH PLAIN {encoded}"), "canary-3141"),
                    "{before:?} {after:?}"
                );
            }
        }
        assert!(shows("password canary-3141!", "canary-3141"));
        assert!(!shows("nothing to see", "canary-3141"));
    }
}
