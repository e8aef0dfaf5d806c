//! The client's connection: plain or TLS, with a deadline on each line it reads.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::net::sockopt::{Timeout, set_ipv6_freebind, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect as connect_socket, socket_with,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::wait;

/// Longer than anything the relay may take to answer: ten seconds for a login, and for a policy.
const ANSWER: Duration = Duration::from_secs(25);
const LINE_LIMIT: usize = 64 * 1024;

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// While a handshake owns the socket, and for good when it failed.
    Broken,
}

#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    unread: Vec<u8>,
}

/// Connects from a given source address. Called inside the namespace.
pub fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The clients' networks are local by a route only, which IPv6's bind does not look at.
    if from.is_ipv6() {
        set_ipv6_freebind(&socket, true)?;
    }
    bind(&socket, &SocketAddr::new(from, 0)).with_context(|| format!("binding to {from}"))?;
    // On Linux the time to send bounds connect, too.
    set_socket_timeout(&socket, Timeout::Send, Some(ANSWER))?;
    connect_socket(&socket, &to).with_context(|| format!("connecting from {from} to {to}"))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether an error says that the other side ended the connection, by FIN or by RST.
pub fn is_end(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<std::io::Error>() else { return false };
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), unread: Vec::new() }
    }

    /// Reads up to CRLF, which is taken off.
    pub fn read_line(&mut self) -> Result<String> {
        let deadline = Instant::now() + ANSWER;
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").context("a line that ends with a bare LF")?;
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            ensure!(self.unread.len() < LINE_LIMIT, "a line of more than {LINE_LIMIT} bytes");
            self.read_more(deadline)?;
        }
    }

    fn read_more(&mut self, deadline: Instant) -> Result<()> {
        let mut chunk = [0; 4096];
        self.tcp()?.set_read_timeout(Some(wait::left(deadline)))?;
        let read = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(&mut chunk),
            Stream::Tls(tls) => tls.read(&mut chunk),
            Stream::Broken => bail!("the connection broke before"),
        };
        match read {
            Ok(0) => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(count) => {
                self.unread.extend(chunk.iter().take(count));
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(anyhow!("the server said nothing for {ANSWER:?}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes)?,
            Stream::Tls(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
            Stream::Broken => bail!("the connection broke before"),
        }
        Ok(())
    }

    pub fn handshake(&mut self) -> Result<()> {
        ensure!(self.unread.is_empty(), "the server spoke before the handshake");
        let Stream::Plain(tcp) = std::mem::replace(&mut self.stream, Stream::Broken) else {
            bail!("a handshake within TLS");
        };
        tcp.set_read_timeout(Some(ANSWER))?;
        let connection = ClientConnection::new(any_certificate(), "relay.test".try_into()?)?;
        let mut tls = StreamOwned::new(connection, tcp);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        self.stream = Stream::Tls(Box::new(tls));
        Ok(())
    }

    pub fn certificate(&self) -> Option<Vec<u8>> {
        let Stream::Tls(tls) = &self.stream else { return None };
        tls.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    fn tcp(&self) -> Result<&TcpStream> {
        match &self.stream {
            Stream::Plain(tcp) => Ok(tcp),
            Stream::Tls(tls) => Ok(&tls.sock),
            Stream::Broken => bail!("the connection broke before"),
        }
    }
}

fn any_certificate() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .unwrap_or_else(|_| unreachable!("ring supports the default versions"));
    Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Takes any certificate, as a client does that meets a self-signed one; the signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
