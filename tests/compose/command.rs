//! The Docker client and Compose as programs, which is how people call them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The words that call Compose: the plugin of the Docker client, or the program docker-compose.
pub fn find_compose() -> Result<Vec<String>> {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    if plugin.is_ok_and(|output| output.status.success()) {
        return Ok(vec!["docker".to_owned(), "compose".to_owned()]);
    }
    let standalone = Command::new("docker-compose").arg("version").output();
    ensure!(standalone.is_ok(), "there is no Compose: run `make test`, which installs it");
    Ok(vec!["docker-compose".to_owned()])
}

/// Runs the Docker client and returns what it prints.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(arguments);
    succeed(command, b"")
}

/// Runs a command with this standard input and returns what it prints, as trimmed text.
pub fn succeed(command: Command, input: &[u8]) -> Result<String> {
    Ok(String::from_utf8_lossy(&output_of(command, input)?).trim().to_owned())
}

/// Runs a command with this standard input, which must be small or be read at once, and returns what it prints.
pub fn output_of(mut command: Command, input: &[u8]) -> Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    // A program that ended before it read says why by its own output.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(input)));
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if !status.success() {
        bail!("{command:?} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    }
    Ok(stdout)
}
