//! `relay user snippet`: what to enter in a mail program to send through this relay.

mod template;

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::builder::PossibleValuesParser;

use self::template::{Facts, TEMPLATES, Trust};
use super::failure::{Exit, Failure};
use super::healthcheck::own_tls;
use crate::certificate::Certificate;
use crate::config::{Environment, ProcessEnvironment};
use crate::user_name::UserName;

/// For each step of the conversation with the relay's port 465.
const PATIENCE: Duration = Duration::from_secs(5);

/// The programs there are texts for.
pub fn programs() -> PossibleValuesParser {
    PossibleValuesParser::new(TEMPLATES.iter().map(|(name, _)| *name))
}

/// The text for a program, with this relay's name and certificate.
///
/// # Errors
///
/// When the relay's name is not known, its port 465 does not answer, or a program would need the
/// user's name in quotes.
pub fn run(name: &UserName, program: &str, at: &str) -> Result<String, Failure> {
    // Each program has its own way to quote.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    if !name.as_str().chars().all(is_plain) {
        return Err(Failure::new(
            Exit::BadName,
            format!(
                "the name {name} has characters that some programs want in quotes: choose another"
            ),
        ));
    }
    let host = ProcessEnvironment.get("RELAY_MYHOSTNAME").filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| {
        Failure::new(Exit::BadSetting, "RELAY_MYHOSTNAME is not set: clients need the relay's name")
    })?;
    let certificate = shown(at).map_err(|error| {
        Failure::trouble(format!("cannot see the relay's certificate at {at}: {error}"))
    })?;
    let trust = if certificate.is_self_signed { Trust::Pin } else { Trust::Authority };
    let facts = Facts { host: &host, user: name.as_str(), certificate: &certificate, trust };
    Ok(template::text(program, &facts))
}

/// The certificate that a client of port 465 sees.
fn shown(at: &str) -> io::Result<Certificate> {
    let address = at.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Anybody may see it, and nothing is sent to whoever shows it but a QUIT.
    let mut tls = own_tls::over(stream)?;
    tls.write_all(b"QUIT\r\n")?;
    tls.flush()?;
    let chain = tls.conn.peer_certificates().unwrap_or_default();
    let first = chain.first().ok_or_else(|| io::Error::other("no certificate was shown"))?;
    Certificate::read(first).ok_or_else(|| io::Error::other("its certificate cannot be read"))
}
