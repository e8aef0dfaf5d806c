//! Settings of a relay, and its volumes.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

use super::{PORTS, Relay};
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::postfix::Environment;
use crate::sidecar::{GROUP, USER};

/// Settings of a relay that is not started yet.
#[derive(Debug)]
pub struct Builder<'lab> {
    pub(super) lab: &'lab Lab,
    pub(super) name: String,
    pub(super) namespace: Namespace,
    pub(super) postfix: Environment,
    pub(super) sidecar: Environment,
    pub(super) ports: Vec<u16>,
}

impl<'lab> Builder<'lab> {
    pub(crate) fn new(lab: &'lab Lab, name: &str, namespace: Namespace) -> Self {
        let (postfix, sidecar) = (Vec::new(), Vec::new());
        let ports = PORTS.to_vec();
        let builder = Self { lab, name: name.to_owned(), namespace, postfix, sidecar, ports };
        builder.env("RELAY_MYHOSTNAME", &format!("{name}.test"))
    }

    /// Sets a variable for both containers, as `.env` does.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        self.postfix_env(name, value).sidecar_env(name, value)
    }

    #[must_use]
    pub fn postfix_env(mut self, name: &str, value: &str) -> Self {
        set(&mut self.postfix, name, value);
        self
    }

    #[must_use]
    pub fn sidecar_env(mut self, name: &str, value: &str) -> Self {
        set(&mut self.sidecar, name, value);
        self
    }

    /// The ports that will be listened on, where they are not the usual three.
    #[must_use]
    pub fn ports(mut self, ports: &[u16]) -> Self {
        self.ports = ports.to_vec();
        self
    }

    /// Starts both containers, and waits until they serve.
    pub fn start(self) -> Result<Relay<'lab>> {
        let mut relay = self.build()?;
        relay.start()?;
        Ok(relay)
    }

    /// Makes the volumes, but starts nothing.
    pub fn build(mut self) -> Result<Relay<'lab>> {
        let volumes = self.lab.evidence.directory()?.join(&self.name);
        if !volumes.exists() {
            make_volumes(&volumes)?;
        }
        let socket = |service: &str| format!("unix:{}/sockets/{service}.sock", volumes.display());
        let places = [
            ("SASL_LISTEN", socket("sasl")),
            ("POLICY_LISTEN", socket("policy")),
            ("MILTER_LISTEN", socket("milter")),
            ("EVENTS_LISTEN", socket("events")),
            ("ALERTS_LISTEN", socket("alerts")),
            ("DATA_DIR", format!("{}/users", volumes.display())),
        ];
        for (name, place) in places {
            // A test's own setting wins.
            if !self.sidecar.iter().any(|(known, _)| known == name) {
                set(&mut self.sidecar, name, &place);
            }
        }
        for (name, value) in self.postfix.iter().chain(&self.sidecar) {
            if name.ends_with("PASSWORD") && !value.is_empty() {
                self.lab.evidence.secret(value);
            }
        }
        Ok(Relay { settings: self, volumes, postfix: None, sidecar: None })
    }
}

/// Sets a variable, in place of an earlier value.
pub(super) fn set(environment: &mut Environment, name: &str, value: &str) {
    environment.retain(|(known, _)| known != name);
    environment.push((name.to_owned(), value.to_owned()));
}

/// The volumes as Docker makes them: empty, and with the owner and mode that the images give them.
fn make_volumes(volumes: &Path) -> Result<()> {
    for (name, mode, owner) in [
        ("", 0o755, None),
        ("queue", 0o755, None),
        ("tls", 0o755, None),
        ("certs", 0o755, None),
        ("users", 0o700, Some((USER, GROUP))),
        ("sockets", 0o750, Some((USER, GROUP))),
    ] {
        let path = volumes.join(name);
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        if let Some((user, group)) = owner {
            chown(&path, Some(user), Some(group))?;
        }
    }
    // The sidecar's program is mounted over this one.
    std::fs::write(volumes.join("relay"), "")?;
    Ok(std::fs::write(volumes.join("resolv.conf"), "nameserver 127.0.0.1\n")?)
}
