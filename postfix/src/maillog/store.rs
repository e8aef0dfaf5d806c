//! Lines waiting for a stalled standard output: first in memory, then on disk, both bounded.
//!
//! Whatever reads the log can stall for minutes; Postfix must not. Up to [`MAX_IN_MEMORY`] bytes of
//! lines are kept in memory. Beyond that only delivery results are kept, up to [`MAX_ON_DISK`] bytes
//! in an unlinked file on the queue's volume; all other lines are dropped and counted. That is room for
//! ten minutes at 1,000 deliveries per second. Lines leave in the order in which they came.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes of lines in memory, [`OVERHEAD`] included.
pub const MAX_IN_MEMORY: usize = 8 << 20;
/// Bytes of lines on disk: 600,000 lines of up to 435 bytes. A delivery takes about 250.
pub const MAX_ON_DISK: u64 = 256 << 20;
/// What a line costs in memory besides its own bytes.
const OVERHEAD: usize = 64;
/// Bytes read back at once.
const CHUNK: usize = 64 << 10;

/// A line as Postfix wrote it, and when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub time: SystemTime,
    pub line: Vec<u8>,
}

/// Lines dropped since this was last asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    pub deliveries: u64,
    pub others: u64,
}

#[derive(Debug)]
pub struct Store {
    memory: VecDeque<Entry>,
    /// Bytes in `memory`.
    used: usize,
    overflow: Overflow,
    gap: Gap,
}

impl Store {
    /// The overflow file is created in `folder` when it is first needed.
    pub fn new(folder: &Path) -> Self {
        let overflow = Overflow { folder: folder.to_path_buf(), file: None, read: 0, written: 0 };
        Self { memory: VecDeque::new(), used: 0, overflow, gap: Gap::default() }
    }

    pub fn push(&mut self, entry: Entry, is_delivery: bool) {
        // While there are lines on disk, new ones queue up behind them.
        let has_room = self.used + entry.line.len() + OVERHEAD <= MAX_IN_MEMORY;
        if self.overflow.is_empty() && has_room {
            self.used += entry.line.len() + OVERHEAD;
            self.memory.push_back(entry);
        } else if !is_delivery {
            self.gap.others += 1;
        } else if self.overflow.append(&entry).is_err() {
            self.gap.deliveries += 1;
        }
    }

    pub fn pop(&mut self) -> Option<Entry> {
        if self.memory.is_empty() {
            self.used = 0;
            let entries = self.overflow.take();
            self.used = entries.iter().map(|entry| entry.line.len() + OVERHEAD).sum();
            self.memory.extend(entries);
        }
        let entry = self.memory.pop_front()?;
        self.used -= entry.line.len() + OVERHEAD;
        Some(entry)
    }

    pub fn take_gap(&mut self) -> Gap {
        std::mem::take(&mut self.gap)
    }
}

/// A file of records: milliseconds since 1970 (8 bytes), length (4 bytes), line.
#[derive(Debug)]
struct Overflow {
    folder: PathBuf,
    file: Option<File>,
    read: u64,
    written: u64,
}

/// Bytes of a record before its line.
const HEADER: u64 = 12;

impl Overflow {
    fn is_empty(&self) -> bool {
        self.read == self.written
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let since_1970 = entry.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since_1970.as_millis()).unwrap_or_default();
        let length = u32::try_from(entry.line.len()).map_err(io::Error::other)?;
        let record =
            [milliseconds.to_le_bytes().as_slice(), &length.to_le_bytes(), &entry.line].concat();
        let end = self.written + u64::try_from(record.len()).map_err(io::Error::other)?;
        if end > MAX_ON_DISK {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unlinked_file(&self.folder)?),
        };
        // What a full disk cuts short is overwritten by the next record.
        file.write_all_at(&record, self.written)?;
        self.written = end;
        Ok(())
    }

    /// Reads the oldest records, up to about CHUNK bytes of them.
    fn take(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let start = self.read;
        while !self.is_empty() && self.read - start < CHUNK as u64 {
            match self.take_one() {
                Ok(entry) => entries.push(entry),
                // If the disk cannot be read, what is on it is lost.
                Err(_) => self.read = self.written,
            }
        }
        if self.is_empty() {
            // Dropping the file frees its blocks; the next stall starts at the beginning.
            (self.file, self.read, self.written) = (None, 0, 0);
        }
        entries
    }

    fn take_one(&mut self) -> io::Result<Entry> {
        let file = self.file.as_ref().ok_or(ErrorKind::NotFound)?;
        let mut milliseconds = [0; 8];
        let mut length = [0; 4];
        file.read_exact_at(&mut milliseconds, self.read)?;
        file.read_exact_at(&mut length, self.read + 8)?;
        let length = u32::from_le_bytes(length);
        let mut line = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut line, self.read + HEADER)?;
        self.read += HEADER + u64::from(length);
        let since_1970 = Duration::from_millis(u64::from_le_bytes(milliseconds));
        Ok(Entry { time: SystemTime::UNIX_EPOCH + since_1970, line })
    }
}

/// A file without a name, which vanishes with the process however that ends.
fn unlinked_file(folder: &Path) -> io::Result<File> {
    let path = folder.join(".log-overflow");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize, length: usize) -> Entry {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(number as u64);
        Entry { time, line: format!("{number:0length$}\n").into_bytes() }
    }

    fn drain(store: &mut Store) -> Vec<Entry> {
        std::iter::from_fn(|| store.pop()).collect()
    }

    #[test]
    fn order_and_times_are_kept_across_memory_and_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::new(folder.path());
        let entries: Vec<_> = (0..3000).map(|number| entry(number, 8000)).collect();
        for (number, entry) in entries.iter().enumerate() {
            store.push(entry.clone(), true);
            // The overflow file has no name.
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{number}");
        }
        assert!(store.used <= MAX_IN_MEMORY);
        assert_eq!(drain(&mut store), entries);
        assert_eq!(store.take_gap(), Gap::default());
        // After that, lines go to memory again.
        store.push(entries[0].clone(), false);
        assert_eq!(drain(&mut store), entries[..1]);
    }

    #[test]
    fn only_deliveries_go_to_disk_and_other_lines_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::new(folder.path());
        for number in 0..3000 {
            store.push(entry(number, 8000), number % 10 == 0);
        }
        let kept = drain(&mut store);
        let gap = store.take_gap();
        assert_eq!((gap.deliveries, gap.others + kept.len() as u64), (0, 3000));
        let tens = kept.iter().filter(|entry| entry.line.ends_with(b"0\n")).count();
        assert_eq!(tens, 300);
    }

    #[test]
    fn lines_lost_to_a_full_disk_are_counted() {
        let mut store = Store::new(Path::new("/nowhere"));
        for number in 0..2000 {
            store.push(entry(number, 8000), true);
        }
        let kept = drain(&mut store).len() as u64;
        assert!(kept > 1000);
        assert_eq!(store.take_gap(), Gap { deliveries: 2000 - kept, others: 0 });
    }

    #[test]
    fn the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut overflow =
            Overflow { folder: folder.path().to_path_buf(), file: None, read: 0, written: 0 };
        overflow.append(&entry(1, 8)).unwrap();
        overflow.written = MAX_ON_DISK - 10;
        assert_eq!(overflow.append(&entry(2, 8)).unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
