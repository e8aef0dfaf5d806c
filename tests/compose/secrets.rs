//! Which container is given which secret of `.env`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{find_compose, succeed};

fn shipped(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// The settings that are secrets: those that can come from a file. The fleet's login can come from nowhere else.
fn secrets() -> Result<Vec<String>> {
    let example = shipped(".env.example")?;
    let names = example.lines().filter_map(|line| line.strip_prefix('#')?.strip_suffix("_FILE="));
    Ok(names.filter(|name| *name != "FLEET_CREDENTIALS").map(str::to_owned).collect())
}

/// What Compose makes of compose.yaml with these lines in `.env`. It needs no engine for that.
fn config_with(env: &str) -> Result<String> {
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("compose.yaml"), shipped("compose.yaml")?)?;
    std::fs::write(directory.path().join(".env"), env)?;
    let compose = find_compose()?;
    let (program, first) = compose.split_first().context("no Compose")?;
    let mut command = Command::new(program);
    command.args(first).arg("config").current_dir(directory.path());
    succeed(command, b"")
}

/// The services in whose part of the configuration a text is.
fn services_with<'a>(config: &'a str, text: &str) -> Vec<&'a str> {
    let services = config.lines().skip_while(|line| *line != "services:").skip(1);
    let mut service = "";
    let mut found = Vec::new();
    for line in services.take_while(|line| line.starts_with(' ')) {
        let is_name = |name: &&str| !name.starts_with(' ');
        if let Some(name) = line.strip_prefix("  ").filter(is_name) {
            service = name.trim_end_matches(':');
        } else if line.contains(text) {
            found.push(service);
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn a_secret_in_env_reaches_only_the_container_that_needs_it() -> Result<()> {
    let secrets = secrets()?;
    assert!(secrets.len() >= 5, "{secrets:?}");
    let lines: String = secrets.iter().map(|name| format!("{name}=canary-of-{name}-\n")).collect();
    let config = config_with(&format!("RELAY_MYHOSTNAME=relay.example.org\n{lines}"))?;
    // What is no secret reaches both.
    assert_eq!(services_with(&config, "relay.example.org"), ["postfix", "sidecar"], "{config}");
    for name in secrets {
        let reader = if name.starts_with("RELAYHOST") { "postfix" } else { "sidecar" };
        assert_eq!(services_with(&config, &format!("canary-of-{name}-")), [reader], "{name}");
    }
    Ok(())
}
