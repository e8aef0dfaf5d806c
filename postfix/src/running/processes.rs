//! What /proc says about Postfix's processes. All of it can be read without privileges.

use std::fs;

use rustix::process::{Pid, Signal};

/// A process and the name of its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub name: String,
}

/// The children of a process, without those that have ended and not been reaped yet.
pub fn children(parent: Pid) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let parent = parent.as_raw_nonzero().get().unsigned_abs();
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            // Fails if the process has ended meanwhile.
            let (name, parent_of_it) =
                parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
            (parent_of_it == parent).then_some(Process { pid, name })
        })
        .collect()
}

/// Whether a process has a handler for a signal that would otherwise kill it.
pub fn catches(process: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero()));
    status.is_ok_and(|status| is_caught(&status, signal.as_raw()))
}

/// Parses `pid (name) state parent …`. A name can contain anything, even a closing parenthesis.
fn parse_stat(stat: &str) -> Option<(String, u32)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let mut fields = tail.split(' ');
    let is_alive = !matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    is_alive.then(|| (name.to_owned(), parent))
}

/// Parses `SigCgt:\t0000000000004a07`: bit n-1 is signal n.
fn is_caught(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_parentheses_and_dead_processes_do_not_count() {
        assert_eq!(parse_stat("7 (smtp) S 3 7 7 0 -1"), Some(("smtp".to_owned(), 3)));
        assert_eq!(parse_stat("7 (a) (b) R 1 7"), Some(("a) (b".to_owned(), 1)));
        for stat in ["7 (smtp) Z 3 7", "7 smtp S 3", "", "7 (smtp) S"] {
            assert_eq!(parse_stat(stat), None, "{stat}");
        }
    }

    #[test]
    fn a_handler_is_a_bit_in_the_mask() {
        let status = "Name:\tmaster\nSigIgn:\t0000000000000002\nSigCgt:\t0000000000004001\n";
        assert!(is_caught(status, 1) && is_caught(status, 15));
        assert!(!is_caught(status, 2) && !is_caught("Name:\tmaster\n", 1));
    }

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let seen = children(rustix::process::getpid());
        assert!(seen.contains(&Process { pid: child.id(), name: "sleep".to_owned() }), "{seen:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
