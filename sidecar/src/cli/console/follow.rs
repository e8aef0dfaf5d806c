//! `relay history --follow`: what happens, line by line, as it happens.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::{entries, look};
use crate::cli::failure::Failure;
use crate::control::protocol::{Question, line};
use crate::history::{Entry, Excerpt};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Messages in one look; what is more at once goes by unseen.
const MOST: usize = 1_000;

/// Prints what was found, and what is new, until Ctrl-C or until nobody reads.
pub fn run(folder: &Path, question: Question, found: Excerpt, json: bool) -> Result<(), Failure> {
    let Question::History { filter, .. } = question else { return Ok(()) };
    let mut known = found.entries;
    let mut new = known.clone();
    new.sort_by_key(|entry| entry.time);
    loop {
        if let Err(error) = print(&new, json) {
            // Whoever closes the pipe has seen enough.
            let is_end = error.kind() == io::ErrorKind::BrokenPipe;
            return if is_end { Ok(()) } else { Err(Failure::trouble(error)) };
        }
        std::thread::sleep(EVERY);
        let since = known.iter().map(|entry| entry.time).max().unwrap_or_default();
        let question = Question::History { filter: filter.clone(), most: MOST, since };
        let entries = look(folder, &question)?.entries;
        new = news(&entries, &known);
        if !entries.is_empty() {
            known = entries;
        }
    }
}

/// Entries that were not there at the last look, oldest first.
fn news(entries: &[Entry], known: &[Entry]) -> Vec<Entry> {
    let mut known: Vec<&Entry> = known.iter().collect();
    // When Postfix tries again is told later, and makes no other entry.
    let is_same = |one: &Entry, other: &Entry| {
        let next_try = other.next_try;
        *other == Entry { next_try, ..one.clone() }
    };
    let mut new = Vec::new();
    for entry in entries {
        match known.iter().position(|known| is_same(known, entry)) {
            Some(position) => drop(known.swap_remove(position)),
            None => new.push(entry.clone()),
        }
    }
    new.sort_by_key(|entry| entry.time);
    new
}

fn print(new: &[Entry], json: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for entry in new {
        match json {
            true => output.write_all(&line(entry))?,
            false => output.write_all(entries::line(entry).as_bytes())?,
        }
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    #[test]
    fn each_entry_is_printed_once() {
        let entry =
            |time, user: &str| Entry { user: user.to_owned(), ..Entry::new(time, Event::Deferred) };
        let (a, b) = (entry(1, "a"), entry(2, "b"));
        let later = Entry { next_try: Some(9), ..b.clone() };
        for (entries, known, expected) in [
            (vec![a.clone(), b.clone()], vec![], vec![a.clone(), b.clone()]),
            (vec![a.clone(), b.clone()], vec![a.clone()], vec![b.clone()]),
            (vec![b.clone(), b.clone()], vec![b.clone()], vec![b.clone()]),
            (vec![later], vec![b.clone()], vec![]),
            (vec![], vec![a.clone()], vec![]),
            (vec![b.clone(), a.clone()], vec![], vec![a, b]),
        ] {
            assert_eq!(news(&entries, &known), expected);
        }
    }
}
