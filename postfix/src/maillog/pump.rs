//! The pump: takes Postfix's log from a pipe and a socket, and passes it on.
//!
//! Postfix's programs log through postlogd, which master starts. Whatever master logs before that,
//! such as why it cannot start at all, would be lost. So the socket of postlogd is ours until master
//! replaces it with its own.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ring::rand::{self, SystemRandom};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::detail::{Composer, Detail, Fate};
use super::events::{self, Batch, Events, Smarthosts};
use super::format::Format;
use super::line;
use super::output::Output;
use super::store::Entry;

/// Postfix truncates its lines at 4096 bytes (DGRAM_BUF_SIZE); anything longer is not Postfix.
const MAX_LINE: usize = 8 * 1024;
/// Bytes of the pipe, the most the kernel grants without privileges. It holds a burst until the reading
/// thread is scheduled.
const PIPE_SIZE: usize = 1 << 20;
/// Begins a line that we log through postlogd, which comes back after everything that was logged before
/// it. A secret follows, so that nobody can write such a line, into a HELO or a header, to have it swallowed.
const MARK: &str = "relay-init: the log has caught up, mark ";
/// Bytes of the secret.
const SECRET_SIZE: usize = 16;
/// How long lines are gathered before they are read, when others were read a moment ago. A wake-up of
/// this process costs more than a line, and Postfix writes seven a message.
const GATHER: Duration = Duration::from_millis(10);
/// postlogd accepts a datagram at once, unless the machine hangs.
const MARK_TIMEOUT: Duration = Duration::from_secs(1);

/// Where Postfix's log goes.
#[derive(Debug)]
pub struct Sinks {
    pub format: Format,
    pub detail: Detail,
    pub output: OwnedFd,
    pub events: Events,
    pub smarthosts: Smarthosts,
    /// Where lines are stored while standard output stalls.
    pub overflow_folder: PathBuf,
}

/// Receives Postfix's log, with one thread that reads it and one that writes it.
#[derive(Debug)]
pub struct Pump {
    /// The end of the pipe for programs yet to be started; `None` once all are.
    writer: Option<OwnedFd>,
    socket_path: PathBuf,
    /// What a mark of this process begins with.
    mark: Arc<str>,
    next_mark: AtomicU32,
    marks: Receiver<u32>,
    output: Arc<Output>,
    finished: Receiver<()>,
}

impl Pump {
    /// `socket_path` is where postlogd will listen.
    pub fn start(socket_path: &Path, sinks: Sinks) -> io::Result<Self> {
        let socket = bind(socket_path)?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // A smaller pipe works too; it only has less room for bursts.
        fcntl_setpipe_size(&writer, PIPE_SIZE).ok();
        let output = Arc::new(Output::new(&sinks.overflow_folder));
        let (mark_sender, marks) = mpsc::channel();
        let mark = secret_mark()?;
        let composer = (sinks.detail == Detail::Messages).then(Composer::default);
        let mut intake = Intake {
            output: Arc::clone(&output),
            composer,
            deliveries: Batch::new(sinks.events, sinks.smarthosts),
            lines: Vec::new(),
            mark: Arc::clone(&mark),
            marks: mark_sender,
        };
        thread::Builder::new().name("maillog-in".to_owned()).spawn(move || {
            // An error is treated like the end: there is nothing else to read from.
            read(&File::from(reader), &socket, &mut intake).ok();
            intake.pass_on();
            intake.deliveries.send();
            intake.output.close();
        })?;
        let (finished_sender, finished) = mpsc::channel();
        let writing = Arc::clone(&output);
        thread::Builder::new().name("maillog-out".to_owned()).spawn(move || {
            writing.write_lines(&sinks.format, &sinks.output);
            finished_sender.send(()).ok();
        })?;
        let socket_path = socket_path.to_path_buf();
        let (writer, next_mark) = (Some(writer), AtomicU32::new(1));
        Ok(Self { writer, socket_path, mark, next_mark, marks, output, finished })
    }

