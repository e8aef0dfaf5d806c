//! Clients that send messages as fast as they are taken.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use relay_tests::lab::HOME;
use relay_tests::relay::Relay;

/// What the clients do.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub port: u16,
    /// STARTTLS, or the port's own TLS.
    pub tls: bool,
    pub login: bool,
    /// Sessions at one time.
    pub sessions: usize,
    /// Messages of each session.
    pub messages: usize,
    pub recipients: usize,
    /// Messages that the next hop gets for each.
    pub deliveries: usize,
    /// Bytes of each message, its header included.
    pub size: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            port: 25,
            tls: false,
            login: false,
            sessions: 10,
            messages: 1,
            recipients: 1,
            deliveries: 1,
            size: 4096,
        }
    }
}

pub const USER: &str = "alice";
/// As the relay generates them, so that strangers who guess at the user do not slow it down.
pub const PASSWORD: &str = "k7Qmz-T4xVb-9nRw2-cHd6s-Jp3Lf";
const FROM: IpAddr = HOME;

/// Sends so many messages. Returns how long it took until all were accepted, and the time of each
/// session in microseconds, by the number of messages in it.
pub fn send(relay: &Relay<'_>, load: &Load, total: usize) -> Result<(Duration, Histogram<u64>)> {
    let message = message(load.size);
    let sessions = total.div_ceil(load.messages);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started = Instant::now();
    let times = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..load.sessions)
            .map(|_| {
                scope.spawn(|| {
                    let mut times = histogram()?;
                    while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < sessions {
                        let started = Instant::now();
                        session(relay, load, &message)?;
                        times.saturating_record(micros(started.elapsed()));
                    }
                    Ok::<_, anyhow::Error>(times)
                })
            })
            .collect();
        let mut all = histogram()?;
        for client in clients {
            let times = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all.add(&times).context("adding up latencies")?;
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    Ok((started.elapsed(), times))
}

/// How many messages that was.
#[must_use]
pub fn rounded(load: &Load, total: usize) -> usize {
    total.div_ceil(load.messages) * load.messages
}

fn session(relay: &Relay<'_>, load: &Load, message: &[u8]) -> Result<()> {
    let mut client = match (load.login, load.tls) {
        (true, _) => relay.login(FROM, load.port, USER, PASSWORD)?,
        (false, true) => relay.session(FROM, load.port)?,
        (false, false) => {
            let mut client = relay.connect(FROM, load.port)?;
            client.ehlo()?;
            client
        }
    };
    let recipients: Vec<String> =
        (0..load.recipients).map(|number| format!("r{number}@example.net")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for _ in 0..load.messages {
        let reply = client.send("alice@example.org", &recipients, message)?;
        ensure!(reply.code == 250, "a message of the benchmark was not taken: {reply:?}");
    }
    client.quit()
}

/// A message of so many bytes, with the header fields that a mail program writes.
#[must_use]
pub fn message(size: usize) -> Vec<u8> {
    let mut text = b"From: Alice <alice@example.org>\r\nTo: Bob <r0@example.net>\r\n\
        Subject: benchmark\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\
        Message-ID: <benchmark@example.org>\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=utf-8\r\nUser-Agent: relay-bench\r\n\r\n"
        .to_vec();
    while text.len() < size {
        text.extend_from_slice(
            b"All work and no play makes Jack a dull boy, says the benchmark.\r\n",
        );
    }
    text
}

pub fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 600_000_000, 3).context("making a histogram")
}

#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
