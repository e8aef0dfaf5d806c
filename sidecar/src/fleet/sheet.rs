//! What this relay tells the others of its counts: one message a second. Pure.
//!
//! Every message of the engine replaces the one before it, and a relay that joins reads what is there. So the counts are
//! spread over pages, which are written once a minute, and what changed since is on a page of its own, which is written
//! every second. Each count is the whole of what an account used: what comes twice, or after something newer, does no harm.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::limits::account::AccountKey;
use crate::limits::elsewhere::{Counted, Part};
use crate::limits::usage::{FIGURES, Usage};

/// Pages for all that changed earlier.
const PAGES: u64 = 64;
/// The page of what changed since they were written.
const RECENT: &str = "recent";
/// Seconds between two times that they are written.
const FOLD_EVERY: u64 = 60;
/// They are written earlier when so many accounts changed: about 100 KiB.
const MOST_RECENT: usize = 1_000;

/// A page as it is sent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Page(BTreeMap<String, Line>);

/// The owner's id, and the counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line(u64, Vec<u64>);

/// The counts of this relay, and which pages the others do not have yet.
#[derive(Debug, Default)]
pub struct Sheet {
    recent: Page,
    pages: BTreeMap<u64, Page>,
    to_write: BTreeSet<u64>,
    /// Whether the page of what is recent is to be written.
    is_untold: bool,
    folded: u64,
}

/// A page to be written: its name, and what is on it.
pub type Written = (String, Vec<u8>);

impl Sheet {
    /// Takes what an account used.
    pub fn count(&mut self, Counted { key, owner, usage }: Counted) {
        self.recent.0.insert(key.to_string(), Line(owner, usage.to_figures().to_vec()));
        self.is_untold = true;
    }

    /// Everything is to be written again: the engine may have lost it.
    pub fn tell_all(&mut self) {
        self.to_write.extend(self.pages.keys());
        self.is_untold = true;
    }

    /// Accounts whose counts the others do not know yet.
    pub fn untold(&self) -> usize {
        let recent = if self.is_untold { self.recent.0.len() } else { 0 };
        let pages = self.to_write.iter().filter_map(|number| self.pages.get(number));
        recent + pages.map(|page| page.0.len()).sum::<usize>()
    }

    /// What is to be written now. [`Sheet::told`] says that it was.
    pub fn pages(&mut self, now: u64) -> Vec<Written> {
        // Also when the clock was set back.
        let is_due = !(self.folded..self.folded.saturating_add(FOLD_EVERY)).contains(&now);
        if (is_due || self.recent.0.len() > MOST_RECENT) && !self.recent.0.is_empty() {
            self.fold(now);
        }
        let page = |number: &u64| {
            let page = self.pages.get(number)?;
            Some((number.to_string(), json(page)))
        };
        let mut pages: Vec<Written> = self.to_write.iter().filter_map(page).collect();
        // Last, so that nothing is missing in between.
        if self.is_untold {
            pages.push((RECENT.to_owned(), json(&self.recent)));
        }
        pages
    }

    /// Says that what was to be written is there.
    pub fn told(&mut self) {
        self.to_write.clear();
        self.is_untold = false;
    }

    fn fold(&mut self, now: u64) {
        self.folded = now;
        for (account, line) in std::mem::take(&mut self.recent.0) {
            let number = page_of(&account);
            self.pages.entry(number).or_default().0.insert(account, line);
            self.to_write.insert(number);
        }
        for number in &self.to_write {
            if let Some(page) = self.pages.get_mut(number) {
                page.0.retain(|_, line| line.usage().is_some_and(|usage| !usage.is_over(now)));
            }
        }
        self.is_untold = true;
    }
}

impl Line {
    fn usage(&self) -> Option<Usage> {
        let figures: &[u64; FIGURES] = self.1.as_slice().try_into().ok()?;
        Some(Usage::from_figures(figures))
    }
}

/// The same in every version, because a page that is never written again would stay.
fn page_of(account: &str) -> u64 {
    let hash = blake3::hash(account.as_bytes());
    hash.as_bytes().first().map_or(0, |byte| u64::from(*byte)) % PAGES
}

fn json(page: &Page) -> Vec<u8> {
    // Only maps with keys other than strings can fail.
    serde_json::to_vec(page).unwrap_or_default()
}

/// What is on a page of another relay. What cannot be read is left out: a newer version may write more.
pub fn read(node: &str, page: &[u8]) -> Vec<(AccountKey, Part)> {
    let Ok(Page(lines)) = serde_json::from_slice(page) else { return Vec::new() };
    let read = |(account, line): (String, Line)| {
        let part = Part { node: node.into(), owner: line.0, usage: line.usage()? };
        Some((account.parse().ok()?, part))
    };
    lines.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_600_000;

    fn counted(name: &str, messages: u32) -> Counted {
        let mut usage = Usage::default();
        (0..messages).for_each(|_| usage.charge(NOW, 1));
        Counted { key: format!("user:{name}").parse().unwrap(), owner: 7, usage }
    }

    /// What another relay knows after it has read what was written, the newest of each page.
    fn known(written: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, u32> {
        let limit = "messages=1000/hour".parse::<crate::limits::limit::Limit>().unwrap();
        let lines = written.values().flat_map(|page| read("a", page));
        let mut known = BTreeMap::new();
        for (key, part) in lines {
            let used = part.usage.used(NOW, &limit);
            known
                .entry(key.to_string())
                .and_modify(|most: &mut u32| *most = used.max(*most))
                .or_insert(used);
        }
        known
    }

    fn write(sheet: &mut Sheet, now: u64, there: &mut BTreeMap<String, Vec<u8>>) -> usize {
        let pages = sheet.pages(now);
        sheet.told();
        let number = pages.len();
        there.extend(pages);
        number
    }

    #[test]
    fn one_page_a_second_and_a_relay_that_joins_later_knows_all() {
        let (mut sheet, mut there) = (Sheet::default(), BTreeMap::new());
        sheet.count(counted("alice", 1));
        write(&mut sheet, NOW, &mut there);
        for second in 1..FOLD_EVERY {
            sheet.count(counted("alice", 1 + second as u32));
            sheet.count(counted(&format!("user{second}"), 1));
            assert_eq!(write(&mut sheet, NOW + second, &mut there), 1);
        }
        assert_eq!(write(&mut sheet, NOW + FOLD_EVERY - 1, &mut there), 0, "nothing is new");
        sheet.count(counted("bob", 3));
        assert!(write(&mut sheet, NOW + FOLD_EVERY, &mut there) > 1);
        let known = known(&there);
        assert_eq!(known.len(), 2 + FOLD_EVERY as usize - 1);
        assert_eq!((known["user:alice"], known["user:bob"]), (FOLD_EVERY as u32, 3));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let mut sheet = Sheet::default();
        sheet.count(counted("alice", 1));
        assert_eq!(sheet.pages(NOW).len(), 2);
        assert_eq!(sheet.untold(), 1);
        assert_eq!(sheet.pages(NOW + 1).len(), 2, "nobody said that it was");
        sheet.told();
        assert_eq!((sheet.pages(NOW + 2).len(), sheet.untold()), (0, 0));
        sheet.tell_all();
        assert_eq!((sheet.pages(NOW + 3).len(), sheet.untold()), (2, 1));
    }

    #[test]
    fn what_is_no_page_is_no_count() {
        for page in ["", "[]", "{\"user:a\":[1]}", "{\"user:a\":[1,[2]]}", "{\"nobody\":[1,[]]}"] {
            assert!(read("a", page.as_bytes()).is_empty(), "{page}");
        }
    }
}