    /// A standard output, or standard error, for one program.
    pub fn stdio(&self) -> io::Result<Stdio> {
        match &self.writer {
            Some(writer) => Ok(writer.try_clone()?.into()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Call it once all programs are started, so that the pipe ends when Postfix does.
    pub fn close(&mut self) {
        self.writer = None;
    }

    /// Waits until everything logged so far has arrived here; `false` after `timeout`.
    pub fn catch_up(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let number = self.next_mark.fetch_add(1, Ordering::Relaxed);
        if self.send_mark(number).is_err() {
            return false;
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.marks.recv_timeout(left) {
                Ok(seen) if seen == number => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    fn send_mark(&self, number: u32) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(MARK_TIMEOUT))?;
        socket.send_to(format!("{}{number}", self.mark).as_bytes(), &self.socket_path)?;
        Ok(())
    }

    /// Waits until the last line is written, or until standard output has accepted nothing for `timeout`.
    pub fn finish(mut self, timeout: Duration) {
        self.close();
        let mut written = self.output.written();
        while self.finished.recv_timeout(timeout).is_err() {
            let now = self.output.written();
            if now == written {
                return;
            }
            written = now;
        }
    }
}

/// Passes lines on: to standard output, and what events are made of to the sidecar.
#[derive(Debug)]
struct Intake {
    output: Arc<Output>,
    /// With LOG_DETAIL=messages.
    composer: Option<Composer>,
    deliveries: Batch,
    /// Lines that were read and not passed on yet, and whether each is a delivery.
    lines: Vec<(Entry, bool)>,
    mark: Arc<str>,
    marks: Sender<u32>,
}

impl Intake {
    fn accept(&mut self, mut line: Vec<u8>) {
        let text = line::printable(&line);
        if let Some((_, number)) = text.split_once(&*self.mark) {
            self.marks.send(number.trim_end().parse().unwrap_or_default()).ok();
            return;
        }
        let now = SystemTime::now();
        let is_delivery = line::is_delivery(&text);
        let fate = if events::may_matter(&text) || self.composer.is_some() {
            let parsed = line::parse(&text);
            self.deliveries.add(&parsed, now);
            self.composer.as_mut().map(|composer| composer.accept(&text, &parsed))
        } else {
            None
        };
        match fate {
            None | Some(Fate::Stays) => {}
            Some(Fate::Goes) => return,
            Some(Fate::Becomes(text)) => line = text.into_bytes(),
        }
        self.lines.push((Entry { time: now, line }, is_delivery));
    }

    /// Hands over what was read.
    fn pass_on(&mut self) {
        self.deliveries.send_if_due(Instant::now());
        if !self.lines.is_empty() {
            self.output.push(self.lines.drain(..));
        }
    }
}

fn secret_mark() -> io::Result<Arc<str>> {
    let secret = rand::generate::<[u8; SECRET_SIZE]>(&SystemRandom::new());
    let secret = secret.map_err(|_| io::Error::other("the kernel gives no random bytes"))?;
    Ok(format!("{MARK}{:032x} ", u128::from_be_bytes(secret.expose())).into())
}

fn bind(path: &Path) -> io::Result<UnixDatagram> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads pipe and socket until the pipe ends, which is when the last Postfix process has exited.
fn read(mut pipe: &File, socket: &UnixDatagram, intake: &mut Intake) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut pending = Vec::new();
    loop {
        let mut sources = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        let due = intake.deliveries.due_in(Instant::now());
        match poll(&mut sources, due.and_then(|due| due.try_into().ok()).as_ref()) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let pipe_is_ready = !sources[0].revents().is_empty();
        while let Ok(length) = socket.recv(&mut buffer) {
            intake.accept(buffer.iter().take(length).copied().collect());
        }
        if !pipe_is_ready {
            intake.pass_on();
            continue;
        }
        let length = pipe.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let room = (MAX_LINE - pending.len()) as u64;
            Read::by_ref(&mut rest).take(room).read_until(b'\n', &mut pending)?;
            if pending.ends_with(b"\n") || pending.len() >= MAX_LINE {
                intake.accept(std::mem::take(&mut pending));
            }
        }
        intake.pass_on();
        if length < buffer.len() {
            thread::sleep(GATHER);
        }
    }
    if !pending.is_empty() {
        intake.accept(pending);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
