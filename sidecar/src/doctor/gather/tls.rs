//! TLS with whatever certificate is shown, and what clients would think of it.

use std::io;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, ProtocolVersion, RootCertStore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::smtp::{PATIENCE, Stream};
use crate::doctor::facts::Certificate;
use crate::{certificate, tls_client};

/// What was agreed on.
#[derive(Debug)]
pub struct Agreed {
    /// Such as `TLS 1.3`.
    pub version: String,
    pub certificate: Certificate,
    /// SHA-256 of the public key, in hexadecimal digits.
    pub key_pin: String,
}

/// Shakes hands over a connection. Nothing secret may be said over it: the certificate is judged, not required.
pub async fn over<S: Stream>(stream: S, host: &str) -> io::Result<(TlsStream<S>, Agreed)> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let config = tls_client::any_certificate().map_err(io::Error::other)?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream);
    let stream = timeout(PATIENCE, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))?;
    let connection = stream.get_ref().1;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let shown = connection.peer_certificates().unwrap_or_default();
    let certificate = judge(shown, &name).map_err(io::Error::other)?;
    let read = shown.first().and_then(|leaf| certificate::Certificate::read(leaf));
    let key_pin = read.map(|read| read.key_pin.iter().map(|byte| format!("{byte:02x}")).collect());
    let key_pin = key_pin.unwrap_or_default();
    Ok((stream, Agreed { version: version.to_owned(), certificate, key_pin }))
}

/// Judges a certificate as clients do.
fn judge(
    shown: &[CertificateDer<'_>],
    name: &ServerName<'_>,
) -> Result<Certificate, VerifierBuilderError> {
    let Some((leaf, chain)) = shown.split_first() else {
        return Ok(Certificate::Bad("none was shown".to_owned()));
    };
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(match judge.verify_server_cert(leaf, chain, name, &[], UnixTime::now()) {
        Ok(_) => Certificate::Good,
        Err(error) => words(&error, leaf, name),
    })
}

/// Why a certificate is not good, in words.
fn words(error: &Error, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Certificate {
    // An unknown signer is told first; that the name is another one matters as much.
    let parsed = ParsedCertificate::try_from(leaf);
    let wrong_name = parsed.is_ok_and(|leaf| verify_server_name(&leaf, name).is_err());
    let Error::InvalidCertificate(error) = error else {
        return Certificate::Bad(error.to_string());
    };
    let is_self_signed =
        certificate::Certificate::read(leaf).is_some_and(|read| read.is_self_signed);
    let what = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?"
        }
        _ if wrong_name => "it is for another name",
        _ if is_self_signed => return Certificate::SelfSigned,
        CertificateError::UnknownIssuer => {
            "clients do not know who signed it: the chain is not complete, or the authority is a private one"
        }
        other => return Certificate::Bad(other.to_string()),
    };
    Certificate::Bad(what.to_owned())
}
