//! `relay user import`: all users of a file, or none.
//!
//! The file is read as a stream and checked whole before anything is written. Checked users wait in
//! a temporary file beside the database, so that memory does not grow with them; then one
//! transaction writes them all.

pub mod export_file;
mod problems;
mod spool;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use zeroize::{Zeroize, Zeroizing};

use super::failure::{Exit, Failure};
use super::progress::Progress;
use crate::clock::now;
use crate::password::strength::is_unguessable;
use crate::password::{self, Arena, Cost, Password};
use crate::store::{ChangeError, Entry, UserStore};
use crate::user_name::UserName;
use crate::users::NewHash;
use crate::users::import::{self as lines, Secret};
use problems::Problems;
use spool::Spool;

/// Longest line in bytes. A password has at most 1 KiB, a hash much less.
const MAX_LINE: u64 = 64 * 1024;

/// Imports a file; `-` is standard input. Returns what to tell the operator.
///
/// # Errors
///
/// Names the first problems with their lines, and counts them all. Nothing was changed then.
pub fn run(
    store: &UserStore,
    data_folder: &Path,
    file: &Path,
    replace: bool,
    cost: Cost,
) -> Result<String, Failure> {
    let cannot_read =
        |error: io::Error| Failure::trouble(format!("cannot read {}: {error}", file.display()));
    let (mut reader, size) = open(file).map_err(cannot_read)?;
    let progress = Progress::start(size);
    let spool = Spool::create(data_folder).map_err(|error| {
        Failure::trouble(format!("cannot create a file in {}: {error}", data_folder.display()))
    })?;
    let check = Check {
        store,
        replace,
        cost,
        progress: &progress,
        found: Mutex::new(Found { spool, problems: Problems::default(), names: HashSet::new() }),
    };
    if export_file::begins(&mut reader).map_err(cannot_read)? {
        check.export(reader);
    } else {
        check.lines(reader).map_err(cannot_read)?;
    }
    let Found { spool, problems, names } =
        check.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = problems.failure() {
        return Err(failure);
    }
    if names.is_empty() {
        return Err(Failure::new(Exit::BadInput, "no users in this file; nothing was changed"));
    }
    progress.writing(names.len() as u64);
    let entries = spool.read().map_err(Failure::trouble)?;
    let counted = entries.inspect(|_| progress.written());
    let count = store.add_all(counted, replace, now()).map_err(nothing_imported)?;
    drop(progress);
    Ok(format!("{count} users imported\n"))
}

fn nothing_imported(error: ChangeError) -> Failure {
    // Somebody added a user between the check and the writing.
    let exists = matches!(error, ChangeError::Exists(_));
    let Failure { exit, text } = error.into();
    let hint = if exists { ": --replace overwrites users that exist" } else { "" };
    Failure::new(exit, format!("{text}\nnothing was imported{hint}"))
}

fn open(file: &Path) -> io::Result<(Box<dyn BufRead>, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let file = File::open(file)?;
    let metadata = file.metadata()?;
    let size = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(BufReader::with_capacity(256 * 1024, file)), size))
}

/// One pass over a file.
struct Check<'a> {
    store: &'a UserStore,
    replace: bool,
    cost: Cost,
    progress: &'a Progress,
    found: Mutex<Found>,
}

struct Found {
    spool: Spool,
    problems: Problems,
    /// 128 bits of a hash of each name, which is all that it takes to find duplicates.
    names: HashSet<[u8; 16]>,
}

/// A password that is to be hashed.
struct Plain {
    line: u64,
    name: UserName,
    password: Password,
}

impl Check<'_> {
    /// Reads lines of `name:password`, and hashes plain passwords on all cores.
    fn lines(&self, mut reader: Box<dyn BufRead>) -> io::Result<()> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (queue, waiting) = sync_channel::<Plain>(2 * threads);
        let waiting = Mutex::new(waiting);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut arena = Arena::default();
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(plain) = next else { return };
                        self.hash(plain, &mut arena);
                    }
                });
            }
            let mut line = Zeroizing::new(Vec::new());
            for number in 1.. {
                line.zeroize();
                let length = io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line)?;
                if length == 0 {
                    break;
                }
                self.progress.read(length as u64);
                if length as u64 == MAX_LINE {
                    self.problem(number, &format!("more than {MAX_LINE} bytes"));
                    break;
                }
                self.line(number, &line, &queue);
            }
            drop(queue);
            Ok(())
        })
    }

    fn line(&self, number: u64, bytes: &[u8], queue: &SyncSender<Plain>) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.problem(number, "not UTF-8");
        };
        for entry in lines::entries(text.trim_end_matches(['\n', '\r'])) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(mistake) => {
                    self.problem(number, &mistake);
                    continue;
                }
            };
            if !self.is_new(number, &entry.name) {
                continue;
            }
            match entry.secret {
                Secret::Hash(hash) => {
                    let password = NewHash { hash, unguessable: false };
                    self.keep(number, &entry.name, &Entry::Password(password));
                }
                Secret::Plain(plain) => match Password::choose(plain.as_bytes()) {
                    Ok(password) => {
                        let job = Plain { line: number, name: entry.name, password };
                        // The workers live as long as this loop.
                        drop(queue.send(job));
                    }
                    Err(error) => self.problem(number, &format!("user {}: {error}", entry.name)),
                },
            }
        }
    }

    fn hash(&self, Plain { line, name, password }: Plain, arena: &mut Arena) {
        match password::hash(&password, self.cost, arena) {
            Ok(hash) => {
                let password = NewHash { hash, unguessable: is_unguessable(&password) };
                self.keep(line, &name, &Entry::Password(password));
            }
            Err(error) => self.problem(line, &format!("user {name}: {error}")),
        }
    }

    /// Reads what `relay user export` wrote.
    fn export(&self, reader: Box<dyn BufRead>) {
        let result = export_file::read(reader, self.progress, |line, name, user| {
            match export_file::check(&name, &user) {
                Ok(name) if self.is_new(line, &name) => {
                    self.keep(line, &name, &Entry::User(Box::new(user)));
                }
                Ok(_) => {}
                Err(mistake) => self.problem(line, &mistake),
            }
        });
        if let Err((line, mistake)) = result {
            self.problem(line, &mistake);
        }
    }

    /// Whether this name can be added; if not, that is a problem.
    fn is_new(&self, line: u64, name: &UserName) -> bool {
        let mut short = [0; 16];
        blake3::Hasher::new().update(name.as_str().as_bytes()).finalize_xof().fill(&mut short);
        if !self.found().names.insert(short) {
            self.problem(line, &format!("user {name} is in this file twice"));
            return false;
        }
        // A record that cannot be read is there, too.
        if !self.replace && !matches!(self.store.user(name), Ok(None)) {
            self.problem(line, &format!("user {name} already exists (--replace overwrites)"));
            self.found().problems.exists();
            return false;
        }
        true
    }

    fn keep(&self, line: u64, name: &UserName, entry: &Entry) {
        let kept = self.found().spool.write(name, entry);
        if let Err(error) = kept {
            self.problem(line, &format!("cannot keep user {name} until all are checked: {error}"));
        }
    }

    fn problem(&self, line: u64, text: &str) {
        self.found().problems.add(line, text);
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
