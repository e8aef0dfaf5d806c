//! What is wrong with a file: the first problems with their lines, and how many there are. Pure.

use crate::cli::failure::{Exit, Failure};

/// Problems that are shown.
const SHOWN: usize = 10;

#[derive(Debug, Default)]
pub struct Problems {
    first: Vec<(u64, String)>,
    count: u64,
    /// How many of them are users that exist already.
    existing: u64,
}

impl Problems {
    pub fn add(&mut self, line: u64, text: &str) {
        self.count += 1;
        // Passwords are hashed in parallel, so problems do not come in order.
        let position = self.first.partition_point(|(other, _)| *other <= line);
        self.first.insert(position, (line, text.to_owned()));
        self.first.truncate(SHOWN);
    }

    /// Counts the last problem as a user that exists already.
    pub fn exists(&mut self) {
        self.existing += 1;
    }

    /// The failure that they are, if there are any.
    pub fn failure(&self) -> Option<Failure> {
        if self.count == 0 {
            return None;
        }
        let mut text = String::new();
        for (line, problem) in &self.first {
            text += &format!("line {line}: {problem}\n");
        }
        let more = self.count - self.first.len() as u64;
        if more > 0 {
            text += &format!("and {more} more\n");
        }
        let problems =
            if self.count == 1 { "1 problem" } else { &format!("{} problems", self.count) };
        text += &format!("{problems}; nothing was imported");
        let exit = if self.count == self.existing { Exit::UserExists } else { Exit::BadInput };
        Some(Failure::new(exit, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_are_shown_and_all_are_counted() {
        let mut problems = Problems::default();
        assert!(problems.failure().is_none());
        for line in (1..=25).rev() {
            problems.add(line, "bad");
        }
        let failure = problems.failure().unwrap();
        let lines: Vec<&str> = failure.text.lines().collect();
        assert_eq!(lines.len(), SHOWN + 2);
        assert_eq!((lines[0], lines[9]), ("line 1: bad", "line 10: bad"));
        assert_eq!(lines[10..], ["and 15 more", "25 problems; nothing was imported"]);
        assert_eq!(failure.exit, Exit::BadInput);
    }

    #[test]
    fn a_single_user_that_exists_has_its_own_exit_code() {
        let mut problems = Problems::default();
        problems.add(3, "user alice already exists");
        problems.exists();
        let failure = problems.failure().unwrap();
        assert_eq!(failure.exit, Exit::UserExists);
        assert!(failure.text.ends_with("1 problem; nothing was imported"), "{}", failure.text);
    }
}
