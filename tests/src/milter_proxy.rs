//! A proxy in front of the milter's socket that notes every answer the milter gives: each one is a round
//! trip for which Postfix waits.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

/// Listens until the test ends.
#[derive(Debug)]
pub struct MilterProxy {
    answers: Arc<Mutex<Vec<char>>>,
    sent: Arc<AtomicU64>,
}

const FRAME_LIMIT: usize = 1024 * 1024;

impl MilterProxy {
    /// Listens at `socket`, as the milter would, and connects each client to `milter`.
    pub fn listen(socket: &Path, milter: PathBuf) -> Result<Self> {
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("listening at {}", socket.display()))?;
        // Postfix is another user.
        std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        let answers = Arc::default();
        let shared = Arc::clone(&answers);
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (milter, answers) = (milter.clone(), Arc::clone(&shared));
                let sent = Arc::clone(&count);
                // A broken connection shows at the client, where the test looks.
                std::thread::spawn(move || forward(client, &milter, &answers, sent).ok());
            }
        });
        Ok(Self { answers, sent })
    }

    /// How many bytes Postfix has sent.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The reply letters seen so far: `O` for the negotiation, `c` for continue, `y` for a reply code …
    #[must_use]
    pub fn answers(&self) -> Vec<char> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn forward(
    client: UnixStream,
    milter: &Path,
    answers: &Mutex<Vec<char>>,
    sent: Arc<AtomicU64>,
) -> Result<()> {
    let mut milter = UnixStream::connect(milter)?;
    let mut to_milter = milter.try_clone()?;
    let mut from_client = client.try_clone()?;
    let mut to_client = client;
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer) {
            sent.fetch_add(read as u64, Ordering::Relaxed);
            let bytes = buffer.get(..read).unwrap_or_default();
            if to_milter.write_all(bytes).is_err() {
                break;
            }
        }
        to_milter.shutdown(Shutdown::Write).ok();
    });
    loop {
        let mut length = [0; 4];
        if milter.read_exact(&mut length).is_err() {
            to_client.shutdown(Shutdown::Both)?;
            return Ok(());
        }
        let size = usize::try_from(u32::from_be_bytes(length))?;
        ensure!((1..=FRAME_LIMIT).contains(&size), "a frame of {size} bytes");
        let mut frame = vec![0; size];
        milter.read_exact(&mut frame)?;
        let letter = frame.first().copied().map_or('?', char::from);
        answers.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        to_client.write_all(&length)?;
        to_client.write_all(&frame)?;
    }
}
