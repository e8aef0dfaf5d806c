//! The next hop: an SMTP server that keeps every message byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::wait;

/// A message as it came, dots taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub client: IpAddr,
    pub sender: String,
    pub recipients: Vec<String>,
    pub data: Vec<u8>,
}

/// What the sink does with its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Accept,
    /// Keeps each message, and says so only after this time.
    Slow(Duration),
    /// Offers neither 8BITMIME nor SMTPUTF8.
    SevenBit,
    /// Knows no recipient.
    Refuse,
    /// Takes connections and says nothing, so that what is sent stays with the sender.
    Silent,
}

/// A next hop that listens until it is dropped.
#[derive(Debug)]
pub struct Sink {
    state: Arc<State>,
    pub address: SocketAddr,
}

#[derive(Debug)]
struct State {
    messages: Mutex<Vec<Message>>,
    manner: Mutex<Manner>,
    stopped: AtomicBool,
}

const CLIENT_IDLE: Duration = Duration::from_secs(60);
const LINE_LIMIT: u64 = 64 * 1024;
const SAYS_NOTHING: Duration = Duration::from_millis(20);

impl Sink {
    pub fn listen(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = namespace
            .enter(|| Ok(TcpListener::bind(address)?))
            .with_context(|| format!("listening on {address} as next hop"))?;
        listener.set_nonblocking(true)?;
        let state = Arc::new(State {
            messages: Mutex::default(),
            manner: Mutex::new(Manner::Accept),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &shared));
        Ok(Self { state, address })
    }

    pub fn behave(&self, manner: Manner) {
        *lock(&self.state.manner) = manner;
    }

    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.state.messages).clone()
    }

    /// Waits for the only message that is expected.
    pub fn one_message(&self) -> Result<Message> {
        let mut messages = self.wait_for(1)?;
        messages.pop().context("no message")
    }

    pub fn wait_for(&self, count: usize) -> Result<Vec<Message>> {
        let what = format!("{count} messages at the next hop {}", self.address);
        wait::until(&what, wait::A_WHILE, || {
            let messages = self.messages();
            (messages.len() >= count).then_some(messages)
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    while !state.stopped.load(Ordering::Relaxed) {
        let Ok((stream, client)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        let state = Arc::clone(state);
        // A client that breaks its session off is the client's affair: what it delivered is kept.
        std::thread::spawn(move || serve(stream, client.ip(), &state).ok());
    }
}

fn serve(stream: TcpStream, client: IpAddr, state: &State) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CLIENT_IDLE))?;
    while *lock(&state.manner) == Manner::Silent {
        if state.stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        std::thread::sleep(SAYS_NOTHING);
    }
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut message = None;
    output.write_all(b"220 sink.test ESMTP\r\n")?;
    loop {
        let line = String::from_utf8_lossy(&read_line(&mut input)?).trim_end().to_owned();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" if *lock(&state.manner) == Manner::SevenBit => {
                "250-sink.test\r\n250 SIZE 100000000"
            }
            "EHLO" => "250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 100000000",
            "MAIL" => {
                let (sender, recipients) = (path(&line), Vec::new());
                message = Some(Message { client, sender, recipients, data: Vec::new() });
                "250 2.1.0 ok"
            }
            "RCPT" => match &mut message {
                Some(_) if *lock(&state.manner) == Manner::Refuse => "550 5.1.1 no such user",
                Some(message) => {
                    message.recipients.push(path(&line));
                    "250 2.1.5 ok"
                }
                None => "503 5.5.1 MAIL first",
            },
            "DATA" => match message.take() {
                Some(mut message) => {
                    output.write_all(b"354 go on\r\n")?;
                    message.data = read_data(&mut input)?;
                    lock(&state.messages).push(message);
                    let manner = *lock(&state.manner);
                    if let Manner::Slow(time) = manner {
                        std::thread::sleep(time);
                    }
                    "250 2.0.0 kept"
                }
                None => "503 5.5.1 MAIL first",
            },
            "RSET" | "NOOP" | "HELO" => "250 2.0.0 ok",
            "QUIT" => "221 2.0.0 bye",
            _ => "502 5.5.1 unknown",
        };
        output.write_all(format!("{reply}\r\n").as_bytes())?;
        if verb == "QUIT" {
            return Ok(());
        }
    }
}

fn read_data(input: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let line = read_line(input)?;
        if line == b".\r\n" {
            return Ok(data);
        }
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// Reads up to CRLF: a bare LF is part of the line, or the sink would see other messages than were sent.
fn read_line(input: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let read = input.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)?;
        anyhow::ensure!(read > 0, "the client ended the connection");
    }
    Ok(line)
}

fn path(line: &str) -> String {
    let inner = line.split_once('<').map_or("", |(_, rest)| rest);
    inner.rsplit_once('>').map_or("", |(path, _)| path).to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
