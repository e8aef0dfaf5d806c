//! Postfix's log, from the pipe that is its standard output to ours.
//!
//! Postfix opens `/dev/stdout` anew, which fails when that is a socket, and stands still when nobody
//! reads it. So it gets a pipe of ours: one thread reads it at once, another writes to our standard
//! output as fast as that takes it. What waits in between is bounded ([`store`]), because mail is
//! worth more than its log; but what became of a message is kept longest.
//!
//! Postfix's programs log through postlogd, which master starts. What master has to say before that,
//! say why it cannot start at all, would be lost; so the socket of postlogd is ours until master
//! puts its own in its place.

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

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::format::Format;
use super::line;
use super::output::Output;
use super::store::Entry;
use crate::maillog::events::Events;

/// Postfix cuts its lines at 4096 bytes (DGRAM_BUF_SIZE); anything longer is not Postfix.
const LONGEST_LINE: usize = 8 * 1024;
/// The most the kernel gives without privileges; a burst fits while the reader is not scheduled.
const PIPE_SIZE: usize = 1 << 20;
/// A line of ours in Postfix's log, which comes back behind everything that was logged before it.
const MARK: &str = "relay-init: the log has caught up, mark ";
/// postlogd takes a datagram at once, or the machine stands still.
const MARK_PATIENCE: Duration = Duration::from_secs(1);

/// Where Postfix's log goes.
#[derive(Debug)]
pub struct Ways {
    pub format: Format,
    pub output: OwnedFd,
    pub events: Events,
    /// Where lines go that nobody reads.
    pub overflow_folder: PathBuf,
}

/// The ways for Postfix's log and the threads that empty them.
#[derive(Debug)]
pub struct Pump {
    /// Kept for the programs that are started; given up once the last one is.
    writer: Option<OwnedFd>,
    socket_path: PathBuf,
    next_mark: AtomicU32,
    marks: Receiver<u32>,
    output: Arc<Output>,
    finished: Receiver<()>,
}

impl Pump {
    /// `socket_path` is where postlogd will listen.
    pub fn start(socket_path: &Path, ways: Ways) -> io::Result<Self> {
        let socket = bind(socket_path)?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // A smaller pipe works too, only with less room for bursts.
        fcntl_setpipe_size(&writer, PIPE_SIZE).ok();
        let output = Arc::new(Output::new(&ways.overflow_folder));
        let (mark_sender, marks) = mpsc::channel();
        let desk = Desk { output: Arc::clone(&output), events: ways.events, marks: mark_sender };
        thread::Builder::new().name("maillog-in".to_owned()).spawn(move || {
            // An error of the pipe is its end, too: there is no other way to read it.
            read(&File::from(reader), &socket, &desk).ok();
            desk.output.close();
        })?;
        let (finished_sender, finished) = mpsc::channel();
        let writing = Arc::clone(&output);
        thread::Builder::new().name("maillog-out".to_owned()).spawn(move || {
            writing.write_lines(&ways.format, &ways.output);
            finished_sender.send(()).ok();
        })?;
        let socket_path = socket_path.to_path_buf();
        let (writer, next_mark) = (Some(writer), AtomicU32::new(1));
        Ok(Self { writer, socket_path, next_mark, marks, output, finished })
    }

    /// A standard output for one program.
    pub fn stdio(&self) -> io::Result<Stdio> {
        match &self.writer {
            Some(writer) => Ok(writer.try_clone()?.into()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Says that no more programs will be started, so that the pipe ends with Postfix.
    pub fn close(&mut self) {
        self.writer = None;
    }

    /// Waits until everything is here that was logged up to now; `false` when that takes too long.
    pub fn catch_up(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
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
        socket.set_write_timeout(Some(MARK_PATIENCE))?;
        socket.send_to(format!("{MARK}{number}").as_bytes(), &self.socket_path)?;
        Ok(())
    }

    /// Waits until the last line is written, or until standard output takes none for so long.
    pub fn finish(mut self, at_most: Duration) {
        self.close();
        let mut written = self.output.written();
        while self.finished.recv_timeout(at_most).is_err() {
            let now = self.output.written();
            if now == written {
                return;
            }
            written = now;
        }
    }
}

/// Where each line is looked at, and sent on.
#[derive(Debug)]
struct Desk {
    output: Arc<Output>,
    events: Events,
    marks: Sender<u32>,
}

impl Desk {
    fn take(&self, line: Vec<u8>) {
        let now = SystemTime::now();
        let text = line::printable(&line);
        if let Some((_, number)) = text.split_once(MARK) {
            self.marks.send(number.trim_end().parse().unwrap_or_default()).ok();
            return;
        }
        self.events.line(&line::parse(&text), now);
        let is_delivery = line::is_delivery(&text);
        drop(text);
        self.output.push(Entry { time: now, line }, is_delivery);
    }
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

/// Reads both until the pipe ends, which it does when the last process of Postfix has ended.
fn read(mut pipe: &File, socket: &UnixDatagram, desk: &Desk) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut pending = Vec::new();
    loop {
        let mut sources = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(&mut sources, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let pipe_is_ready = !sources[0].revents().is_empty();
        while let Ok(length) = socket.recv(&mut buffer) {
            desk.take(buffer.iter().take(length).copied().collect());
        }
        if !pipe_is_ready {
            continue;
        }
        let length = pipe.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let room = (LONGEST_LINE - pending.len()) as u64;
            Read::by_ref(&mut rest).take(room).read_until(b'\n', &mut pending)?;
            if pending.ends_with(b"\n") || pending.len() >= LONGEST_LINE {
                desk.take(std::mem::take(&mut pending));
            }
        }
    }
    if !pending.is_empty() {
        desk.take(pending);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
