//! Watches this container's addresses, which change while it runs: `docker network connect` adds an
//! interface and a gateway. mynetworks must exclude those too, or strangers could send through the relay
//! from there.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use crate::configuration::Configuration;
use crate::configuration::files::{self, MAIN_CF};
use crate::configuration::host::{Host, gateway_warnings};
use crate::log;
use crate::network::gateways;

/// Keeps main.cf in step with the addresses. The passwords in the configuration are wiped already.
#[derive(Debug)]
pub struct Watcher {
    configuration: Configuration,
    host: Host,
    /// Whether the last look failed, which is logged once.
    failed: bool,
}

impl Watcher {
    pub fn new(configuration: Configuration, host: Host) -> Self {
        Self { configuration, host, failed: false }
    }

    /// Looks for changes; `true` if main.cf was rewritten and Postfix has to reload.
    pub fn tick(&mut self) -> bool {
        match gateways::untrusted_addresses() {
            Ok(found) => {
                self.failed = false;
                self.update(found, Path::new(MAIN_CF))
            }
            Err(error) => {
                if !self.failed {
                    log::warning(format_args!(
                        "cannot read this container's addresses ({error}); if a network was \
                         attached, restart the container"
                    ));
                }
                self.failed = true;
                false
            }
        }
    }

    fn update(&mut self, found: BTreeSet<IpAddr>, path: &Path) -> bool {
        let Some(change) = Change::between(&self.host.untrusted, &found) else { return false };
        let host = Host { untrusted: found, ..self.host };
        let main_cf = self.configuration.main_cf(&host).to_string();
        if main_cf == self.configuration.main_cf(&self.host).to_string() {
            log::info(format_args!("this container's addresses changed: {change}"));
            self.host = host;
            return false;
        }
        if let Err(error) = files::write(path, &main_cf) {
            // The next tick finds the same change again.
            log::warning(format_args!(
                "this container's addresses changed: {change}; but {error:#}, so mynetworks is out of \
                 date"
            ));
            return false;
        }
        log::info(format_args!(
            "this container's addresses changed: {change}; reloading Postfix with a new mynetworks"
        ));
        gateway_warnings(&self.configuration.settings, &change.added).iter().for_each(log::warning);
        self.host = host;
        true
    }
}

/// The difference between two sets of addresses.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    added: BTreeSet<IpAddr>,
    removed: BTreeSet<IpAddr>,
}

impl Change {
    /// `None` if the sets are equal.
    fn between(before: &BTreeSet<IpAddr>, after: &BTreeSet<IpAddr>) -> Option<Self> {
        let added: BTreeSet<IpAddr> = after.difference(before).copied().collect();
        let removed: BTreeSet<IpAddr> = before.difference(after).copied().collect();
        (!added.is_empty() || !removed.is_empty()).then_some(Self { added, removed })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &BTreeSet<IpAddr>| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let parts = [("added", &self.added), ("removed", &self.removed)];
        let parts = parts.into_iter().filter(|(_, addresses)| !addresses.is_empty());
        let parts = parts.map(|(what, addresses)| format!("{what} {}", list(addresses)));
        f.write_str(&parts.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::settings::environment::Environment;

    fn addresses(list: &str) -> BTreeSet<IpAddr> {
        list.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_change_names_what_was_added_and_removed() {
        for (before, after, expected) in [
            ("172.18.0.1", "172.18.0.1", None),
            ("", "172.18.0.1 fd00::1", Some("added 172.18.0.1, fd00::1")),
            ("172.18.0.1 fd00::1", "fd00::1", Some("removed 172.18.0.1")),
            ("172.18.0.1", "172.19.0.1", Some("added 172.19.0.1; removed 172.18.0.1")),
        ] {
            let change = Change::between(&addresses(before), &addresses(after));
            let text = change.map(|change| change.to_string());
            assert_eq!(text.as_deref(), expected, "{before} -> {after}");
        }
    }

    fn mynetworks(path: &Path) -> String {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("mynetworks = "));
        line.unwrap_or_default().to_owned()
    }

    #[test]
    fn main_cf_excludes_a_gateway_that_was_attached_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.cf");
        let configuration = Configuration::load(&Environment::from([
            ("RELAY_MYHOSTNAME", "relay.example.org"),
            ("ALLOWED_NETWORKS", "172.16.0.0/12"),
        ]));
        let host = Host { untrusted: addresses("172.18.0.1"), validating_resolver: false };
        let mut watcher = Watcher::new(configuration.unwrap(), host);
        for (found, rewritten, expected) in [
            ("172.18.0.1", false, ""),
            // Outside ALLOWED_NETWORKS: nothing to exclude.
            ("172.18.0.1 192.0.2.1", false, ""),
            ("172.18.0.1 172.19.0.1", true, "!172.18.0.1 !172.19.0.1 172.16.0.0/12"),
            ("172.18.0.1 172.19.0.1", false, "!172.18.0.1 !172.19.0.1 172.16.0.0/12"),
            ("172.19.0.1", true, "!172.19.0.1 172.16.0.0/12"),
        ] {
            assert_eq!(watcher.update(addresses(found), &path), rewritten, "{found}");
            assert_eq!(mynetworks(&path), expected, "{found}");
        }
    }

    #[test]
    fn a_change_that_could_not_be_written_is_tried_again() {
        let configuration = Configuration::load(&Environment::from([
            ("RELAY_MYHOSTNAME", "relay.example.org"),
            ("ALLOWED_NETWORKS", "172.16.0.0/12"),
        ]));
        let mut watcher = Watcher::new(configuration.unwrap(), Host::default());
        assert!(!watcher.update(addresses("172.18.0.1"), Path::new("/nowhere/main.cf")));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.cf");
        assert!(watcher.update(addresses("172.18.0.1"), &path));
        assert_eq!(mynetworks(&path), "!172.18.0.1 172.16.0.0/12");
    }
}
