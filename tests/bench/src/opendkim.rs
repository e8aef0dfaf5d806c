//! OpenDKIM, of Debian's package, and keys for it and for us.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use relay_tests::lab::{HOME_NETWORK, Lab};
use relay_tests::process::Process;
use relay_tests::relay::Relay;
use relay_tests::wait;

use crate::cpu::Group;
use crate::stack::Algorithm;

const DOMAIN: &str = "example.org";
/// In the folder of the relay's sockets.
pub const SOCKET: &str = "opendkim.sock";

/// Makes keys for the domain and removes those of another kind. Returns the selector of the one that is
/// left.
pub fn only_key(relay: &Relay<'_>, algorithm: Algorithm) -> Result<String> {
    relay.manage_dkim(&["add", DOMAIN])?;
    let list = relay.manage_dkim(&["list"])?;
    let word = match algorithm {
        Algorithm::Rsa => "rsa",
        Algorithm::Ed25519 => "ed25519",
    };
    let mut left = None;
    for line in list.lines().filter(|line| line.starts_with(DOMAIN)) {
        let selector = line.split_whitespace().nth(1).context("no selector in the list")?;
        if line.contains(word) {
            left = Some(selector.to_owned());
        } else {
            relay.manage_dkim(&["remove", DOMAIN, selector])?;
        }
    }
    left.with_context(|| format!("no {word} key in:\n{list}"))
}

/// OpenDKIM with a key that the relay made; it is counted with the sidecar.
pub fn start(relay: &Relay<'_>, lab: &Lab, group: &Group) -> Result<Process> {
    let selector = only_key(relay, Algorithm::Rsa)?;
    let key = relay.manage_dkim(&["export", DOMAIN, &selector])?;
    relay.manage_dkim(&["remove", DOMAIN, &selector])?;
    let folder = lab.evidence.directory()?;
    let key_file = folder.join("opendkim.key");
    fs::write(&key_file, key)?;
    fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600))?;
    let socket = relay.socket(SOCKET);
    let config = folder.join("opendkim.conf");
    fs::write(
        &config,
        format!(
            "Mode s\nDomain {DOMAIN}\nSelector {selector}\nKeyFile {}\nSocket local:{}\n\
             InternalHosts csl:{HOME_NETWORK}\nCanonicalization relaxed/relaxed\n\
             OversignHeaders From\nUMask 000\nRequireSafeKeys no\nSyslog no\n",
            key_file.display(),
            socket.display()
        ),
    )?;
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{}exec \"$@\"", group.join()), "opendkim", "opendkim", "-f", "-x"])
        .arg(&config)
        .stdin(Stdio::null());
    let process = Process::spawn(&mut command, &lab.evidence.log("opendkim")?)?;
    wait::until("OpenDKIM to listen", wait::A_WHILE, || socket.exists().then_some(()))
        .with_context(|| format!("opendkim said: {}", process.output()))?;
    Ok(process)
}
