//! What is in the images, and how fast the sidecar of the image starts.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_tests::process::Process;
use relay_tests::wait;

use crate::command::docker;

const MEGABYTE: u64 = 1_000_000;

#[test]
fn images_are_small() -> Result<()> {
    for (image, limit) in [("relay-postfix", 50), ("relay-sidecar", 14)] {
        let size: u64 = docker(&["image", "inspect", "-f", "{{.Size}}", image])?.parse()?;
        assert!(size <= limit * MEGABYTE, "{image} has {size} bytes, and {limit} MB are allowed");
    }
    Ok(())
}

/// What differs is not in the layer cache, and is built twice.
#[test]
fn the_build_stage_is_the_same_in_both_dockerfiles() -> Result<()> {
    let build_stage = |name: &str| -> Result<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let text = std::fs::read_to_string(path)?;
        let end = text.find("\n\n").context("a Dockerfile of one stage")?;
        Ok(text.split_at(end).0.to_owned())
    };
    assert_eq!(build_stage("Dockerfile.postfix")?, build_stage("Dockerfile.sidecar")?);
    Ok(())
}

/// The script that collects Postfix for the image, on a system whose postconf is this shell script.
fn collect_postfix(postconf: &str) -> Result<std::process::Output> {
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("postconf");
    std::fs::write(&program, format!("#!/bin/sh\n{postconf}\n"))?;
    std::fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/collect-postfix");
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH")?);
    let mut command = Command::new(script);
    Ok(command.arg(directory.path().join("root")).env("PATH", path).output()?)
}

#[test]
fn an_image_with_an_old_postfix_is_not_built() -> Result<()> {
    for (postconf, version) in [
        ("echo 3.10.12", "3.10.12"),
        ("echo 3.9.20", "3.9.20"),
        ("echo 3.10-20250101", "3.10-20250101"),
        ("exit 1", "0"),
    ] {
        let output = collect_postfix(postconf)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{postconf}: {said}");
        let expected = format!("needs Postfix 3.10.13 or newer, but the package is {version}:");
        assert!(said.contains(&expected), "{postconf}: {said}");
    }
    Ok(())
}

#[test]
fn images_have_no_shell_and_no_setuid_file() -> Result<()> {
    for image in ["relay-postfix", "relay-sidecar"] {
        let listing = listing(image)?;
        let modes = listing.lines().map(|line| line.get(..10).unwrap_or_default());
        let raised: Vec<&str> = modes.filter(|mode| mode.contains(['s', 'S'])).collect();
        assert!(raised.is_empty(), "{image} has files that raise privileges: {raised:?}");
        for name in ["/sh", "/bash", "/dash", "/busybox", "/perl", "/apt-get", "/dpkg"] {
            assert!(!listing.lines().any(|line| line.ends_with(name)), "{image} has {name}");
        }
    }
    Ok(())
}

/// The fastest of some: a busy machine makes a start slower, and nothing makes it faster.
#[test]
fn the_sidecar_is_ready_within_100_ms() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let binary = directory.path().join("relay");
    from_image("relay-sidecar", "/usr/bin/relay", &binary)?;
    let limit = Duration::from_millis(100);
    let mut fastest = Duration::MAX;
    for round in 0..20 {
        if fastest < limit {
            break;
        }
        let folder = directory.path().join(round.to_string());
        std::fs::create_dir(&folder)?;
        fastest = fastest.min(time_to_ready(&binary, &folder)?);
    }
    println!("the sidecar was ready after {fastest:?}");
    assert!(fastest < limit, "the fastest of twenty starts took {fastest:?}");
    Ok(())
}

fn time_to_ready(binary: &Path, folder: &Path) -> Result<Duration> {
    let http = format!("unix:{}", folder.join("http.sock").display());
    let socket = |name: &str| format!("unix:{}", folder.join(name).display());
    let with_environment = |command: &mut Command| {
        command.env_clear().env("RELAY_MYHOSTNAME", "relay.example.org").env("HTTP_LISTEN", &http);
        command.env("DATA_DIR", folder).env("SASL_LISTEN", socket("sasl.sock"));
        command.env("POLICY_LISTEN", socket("policy.sock"));
        command.env("MILTER_LISTEN", socket("milter.sock"));
        command.env("EVENTS_LISTEN", socket("events.sock"));
    };
    let mut serve = Command::new(binary);
    with_environment(serve.arg("serve"));
    let started = Instant::now();
    let process = Process::spawn(&mut serve, &folder.join("log"))?;
    wait::until("a ready sidecar", Duration::from_secs(10), || {
        let mut check = Command::new(binary);
        with_environment(check.arg("healthcheck"));
        check.output().is_ok_and(|output| output.status.success()).then_some(())
    })
    .with_context(|| process.output())?;
    Ok(started.elapsed())
}

/// The names and modes of everything in an image, as tar lists them.
fn listing(image: &str) -> Result<String> {
    with_container(image, |container| shell(&format!("docker export {container} | tar -tv")))
}

fn from_image(image: &str, path: &str, to: &Path) -> Result<()> {
    with_container(image, |container| {
        let to = to.to_str().context("a temporary directory that is not UTF-8")?;
        docker(&["cp", &format!("{container}:{path}"), to]).map(drop)
    })
}

fn with_container<T>(image: &str, look: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let container = docker(&["create", image])?;
    let found = look(&container);
    docker(&["rm", &container])?;
    found
}

fn shell(command: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", command]).output()?;
    ensure!(
        output.status.success(),
        "{command} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
