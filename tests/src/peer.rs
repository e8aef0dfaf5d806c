//! Servers out there, as `relay doctor` meets them: an SMTP server that says what it is told to, and a clock.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::namespace::Namespace;

const STOP_CHECK: Duration = Duration::from_millis(20);
/// Longer than any client waits here.
const SILENCE: Duration = Duration::from_secs(20);

/// What an SMTP server says.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Nothing at all if it is empty.
    pub banner: &'static str,
    /// Lines of the answer to EHLO.
    pub ehlo: &'static [&'static str],
    /// To every other command but QUIT.
    pub other: &'static str,
}

/// A receiver in order, that tells its client an address.
pub const GOOD: Script = Script {
    banner: "220 mx.example ESMTP",
    ehlo: &["mx.example at your service, [192.0.2.1]", "SIZE 100000000", "STARTTLS"],
    other: "502 5.5.1 unknown",
};

/// Talks until it is dropped.
#[derive(Debug)]
pub struct Peer {
    script: Arc<Mutex<Script>>,
    stopped: Arc<AtomicBool>,
}

impl Peer {
    pub fn listen(namespace: &Namespace, address: SocketAddr, script: Script) -> Result<Self> {
        let listener = namespace
            .enter(|| Ok(TcpListener::bind(address)?))
            .with_context(|| format!("listening on {address} as a peer"))?;
        listener.set_nonblocking(true)?;
        let peer = Self { script: Arc::new(Mutex::new(script)), stopped: Arc::default() };
        let (script, stopped) = (Arc::clone(&peer.script), Arc::clone(&peer.stopped));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(STOP_CHECK);
                    continue;
                };
                let script = *script.lock().unwrap_or_else(PoisonError::into_inner);
                // A client that leaves early has seen enough.
                std::thread::spawn(move || talk(stream, script).ok());
            }
        });
        Ok(peer)
    }

    /// What it says from now on.
    pub fn say(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn talk(mut stream: TcpStream, script: Script) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut input = BufReader::new(stream.try_clone()?);
    if !script.banner.is_empty() {
        stream.write_all(format!("{}\r\n", script.banner).as_bytes())?;
    }
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if script.banner.is_empty() {
            continue;
        }
        let reply = match line.split_whitespace().next().unwrap_or_default() {
            "EHLO" => ehlo(script.ehlo),
            "QUIT" => "221 2.0.0 bye\r\n".to_owned(),
            _ => format!("{}\r\n", script.other),
        };
        stream.write_all(reply.as_bytes())?;
    }
}

fn ehlo(lines: &[&str]) -> String {
    let last = lines.len().saturating_sub(1);
    let line = |(number, text)| format!("250{}{text}\r\n", if number == last { ' ' } else { '-' });
    lines.iter().enumerate().map(line).collect()
}

/// A time server that is as far ahead as it is told.
#[derive(Debug)]
pub struct Clock {
    ahead: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
}

/// Seconds from 1900, where NTP begins to count, to 1970 (RFC 4330 section 3).
const TO_1970: u64 = 2_208_988_800;

impl Clock {
    pub fn listen(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let socket =
            namespace.enter(|| Ok(UdpSocket::bind(address)?)).context("listening as clock")?;
        socket.set_read_timeout(Some(STOP_CHECK))?;
        let clock = Self { ahead: Arc::default(), stopped: Arc::default() };
        let (ahead, stopped) = (Arc::clone(&clock.ahead), Arc::clone(&clock.stopped));
        std::thread::spawn(move || {
            let mut packet = [0; 48];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((_, client)) = socket.recv_from(&mut packet) else { continue };
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let seconds = since.map_or(0, |since| since.as_secs()) + TO_1970;
                let seconds = seconds.wrapping_add_signed(ahead.load(Ordering::Relaxed));
                let mut reply = [0; 48];
                reply[0] = 0x24;
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                reply[40..44].copy_from_slice(&seconds.to_be_bytes());
                // A client that has gone away asks nobody any more.
                socket.send_to(&reply, client).ok();
            }
        });
        Ok(clock)
    }

    pub fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
