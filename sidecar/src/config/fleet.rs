//! The fleet that this relay belongs to.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::Environment;
use super::reader::Reader;
use crate::lists;

/// Longest name of a node in bytes: it is a part of every key of what the node counts.
const MAX_NODE: usize = 128;

#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// Servers of the engine: `tls://host:4222`, or `nats://` in plain text.
    pub servers: Vec<String>,
    pub credentials: Option<Credentials>,
    /// `None` in plain text.
    pub tls: Option<ClientConfig>,
    /// What this relay is called in the fleet.
    pub node: String,
}

/// What this relay shows the engine.
#[derive(Clone)]
pub enum Credentials {
    /// What `nsc` and the NATS tools write into a `.creds` file: a JWT and its key.
    Jwt(Arc<Zeroizing<String>>),
    /// The seed of an nkey.
    Nkey(Arc<Zeroizing<String>>),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl<E: Environment> Reader<'_, E> {
    /// `None` without a fleet, and when something is wrong with it.
    pub fn fleet(&mut self) -> Option<FleetConfig> {
        let Some(urls) = self.value("FLEET_URL") else {
            self.needs_a_fleet();
            return None;
        };
        let insecure = self.boolean("FLEET_INSECURE");
        let servers: Vec<String> =
            lists::entries(&urls).filter_map(|url| self.server(url, insecure)).collect();
        let credentials = self.credentials();
        let uses_tls = servers.iter().any(|server| server.starts_with("tls://"));
        let tls = if uses_tls { self.fleet_tls() } else { None };
        let node = self.node();
        let is_complete = !servers.is_empty() && (tls.is_some() || !uses_tls);
        is_complete.then_some(FleetConfig { servers, credentials, tls, node: node? })
    }

    fn needs_a_fleet(&mut self) {
        for name in ["FLEET_CREDENTIALS_FILE", "FLEET_CA", "FLEET_CERT", "FLEET_KEY", "FLEET_NODE"]
        {
            if self.value(name).is_some() {
                self.mistakes.push(format!(
                    "{name} is set without FLEET_URL: set FLEET_URL=tls://host, too, or remove {name}"
                ));
            }
        }
    }

