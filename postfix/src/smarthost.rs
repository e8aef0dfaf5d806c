//! `relay-init smarthost`: tries the login at each next hop that has one. It connects, turns TLS on, logs in and says QUIT;
//! no mail is sent. The password stays in this container, which is the only one that has it.

mod smtp;
mod tls;

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::answers::explain;
use crate::configuration::main_cf::PUBLIC_CAS;
use crate::printable;
use crate::settings::Settings;
use crate::settings::next_hop::{Login, NextHop};
use crate::settings::tls_level::TlsLevel;
use smtp::{Reply, Talk};

/// For a connection, and for each reply.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of one next hop.
#[derive(Debug)]
pub struct Tried {
    /// As in RELAYHOST.
    pub hop: String,
    pub outcome: Result<String, String>,
}

/// Tries every next hop, one after the other.
pub fn check(settings: &Settings) -> Vec<Tried> {
    let hops = &settings.next_hops;
    let by_sender = hops.by_sender.iter().map(|entry| &entry.hop);
    let all = hops.main.iter().chain(&hops.fallback).chain(by_sender);
    let ca = hops.ca.clone().unwrap_or_else(|| PathBuf::from(PUBLIC_CAS));
    all.map(|hop| Tried { hop: hop.to_string(), outcome: try_one(hop, &ca, &settings.hostname) })
        .collect()
}

fn try_one(hop: &NextHop, ca: &Path, hostname: &str) -> Result<String, String> {
    let Some(login) = &hop.login else {
        return Ok("there is no login to try".to_owned());
    };
    if hop.level == TlsLevel::DaneOnly {
        return Err("with dane-only the password goes to a host with TLSA records only, which this command does not \
                    look at: send a message instead"
            .to_owned());
    }
    let trust = match hop.level {
        TlsLevel::Secure => tls::Trust::Authorities(ca),
        _ => tls::Trust::Anybody,
    };
    let words = |error: io::Error| error.to_string();
    let stream = connect(hop).map_err(words)?;
    let reply = if hop.implicit_tls() {
        let stream = tls::over(stream, &hop.host(), trust).map_err(|error| not_trusted(&error))?;
        let mut talk = Talk::new(stream);
        talk.expect(220).map_err(words)?;
        log_in(talk, login, hostname).map_err(words)?
    } else {
        let mut talk = Talk::new(stream);
        talk.expect(220).map_err(words)?;
        talk.ehlo(hostname).map_err(words)?;
        let reply = talk.say("STARTTLS").map_err(words)?;
        if reply.code != 220 {
            return Err(format!("does not turn TLS on: {}", reply.text()));
        }
        let stream = tls::over(talk.into_inner(), &hop.host(), trust);
        let stream = stream.map_err(|error| not_trusted(&error))?;
        log_in(Talk::new(stream), login, hostname).map_err(words)?
    };
    match reply.code {
        235 => Ok(format!("the login as {} works", login.username)),
        _ => Err(refused(login, &reply)),
    }
}

fn connect(hop: &NextHop) -> io::Result<TcpStream> {
    let mut last = io::Error::other("its name has no address");
    for address in (hop.host(), hop.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn not_trusted(error: &io::Error) -> String {
    format!("TLS: {error}; the password was not sent")
}

/// EHLO, AUTH and QUIT; the answer to AUTH.
fn log_in<S: Read + Write>(mut talk: Talk<S>, login: &Login, hostname: &str) -> io::Result<Reply> {
    let greeting = talk.ehlo(hostname)?;
    let mechanisms = greeting.mechanisms();
    let offers = |wanted: &str| mechanisms.iter().any(|mechanism| mechanism == wanted);
    let password = login.password.as_ref().map_or("", |password| password.reveal());
    let reply = if offers("PLAIN") {
        let plain = Zeroizing::new(format!("\0{}\0{password}", login.username));
        let encoded = Zeroizing::new(BASE64.encode(plain.as_bytes()));
        talk.say(&Zeroizing::new(format!("AUTH PLAIN {}", *encoded)))?
    } else if offers("LOGIN") {
        let mut reply = talk.say("AUTH LOGIN")?;
        for text in [login.username.as_str(), password] {
            if reply.code == 334 {
                reply = talk.say(&Zeroizing::new(BASE64.encode(text)))?;
            }
        }
        reply
    } else {
        let known = if mechanisms.is_empty() { "none".to_owned() } else { mechanisms.join(" ") };
        return Err(io::Error::other(format!(
            "offers neither PLAIN nor LOGIN, which is all that the relay uses (it offers: {})",
            printable::line(&known)
        )));
    };
    // Whoever hangs up first has said what matters.
    talk.say("QUIT").ok();
    Ok(reply)
}

fn refused(login: &Login, reply: &Reply) -> String {
    let answer = reply.text();
    let explained = explain(&answer).map(|found| format!("\n  → {found}")).unwrap_or_default();
    format!("refuses the login as {}: {answer}{explained}", login.username)
}
