//! TLS with whatever certificate is shown, and what clients would think of it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::smtp::{PATIENCE, Stream};
use crate::certificate;
use crate::doctor::facts::Certificate;

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
    let observer = Arc::new(Observer::new().map_err(io::Error::other)?);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&observer) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = timeout(PATIENCE, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))?;
    let version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let read = shown.and_then(|leaf| certificate::Certificate::read(leaf));
    let key_pin = read.map(|read| read.key_pin.iter().map(|byte| format!("{byte:02x}")).collect());
    let key_pin = key_pin.unwrap_or_default();
    let certificate = observer.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    let certificate = certificate.unwrap_or_default();
    Ok((stream, Agreed { version: version.to_owned(), certificate, key_pin }))
}

/// Judges a certificate as clients do, and goes on whatever it is.
#[derive(Debug)]
struct Observer {
    judge: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Certificate>>,
}

impl Observer {
    fn new() -> Result<Self, rustls::client::VerifierBuilderError> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(ring::default_provider());
        let judge =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { judge, seen: Mutex::new(None) })
    }
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

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = match self.judge.verify_server_cert(leaf, chain, name, ocsp, now) {
            Ok(_) => Certificate::Good,
            Err(error) => words(&error, leaf, name),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
