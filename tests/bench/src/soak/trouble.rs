//! What goes wrong meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use relay_tests::authority::Authority;
use relay_tests::lab::STRANGER;
use relay_tests::relay::Relay;
use relay_tests::sasl::plain;

use super::Shared;
use crate::lines::Lines;

/// A control group that bounds memory.
pub(super) struct MemoryLimit(PathBuf);

impl MemoryLimit {
    pub(super) fn new(bytes: u64) -> Result<Self> {
        let name = format!("relay-soak-{}", std::process::id());
        let (folder, file) = if Path::new("/sys/fs/cgroup/memory").exists() {
            (Path::new("/sys/fs/cgroup/memory").join(name), "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup").join(name), "memory.max")
        };
        fs::create_dir(&folder)
            .with_context(|| format!("making the control group {}", folder.display()))?;
        fs::write(folder.join(file), bytes.to_string())
            .with_context(|| format!("limiting memory by {file}"))?;
        Ok(Self(folder))
    }

    pub(super) fn join(&self) -> String {
        format!("echo 0 > {}/cgroup.procs\n", self.0.display())
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    }
}

/// A stranger that guesses, a new password each time, for a user and for nobody.
pub(super) fn guess(relay: &Relay<'_>, shared: &Shared, stranger: usize) {
    for number in 0.. {
        if !shared.goes_on() {
            return;
        }
        let name = if number % 2 == 0 { "alice" } else { "nobody" };
        let line = plain(1, name, &format!("guess {stranger} {number}"));
        // Another address each time: one alone would soon be told nothing any more.
        let address = format!("198.18.{stranger}.{}", number % 250 + 1);
        let line = line.replace("198.51.100.7", &address);
        // Over the limit the connection is closed instead of answered; both are fine.
        if let Ok(mut lines) = Lines::sasl(&relay.socket("sasl.sock")) {
            lines.ask(line.as_bytes(), b"\n").ok();
        }
        sleep(Duration::from_millis(50));
    }
}

/// Clients that connect and say nothing.
pub(super) fn stall(relay: &Relay<'_>, shared: &Shared) {
    let mut silent = Vec::new();
    while shared.goes_on() {
        // Postfix refuses more than its limit at one time from one address, which is fine, too.
        silent.extend(relay.connect(STRANGER, 587).ok());
        if silent.len() > 20 {
            silent.clear();
        }
        sleep(Duration::from_millis(500));
    }
}

/// Adding fails while the volume is full, and works again after.
pub(super) fn users_come_and_go(relay: &Relay<'_>, shared: &Shared) {
    for number in 0.. {
        if !shared.goes_on() {
            return;
        }
        let name = format!("guest{number}");
        relay.user(&["add", &name, "--password-stdin"], "correct-horse-battery-staple-2").ok();
        relay.user(&["remove", &name], "").ok();
        sleep(Duration::from_millis(500));
    }
}

/// The volume with the users fills, stays full for a while, and is emptied again.
pub(super) fn volume_fills(relay: &Relay<'_>, shared: &Shared) {
    let ballast = relay.users().join("ballast");
    while shared.goes_on() {
        wait(shared, 10);
        // The write fails when nothing more fits, which is what is wanted.
        fs::write(&ballast, vec![0; 16 << 20]).ok();
        wait(shared, 5);
        fs::remove_file(&ballast).ok();
    }
    fs::remove_file(&ballast).ok();
}

fn wait(shared: &Shared, seconds: u32) {
    for _ in 0..seconds * 10 {
        if shared.goes_on() {
            sleep(Duration::from_millis(100));
        }
    }
}

/// Ends the sidecar, well or by force, and starts it again; Postfix goes on.
pub(super) fn restart_sidecar(relay: &mut Relay<'_>, by_force: bool) -> Result<()> {
    let sidecar = relay.sidecar.take().context("the sidecar is stopped")?;
    if by_force {
        sidecar.kill();
    } else {
        sidecar.stop()?;
    }
    relay.start()
}

/// Between two certificates. relay-init looks every ten seconds.
const RENEWAL: Duration = Duration::from_secs(12);

/// A new pair now and then, as an ACME client writes it.
pub(super) fn certificates_are_renewed(relay: &Relay<'_>, shared: &Shared) {
    let mut next = Instant::now() + RENEWAL / 4;
    while shared.goes_on() {
        if Instant::now() >= next {
            // One that could not be written shows at the end, when none was renewed.
            renew_certificate(relay).ok();
            next += RENEWAL;
        }
        sleep(Duration::from_millis(200));
    }
}

/// Writes a pair of an authority of its own.
pub(super) fn renew_certificate(relay: &Relay<'_>) -> Result<()> {
    let certs = relay.certs();
    Authority::new()?.write_pair("relay.test", &certs.join("cert.pem"), &certs.join("key.pem"))
}
