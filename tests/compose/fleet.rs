//! What several relays need of the images: volumes that begin as root's, and the demo that people see first.

use std::process::Command;

use anyhow::{Result, ensure};
use relay_tests::wait;

use crate::command::{docker, output_of, succeed};

/// Kubernetes and others hand out volumes that belong to root; these do as well, because nothing is copied from the image.
struct Volumes {
    name: String,
}

impl Volumes {
    fn create() -> Self {
        Self { name: format!("relay-test-volumes-{}", std::process::id()) }
    }

    /// Runs an image with both volumes, as deploy/kubernetes does.
    fn run(&self, how: &[&str], image: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command.args(["run", "--read-only", "--cap-drop=ALL"]);
        command.args(["--security-opt=no-new-privileges", "--tmpfs=/tmp"]);
        for (part, folder) in [("sockets", "/run/relay"), ("users", "/var/lib/relay")] {
            command.arg(format!("--volume={}-{part}:{folder}:nocopy", self.name));
        }
        command.args(how).args(image);
        succeed(command, b"")
    }

    fn prepare(&self) -> Result<String> {
        self.run(
            &["--rm", "--cap-add=CHOWN", "--cap-add=DAC_OVERRIDE"],
            &["relay-postfix", "volumes"],
        )
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        drop(docker(&["rm", "-f", &self.name]));
        for part in ["sockets", "users"] {
            drop(docker(&["volume", "rm", &format!("{}-{part}", self.name)]));
        }
    }
}

#[test]
fn volumes_that_begin_as_roots_are_given_to_the_sidecar() -> Result<()> {
    let volumes = Volumes::create();
    let setting = "--env=RELAY_MYHOSTNAME=relay.example.org";
    let refused = volumes.run(&["--rm", setting], &["relay-sidecar"]);
    ensure!(refused.is_err(), "the sidecar runs on volumes of root's: nothing is tested");
    volumes.prepare()?;
    volumes.run(&["--detach", "--name", &volumes.name, setting], &["relay-sidecar"])?;
    let healthy = || {
        wait::until("a healthy sidecar", wait::A_WHILE * 4, || {
            let state = docker(&["inspect", "-f", "{{.State.Health.Status}}", &volumes.name]);
            (state.ok()? == "healthy").then_some(())
        })
    };
    healthy()?;
    docker(&["exec", &volumes.name, "relay", "user", "add", "alice", "--generate"])?;
    // As when the pod is started again.
    docker(&["stop", &volumes.name])?;
    volumes.prepare()?;
    docker(&["start", &volumes.name])?;
    healthy()?;
    let listed = docker(&["exec", &volumes.name, "relay", "user", "list"])?;
    ensure!(listed.contains("alice"), "{listed}");
    Ok(())
}

#[test]
fn the_demo_of_a_fleet_shows_a_user_on_two_relays_and_mail_after_one_is_killed() -> Result<()> {
    let demo = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/demo-fleet"));
    let said = String::from_utf8(output_of(demo, b"")?)?;
    for expected in [
        "'by way of relay 2' has arrived",
        "'while relay 1 is dead' has arrived",
        "relay2.example.org 1",
        "relay3.example.org",
    ] {
        ensure!(said.contains(expected), "{expected:?} is missing:\n{said}");
    }
    ensure!(!said.contains("password: "), "{said}");
    wait::until("no container of the demo to be left", wait::A_WHILE, || {
        let left = docker(&["ps", "-aq", "--filter", "name=relay-demo-fleet"]).ok()?;
        left.is_empty().then_some(())
    })
}