    /// A server as the client wants it: with a scheme and nothing secret.
    fn server(&mut self, url: &str, insecure: bool) -> Option<String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("tls", url));
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mistake = if rest.contains('@') {
            // Not shown, because what is before the @ may be a password.
            "FLEET_URL has an @: write only host and port, and name the credentials in \
             FLEET_CREDENTIALS_FILE"
                .to_owned()
        } else if host.is_empty() || rest.contains(['/', '?', '#']) {
            format!("FLEET_URL: {url:?} is not a server: write tls://nats.example.org:4222")
        } else if scheme == "tls" {
            return Some(format!("tls://{rest}"));
        } else if scheme != "nats" {
            format!("FLEET_URL: {url:?} has an unknown scheme: write tls://{rest}")
        } else if insecure || is_loopback(host) {
            return Some(format!("nats://{rest}"));
        } else {
            format!(
                "FLEET_URL: {url:?} would carry password hashes and private keys in the clear: write \
                 tls://{rest}, or set FLEET_INSECURE=true where nobody else can listen"
            )
        };
        self.mistakes.push(mistake);
        None
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let path = self.value("FLEET_CREDENTIALS_FILE")?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                self.wrong_file("FLEET_CREDENTIALS_FILE", &path, &error.to_string());
                return None;
            }
        };
        // A seed begins with S, and U for a user.
        let seed = text.trim();
        if text.contains("BEGIN NATS USER JWT") {
            return Some(Credentials::Jwt(Arc::new(text)));
        }
        if seed.starts_with("SU") && !seed.contains(char::is_whitespace) {
            return Some(Credentials::Nkey(Arc::new(Zeroizing::new(seed.to_owned()))));
        }
        let expected = "neither credentials of NATS (a .creds file) nor the seed of an nkey (SU…)";
        self.wrong_file("FLEET_CREDENTIALS_FILE", &path, expected);
        None
    }

    fn fleet_tls(&mut self) -> Option<ClientConfig> {
        let mut authorities = RootCertStore::empty();
        match self.value("FLEET_CA") {
            None => authorities.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                for certificate in self.certificates("FLEET_CA", &path)? {
                    if let Err(error) = authorities.add(certificate) {
                        self.wrong_file("FLEET_CA", &path, &error.to_string());
                        return None;
                    }
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.mistakes.push(format!("FLEET_URL: no TLS: {error}")))
            .ok()?
            .with_root_certificates(authorities);
        match (self.value("FLEET_CERT"), self.value("FLEET_KEY")) {
            (None, None) => Some(builder.with_no_client_auth()),
            (Some(certificate), Some(key)) => {
                let chain = self.certificates("FLEET_CERT", &certificate)?;
                let private = PrivateKeyDer::from_pem_file(Path::new(&key));
                let private = private
                    .map_err(|error| self.wrong_file("FLEET_KEY", &key, &error.to_string()))
                    .ok()?;
                let config = builder.with_client_auth_cert(chain, private);
                config.map_err(|error| self.wrong_file("FLEET_KEY", &key, &error.to_string())).ok()
            }
            (_, _) => {
                let mistake = "FLEET_CERT and FLEET_KEY: set both, or neither";
                self.mistakes.push(mistake.to_owned());
                None
            }
        }
    }

    fn certificates(&mut self, name: &str, path: &str) -> Option<Vec<CertificateDer<'static>>> {
        let read = CertificateDer::pem_file_iter(PathBuf::from(path));
        let read = read.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match read {
            Ok(found) if !found.is_empty() => Some(found),
            Ok(_) => {
                self.wrong_file(name, path, "there is no certificate in it");
                None
            }
            Err(error) => {
                self.wrong_file(name, path, &error.to_string());
                None
            }
        }
    }

    fn node(&mut self) -> Option<String> {
        let node = self.value("FLEET_NODE").or_else(|| self.value("RELAY_MYHOSTNAME"));
        let Some(node) = node else {
            let mistake = "FLEET_NODE: a relay of a fleet needs a name of its own: set \
                           RELAY_MYHOSTNAME, or FLEET_NODE";
            self.mistakes.push(mistake.to_owned());
            return None;
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if node.len() <= MAX_NODE && node.chars().all(allowed) {
            return Some(node.to_ascii_lowercase());
        }
        let expected = format!("expected up to {MAX_NODE} letters, digits, and . - _");
        self.wrong("FLEET_NODE", &node, &expected);
        None
    }

    /// What does not look like a path may be the secret itself.
    fn wrong_file(&mut self, name: &str, path: &str, what: &str) {
        let shown = if path.starts_with('/') { format!(" {path}") } else { String::new() };
        self.mistakes.push(format!("{name}: cannot use this file{shown}: {what}"));
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table(Vec<(&'static str, String)>);

    impl Environment for Table {
        fn get(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        }

        fn names(&self) -> Vec<String> {
            self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
        }
    }

    fn read(settings: &[(&'static str, &str)]) -> (Option<FleetConfig>, Vec<String>) {
        let table = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let table = Table(table);
        let mut reader = Reader::new(&table);
        let config = reader.fleet();
        (config, reader.mistakes)
    }

    #[test]
    fn a_fleet_has_servers_and_this_relay_a_name() {
        let url = "tls://a.example.org,b.example.org:4333 nats://127.0.0.1:4222";
        let settings = [("FLEET_URL", url), ("RELAY_MYHOSTNAME", "Relay1.example.org")];
        let (config, mistakes) = read(&settings);
        assert_eq!(mistakes, [""; 0]);
        let config = config.unwrap();
        let servers = ["tls://a.example.org", "tls://b.example.org:4333", "nats://127.0.0.1:4222"];
        assert_eq!(config.servers, servers);
        assert_eq!(config.node, "relay1.example.org");
        assert!(config.tls.is_some() && config.credentials.is_none());
        assert!(read(&[]).0.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_secret_is_shown() {
        let node = ("FLEET_NODE", "one");
        for (settings, expected) in [
            (vec![("FLEET_URL", "nats://10.0.0.1:4222"), node], "FLEET_INSECURE=true"),
            (vec![("FLEET_URL", "tls://me:hunter2@nats"), node], "FLEET_CREDENTIALS_FILE"),
            (vec![("FLEET_URL", "http://nats"), node], "unknown scheme"),
            (vec![("FLEET_URL", "tls://"), node], "is not a server"),
            (vec![("FLEET_URL", "tls://nats")], "needs a name of its own"),
            (vec![("FLEET_URL", "tls://nats"), ("FLEET_NODE", "a b")], "letters, digits"),
            (vec![node], "without FLEET_URL"),
            (vec![("FLEET_URL", "tls://nats"), node, ("FLEET_CERT", "/x")], "set both"),
            (vec![("FLEET_URL", "tls://nats"), node, ("FLEET_CA", "/nowhere")], "FLEET_CA"),
            (
                vec![("FLEET_URL", "tls://nats"), node, ("FLEET_CREDENTIALS_FILE", "hunter2")],
                "cannot use this file: ",
            ),
        ] {
            let (_, mistakes) = read(&settings);
            let text = mistakes.join("\n");
            assert!(text.contains(expected), "{settings:?}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn in_plain_text_only_where_it_was_asked_for() {
        let settings =
            [("FLEET_URL", "nats://10.0.0.1"), ("FLEET_NODE", "one"), ("FLEET_INSECURE", "true")];
        let (config, mistakes) = read(&settings);
        assert_eq!(mistakes, [""; 0]);
        assert!(config.unwrap().tls.is_none());
    }
}
