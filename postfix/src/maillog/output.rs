//! The way from the thread that reads Postfix's log to standard output.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

use super::format::Format;
use super::store::{Entry, Gap, Store};
use crate::log;

/// As much is written at once when lines are waiting.
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

    /// Never waits for standard output.
    pub fn push(&self, entry: Entry, is_delivery: bool) {
        self.lock().store.push(entry, is_delivery);
        self.changed.notify_one();
    }

    /// No more lines will come.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// How many bytes standard output has taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Writes lines until there will be no more.
    pub fn write_lines(&self, format: &Format, output: &OwnedFd) {
        while let Some((bytes, gap)) = self.next_batch(format) {
            self.write_all(output, &bytes);
            if gap != Gap::default() {
                log::warning(format_args!(
                    "nobody read standard output: {} lines of Postfix's log were left out, and {} \
                     of them said what became of a message",
                    gap.deliveries + gap.others,
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

    /// Whoever gave us standard output may have made it non-blocking.
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
                // Nobody can be told that standard output is gone, and Postfix goes on without it.
                Err(_) => return,
            }
        }
    }

    /// Each change of the store is whole, whatever became of the thread that made it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
