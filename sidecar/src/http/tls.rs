//! TLS for the metrics, with a certificate that may be renewed at any time.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A handshake is two round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// `METRICS_TLS_CERT` and `METRICS_TLS_KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// When both files were written.
type Written = [Option<SystemTime>; 2];

impl Files {
    /// # Errors
    ///
    /// Names the file, and what is wrong with it.
    fn load(&self) -> Result<Arc<ServerConfig>, String> {
        let Self { certificate, key } = self;
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("METRICS_TLS_CERT={}: {error}", certificate.display()))?;
        let at_key =
            |error: &dyn fmt::Display| format!("METRICS_TLS_KEY={}: {error}", key.display());
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at_key(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| at_key(&error))?;
        Ok(Arc::new(config))
    }

    fn written(&self) -> Written {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).ok()?.modified().ok())
    }
}

/// The pair in use.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: Mutex<(Written, Arc<ServerConfig>)>,
}

impl Tls {
    /// # Errors
    ///
    /// When the pair cannot be used.
    pub fn start(files: Files) -> Result<Self, String> {
        let current = Mutex::new((files.written(), files.load()?));
        Ok(Self { files, current })
    }

    /// Shakes hands. `None` for a peer that does not: a scanner is not worth a log line.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Option<TlsStream<S>> {
        let handshake = TlsAcceptor::from(self.config()).accept(stream);
        tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.ok()?.ok()
    }

    /// The pair on disk, if it can be used; else the one before.
    fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.lock();
        let written = self.files.written();
        if written != current.0 {
            current.0 = written;
            match self.files.load() {
                Ok(config) => {
                    tracing::info!("the metrics have a new certificate");
                    current.1 = config;
                }
                Err(error) => tracing::warn!(
                    error,
                    "the new certificate for the metrics cannot be used; keeping the old one"
                ),
            }
        }
        Arc::clone(&current.1)
    }

    fn lock(&self) -> MutexGuard<'_, (Written, Arc<ServerConfig>)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a pair for a name; a second one has other times than the first.
    fn write(folder: &std::path::Path, name: &str) -> Files {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let files = Files { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_renewed_pair_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::start(write(folder.path(), "a.test")).unwrap();
        let first = tls.config();
        assert!(Arc::ptr_eq(&first, &tls.config()));
        write(folder.path(), "b.test");
        let second = tls.config();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(folder.path().join("cert.pem"), "").unwrap();
        assert!(Arc::ptr_eq(&second, &tls.config()));
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_said_with_the_variable_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), "a.test");
        let missing = Files { certificate: folder.path().join("none"), ..files.clone() };
        assert!(Tls::start(missing).unwrap_err().starts_with("METRICS_TLS_CERT="));
        let swapped = Files { certificate: files.key.clone(), key: files.certificate.clone() };
        assert!(Tls::start(swapped).unwrap_err().starts_with("METRICS_TLS_"));
        let stranger = tempfile::tempdir().unwrap();
        let mismatch = Files { key: write(stranger.path(), "a.test").key, ..files };
        assert!(Tls::start(mismatch).unwrap_err().starts_with("METRICS_TLS_KEY="));
    }
}
