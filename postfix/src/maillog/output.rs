//! Carries lines from the thread that reads Postfix's log to standard output.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

use super::format::Format;
use super::store::{Entry, Gap, Store};
use crate::log;

/// Bytes of lines written at once while more are waiting.
const BATCH: usize = 32 << 10;

#[derive(Debug)]
pub struct Output {
    inner: Mutex<Inner>,
    changed: Condvar,
    written: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    is_closed: bool,
}

impl Output {
    pub fn new(overflow_folder: &Path) -> Self {
        let inner = Inner { store: Store::new(overflow_folder), is_closed: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), written: AtomicU64::new(0) }
    }

    /// Adds lines, and for each whether it reports a delivery. Never waits for standard output.
    pub fn push(&self, lines: impl IntoIterator<Item = (Entry, bool)>) {
        let mut inner = self.lock();
        lines.into_iter().for_each(|(entry, is_delivery)| inner.store.push(entry, is_delivery));
        drop(inner);
        self.changed.notify_one();
    }

    /// Says that no more lines will come.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// How many bytes standard output has accepted so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Writes lines until [`close`](Self::close) was called and all are written.
    pub fn write_lines(&self, format: &Format, output: &OwnedFd) {
        while let Some((bytes, gap)) = self.next_batch(format) {
            self.write_all(output, &bytes);
            if gap != Gap::default() {
                let lines = gap.deliveries + gap.others;
                log::warning(format_args!(
                    "standard output stalled: dropped {lines} of Postfix's log lines, of which {} \
                     reported deliveries; check whatever reads this container's log",
                    gap.deliveries
                ));
            }
        }
    }

    fn next_batch(&self, format: &Format) -> Option<(Vec<u8>, Gap)> {
        let mut inner = self.lock();
        let mut entries = Vec::new();
        let mut size = 0;
        loop {
            while size < BATCH {
                let Some(entry) = inner.store.pop() else { break };
                size += entry.line.len();
                entries.push(entry);
            }
            if !entries.is_empty() {
                break;
            }
            if inner.is_closed {
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let gap = inner.store.take_gap();
        drop(inner);
        Some((entries.into_iter().flat_map(|entry| format.render(entry)).collect(), gap))
    }

    /// Also copes with a standard output that whoever started us made non-blocking.
    fn write_all(&self, output: &OwnedFd, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match write(output, bytes) {
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(output, PollFlags::OUT)], None).ok();
                }
                // If standard output is gone there is nowhere left to report it, and Postfix does
                // not need it to deliver mail.
                Err(_) => return,
            }
        }
    }

    /// Every change to the store is complete, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
