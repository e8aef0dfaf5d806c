//! The certificates in use: Postfix's private copies of checked pairs, and the watch over their sources.
//!
//! Postfix reads certificate and key whenever one of its processes starts. If it read the operator's
//! files, a renewal that is written in two steps, or goes wrong, would break all TLS until somebody
//! fixed it. So Postfix reads a copy in one file, which only ever changes from one good pair to
//! another; after a change Postfix reloads, which ends no session.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::watched::{Source, Watched};
use crate::maillog::facts::CertificateState;

/// What Postfix shows its clients.
pub const SERVER_COPY: &str = "/run/postfix/server.pem";
/// What Postfix shows the next hop.
pub const CLIENT_COPY: &str = "/run/postfix/client.pem";

/// On a volume, so that clients which pinned the self-signed certificate recognise it after a restart.
const SELF_SIGNED_FOLDER: &str = "/var/lib/relay-tls";

/// The TLS that the ports offer, and where its certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTls {
    Off,
    SelfSigned,
    Files { certificate: PathBuf, key: PathBuf },
}

/// Watches every pair in use.
#[derive(Debug, Default)]
pub struct Watcher(Vec<Watched>);

impl Watcher {
    /// Puts the pairs into use: the server's, and the client certificate and key for the next hop.
    ///
    /// # Errors
    ///
    /// If a pair cannot be used or Postfix's copy cannot be written.
    pub fn start(
        server: &ServerTls,
        hostname: &str,
        client: Option<&(PathBuf, PathBuf)>,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let mut watcher = Self::default();
        let source = match server {
            ServerTls::Off => None,
            ServerTls::SelfSigned => Some(Source::SelfSigned(PathBuf::from(SELF_SIGNED_FOLDER))),
            ServerTls::Files { certificate, key } => Some(Source::Files {
                certificate: certificate.clone(),
                key: key.clone(),
                variables: ["TLS_CERT", "TLS_KEY"],
            }),
        };
        if let Some(source) = source {
            let copy = Path::new(SERVER_COPY);
            let watched = Watched::start(source, copy, Some(hostname.to_owned()), now)?;
            watched.announce(hostname);
            watcher.0.push(watched);
        }
        if let Some((certificate, key)) = client {
            let (certificate, key) = (certificate.clone(), key.clone());
            let variables = ["RELAYHOST_CERT", "RELAYHOST_KEY"];
            let source = Source::Files { certificate, key, variables };
            watcher.0.push(Watched::start(source, Path::new(CLIENT_COPY), None, now)?);
        }
        Ok(watcher)
    }

    /// What each certificate is for, when it expires, and whether a newer one could not be used.
    pub fn state(&self) -> Vec<CertificateState> {
        let state = |watched: &Watched| CertificateState {
            role: watched.role(),
            expires: watched.expiry(),
            is_not_renewed: watched.is_not_renewed(),
        };
        self.0.iter().map(state).collect()
    }

    /// Checks every pair; `true` if one was replaced and Postfix has to reload.
    ///
    /// Cheap enough for every few seconds: it reads two small files per pair.
    pub fn tick(&mut self, now: SystemTime) -> bool {
        let mut changed = false;
        for watched in &mut self.0 {
            changed |= watched.tick(now);
        }
        changed
    }
}
