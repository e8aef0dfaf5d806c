//! A fleet's world: two sites with a line between them, NATS servers, and relays that share them.

pub mod jwt;
pub mod network;
pub mod servers;
pub mod slow_line;

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result, ensure};

use crate::lab::Lab;
use crate::milter_client;
use crate::namespace::Namespace;
use crate::relay::{Builder, Relay};
use crate::sasl::{Connection, plain};
use crate::wait;
use network::{Network, Site};
use servers::Servers;

/// A cheap hash, because these tests are about other things.
const CHEAP: [(&str, &str); 2] = [("ARGON2_MEMORY_KIB", "64"), ("ARGON2_ITERATIONS", "1")];

/// Servers and the network that relays are put into.
#[derive(Debug)]
pub struct Fleet<'lab> {
    lab: &'lab Lab,
    pub network: Network,
    pub servers: Servers,
}

impl<'lab> Fleet<'lab> {
    /// A cluster of so many servers, all at the first site.
    pub fn of(lab: &'lab Lab, servers: usize) -> Result<Self> {
        Self::at(lab, &vec![Site::East; servers])
    }

    /// A cluster with servers at these sites.
    pub fn at(lab: &'lab Lab, sites: &[Site]) -> Result<Self> {
        let mut network = Network::new()?;
        let servers = Servers::start(&lab.evidence, &mut network, sites)?;
        Ok(Self { lab, network, servers })
    }

    /// The settings of a relay at a site.
    pub fn settings(&mut self, name: &str, site: Site) -> Result<Builder<'lab>> {
        let (namespace, _) = self.network.attach(site)?;
        self.settings_in(name, &namespace)
    }

    /// The settings of a relay in a network of the caller's.
    pub fn settings_in(&self, name: &str, namespace: &Namespace) -> Result<Builder<'lab>> {
        let folder = self.lab.evidence.directory()?;
        for file in [servers::AUTHORITY, servers::SEED] {
            std::fs::set_permissions(folder.join(file), PermissionsExt::from_mode(0o644))?;
        }
        let path = |file: &str| folder.join(file).display().to_string();
        let mut settings = self
            .lab
            .relay_in(name, namespace)
            .sidecar_env("FLEET_URL", &self.servers.urls())
            .sidecar_env("FLEET_NODE", name)
            .sidecar_env("FLEET_CA", &path(servers::AUTHORITY))
            .sidecar_env("FLEET_CREDENTIALS_FILE", &path(servers::SEED));
        for (variable, value) in CHEAP {
            settings = settings.sidecar_env(variable, value);
        }
        Ok(settings)
    }

    /// A relay at the first site whose sidecar runs.
    pub fn relay(&mut self, name: &str) -> Result<Relay<'lab>> {
        self.relay_at(name, Site::East)
    }

    pub fn relay_at(&mut self, name: &str, site: Site) -> Result<Relay<'lab>> {
        let mut relay = self.settings(name, site)?.build()?;
        relay.start_sidecar()?;
        Ok(relay)
    }

    /// Relays named `relay0`, `relay1` and so on.
    pub fn relays(&mut self, number: usize) -> Result<Vec<Relay<'lab>>> {
        (0..number).map(|number| self.relay(&format!("relay{number}"))).collect()
    }
}

impl Relay<'_> {
    /// Waits until a user is listed with this state, or is not there.
    pub fn wait_for_user(&self, name: &str, state: Option<&str>) -> Result<()> {
        wait::until(&format!("user {name} to be {state:?}"), wait::A_WHILE, || {
            self.user_state(name).ok().filter(|found| found.as_deref() == state).map(drop)
        })
    }

    /// The state of a user, if there is one.
    pub fn user_state(&self, name: &str) -> Result<Option<String>> {
        let output = self.place().run(&["user", "show", name, "--json"], "")?;
        if output.status.code() == Some(4) {
            return Ok(None);
        }
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let state = shown.get("state").and_then(|state| state.as_str());
        Ok(Some(state.context("no state")?.to_owned()))
    }

    /// Runs `relay fleet …`: its exit code, and all it said.
    pub fn fleet(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let all = [&["fleet"], arguments].concat();
        let output = self.place().run(&all, "")?;
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().context("killed")?;
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Logs in as Postfix would tell of it; a user who did not since its rights are what they are may not send.
    pub fn logs_in(&self, user: &str, password: &str) -> Result<bool> {
        let mut connection = Connection::ready(&self.socket("sasl.sock"))?;
        connection.send(plain(1, user, password))?;
        Ok(connection.line_or_end()?.unwrap_or_default().starts_with("OK"))
    }

    /// Sends a message to one recipient through the milter as a user, and says whether it was accepted.
    pub fn is_accepted(&self, user: &str) -> Result<bool> {
        let macros = format!(
            "{{mail_addr}}\0{user}@example.org\0{{client_addr}}\0198.51.100.7\0{{auth_authen}}\0{user}\0\
             {{tls_version}}\0TLSv1.3\0"
        );
        let message = milter_client::message(&macros, &format!("{user}@example.org"));
        let reply = milter_client::session(&self.socket("milter.sock"), &message)?;
        Ok(matches!(reply, b'a' | b'c'))
    }

    /// A figure of the sidecar's metrics.
    pub fn figure(&self, series: &str) -> Result<u64> {
        Ok(self.sidecar()?.metric(series)?.parse()?)
    }

    /// Waits until this relay is, or is not, in touch with the engine.
    pub fn wait_for_engine(&self, connected: bool) -> Result<()> {
        let expected = u64::from(connected);
        wait::until(&format!("relay_fleet_connected to be {expected}"), wait::A_WHILE * 2, || {
            (self.figure("relay_fleet_connected").ok()? == expected).then_some(())
        })
    }
}
