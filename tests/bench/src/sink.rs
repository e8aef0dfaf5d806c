//! The next hop of the benchmark: reads what comes and counts it, with as little work as possible.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use relay_tests::lab::SINK;
use relay_tests::namespace::Namespace;
use relay_tests::wait;

/// Listens at [`SINK`] for as long as the process lives.
#[derive(Debug, Clone)]
pub struct CountingSink {
    received: Arc<AtomicU64>,
}

const DATA_END: &[u8] = b"\r\n.\r\n";

impl CountingSink {
    pub fn listen(namespace: &Namespace) -> Result<Self> {
        let listener = namespace
            .enter(|| Ok(TcpListener::bind(SINK)?))
            .context("listening as the next hop of the benchmark")?;
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || serve(stream, &counter).ok());
            }
        });
        Ok(Self { received })
    }

    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until so many messages have come in all.
    pub fn wait_for(&self, count: u64, within: Duration) -> Result<()> {
        let what = format!("{count} messages at the next hop");
        wait::until(&what, within, || (self.received() >= count).then_some(()))
            .with_context(|| format!("{} have come", self.received()))
    }
}

fn serve(mut stream: TcpStream, counter: &AtomicU64) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink.test ESMTP\r\n")?;
    let mut buffer = vec![0; 64 * 1024];
    let mut unread: Vec<u8> = Vec::new();
    let mut in_data = false;
    loop {
        let size = stream.read(&mut buffer)?;
        if size == 0 {
            return Ok(());
        }
        unread.extend(buffer.iter().take(size));
        let mut replies = Vec::new();
        loop {
            let marker = if in_data { DATA_END } else { b"\r\n".as_slice() };
            let Some(end) = find(&unread, marker) else { break };
            let line: Vec<u8> = unread.drain(..end + marker.len()).collect();
            let (reply, then) = if in_data { received(counter) } else { answer(&line) };
            replies.extend_from_slice(reply);
            in_data = then;
        }
        // The marker may come in two pieces; of a body that is still coming nothing else is needed.
        if in_data && unread.len() > 2 * DATA_END.len() {
            unread.drain(..unread.len() - DATA_END.len());
        }
        stream.write_all(&replies)?;
    }
}

fn find(bytes: &[u8], marker: &[u8]) -> Option<usize> {
    bytes.windows(marker.len()).position(|window| window == marker)
}

fn received(counter: &AtomicU64) -> (&'static [u8], bool) {
    counter.fetch_add(1, Ordering::Relaxed);
    (b"250 2.0.0 counted\r\n", false)
}

/// The reply to a command, and whether the message follows.
fn answer(line: &[u8]) -> (&'static [u8], bool) {
    match line.get(..4).unwrap_or_default() {
        b"EHLO" => {
            (b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n", false)
        }
        b"DATA" => (b"354 go on\r\n", true),
        b"QUIT" => (b"221 2.0.0 bye\r\n", false),
        _ => (b"250 2.0.0 ok\r\n", false),
    }
}
