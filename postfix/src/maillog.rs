//! Postfix's log, from the pipe that is its standard output to ours.
//!
//! Postfix opens `/dev/stdout` anew, which fails when that is a socket, and stands still when nobody
//! reads it. So it gets a pipe of ours: one thread reads it at once, another writes to our standard
//! output as fast as that takes it. When standard output stalls, lines are kept up to a bound and
//! then dropped and counted, because mail is worth more than its log.
//!
//! Postfix's programs log through postlogd, which master starts. What master has to say before that,
//! say why it cannot start at all, would be lost; so the socket of postlogd is ours until master
//! puts its own in its place.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::log;

/// Postfix cuts its lines at 4096 bytes (DGRAM_BUF_SIZE); anything longer is not Postfix.
const LONGEST_LINE: usize = 8 * 1024;
/// Lines kept for a standard output that stalls: at most 32 MiB, usually a tenth of it.
const KEPT_LINES: usize = 8 * 1024;
/// The most the kernel gives without privileges; a burst fits while the reader is not scheduled.
const PIPE_SIZE: usize = 1 << 20;

/// The ways for Postfix's log and the threads that empty them.
#[derive(Debug)]
pub struct Pump {
    /// Kept for the programs that are started; given up once the last one is.
    writer: Option<OwnedFd>,
    finished: Receiver<()>,
}

impl Pump {
    /// `socket_path` is where postlogd will listen.
    pub fn start(socket_path: &Path) -> io::Result<Self> {
        let socket = bind(socket_path)?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // A smaller pipe works too, only with less room for bursts.
        fcntl_setpipe_size(&writer, PIPE_SIZE).ok();
        let (lines, receiver) = mpsc::sync_channel(KEPT_LINES);
        let queue = Queue { lines, dropped: Arc::default() };
        let dropped = Arc::clone(&queue.dropped);
        thread::Builder::new().name("maillog-in".to_owned()).spawn(move || {
            // An error of the pipe is its end, too: there is no other way to read it.
            read(&File::from(reader), &socket, &queue).ok();
        })?;
        let (finished_sender, finished) = mpsc::channel();
        thread::Builder::new().name("maillog-out".to_owned()).spawn(move || {
            write_lines(&receiver, &dropped);
            finished_sender.send(()).ok();
        })?;
        Ok(Self { writer: Some(writer), finished })
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

    /// Waits until the last line is written, or until standard output has had its time.
    pub fn finish(mut self, at_most: Duration) {
        self.close();
        self.finished.recv_timeout(at_most).ok();
    }
}

/// The way to standard output, which never makes its user wait.
#[derive(Debug)]
struct Queue {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    fn push(&self, mut line: Vec<u8>) {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixDatagram> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(path)?;
    // As master makes its sockets; the folder keeps others out.
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads both until the pipe ends, which it does when the last process of Postfix has ended.
fn read(mut pipe: &File, socket: &UnixDatagram, queue: &Queue) -> io::Result<()> {
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
            queue.push(buffer.iter().take(length).copied().collect());
        }
        if !pipe_is_ready {
            continue;
        }
        let length = pipe.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        for byte in buffer.iter().take(length) {
            pending.push(*byte);
            if *byte == b'\n' || pending.len() >= LONGEST_LINE {
                queue.push(std::mem::take(&mut pending));
            }
        }
    }
    if !pending.is_empty() {
        queue.push(pending);
    }
    Ok(())
}

fn write_lines(lines: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    for line in lines {
        // Nobody can be told that standard output is gone, and Postfix goes on without it.
        io::stdout().lock().write_all(&line).ok();
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            log::warning(format_args!(
                "{count} lines of Postfix's log were dropped, because nobody read standard output"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out for some bytes in the pipe and some datagrams, and how much was dropped.
    fn lines_of(input: &[u8], datagrams: &[&[u8]], room: usize) -> (Vec<Vec<u8>>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postlog");
        // As a container that was killed leaves it.
        drop(UnixDatagram::bind(&path).unwrap());
        let socket = bind(&path).unwrap();
        for datagram in datagrams {
            UnixDatagram::unbound().unwrap().send_to(datagram, &path).unwrap();
        }
        let pipe_content = folder.path().join("pipe");
        fs::write(&pipe_content, input).unwrap();
        let (lines, receiver) = mpsc::sync_channel(room);
        let queue = Queue { lines, dropped: Arc::default() };
        read(&File::open(pipe_content).unwrap(), &socket, &queue).unwrap();
        let dropped = queue.dropped.load(Ordering::Relaxed);
        drop(queue);
        (receiver.iter().collect(), dropped)
    }

    #[test]
    fn lines_are_kept_as_they_are() {
        let long = [b"x".repeat(4095), b"\n".to_vec()].concat();
        for (input, expected) in [
            (b"one\ntwo\n".to_vec(), vec![b"one\n".to_vec(), b"two\n".to_vec()]),
            (b"\xff\xfe\n".to_vec(), vec![b"\xff\xfe\n".to_vec()]),
            (b"no end".to_vec(), vec![b"no end\n".to_vec()]),
            (b"".to_vec(), vec![]),
            (long.clone(), vec![long]),
        ] {
            assert_eq!(lines_of(&input, &[], 10), (expected, 0));
        }
    }

    #[test]
    fn what_comes_by_socket_becomes_lines_too() {
        let (lines, _) = lines_of(b"", &[b"fatal: no", b"fatal: \xff\n"], 10);
        assert_eq!(lines, [b"fatal: no\n".as_slice(), b"fatal: \xff\n"]);
    }

    #[test]
    fn memory_is_bounded_without_newlines_and_without_a_reader() {
        let (lines, dropped) = lines_of(&vec![b'x'; 3 * LONGEST_LINE], &[], 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() == LONGEST_LINE + 1));
        assert_eq!(dropped, 1);
    }
}
