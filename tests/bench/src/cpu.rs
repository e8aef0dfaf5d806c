//! CPU time by control group: exact, and complete even for processes that have ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A control group, removed with its handle.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
    counter: Counter,
}

#[derive(Debug, Clone, Copy)]
enum Counter {
    /// Version 1: nanoseconds.
    Cpuacct,
    /// Version 2: a line of `cpu.stat` in microseconds.
    Stat,
}

impl Group {
    pub fn new(name: &str) -> Result<Self> {
        let (root, counter) = if Path::new("/sys/fs/cgroup/cpuacct/cpuacct.usage").exists() {
            ("/sys/fs/cgroup/cpuacct", Counter::Cpuacct)
        } else {
            ("/sys/fs/cgroup", Counter::Stat)
        };
        // One that could not be removed must not be in the way of the next of its name.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("relay-bench-{}-{number}-{name}", std::process::id());
        let folder = Path::new(root).join(name);
        fs::create_dir(&folder).with_context(|| {
            format!("making the control group {} to measure CPU time by", folder.display())
        })?;
        Ok(Self { folder, counter })
    }

    /// A line of shell that puts the shell, and what it starts, into the group.
    #[must_use]
    pub fn join(&self) -> String {
        format!("echo 0 > {}/cgroup.procs\n", self.folder.display())
    }

    /// What all processes have used since the group was made.
    pub fn used(&self) -> Result<Duration> {
        match self.counter {
            Counter::Cpuacct => {
                let text = fs::read_to_string(self.folder.join("cpuacct.usage"))?;
                Ok(Duration::from_nanos(text.trim().parse()?))
            }
            Counter::Stat => {
                let text = fs::read_to_string(self.folder.join("cpu.stat"))?;
                let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
                Ok(Duration::from_micros(line.context("no usage_usec in cpu.stat")?.parse()?))
            }
        }
    }

    /// The ids of the processes in it, seen from outside of any container.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let text = fs::read_to_string(self.folder.join("cgroup.procs"))?;
        let ids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        ensure!(!ids.is_empty(), "no process in {}", self.folder.display());
        Ok(ids)
    }

    /// The process in it whose program has this name (at most 15 bytes of it, as in comm of proc(5)).
    pub fn process_named(&self, name: &str) -> Result<u32> {
        let is_it = |id: &u32| {
            fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let found = self.processes()?.into_iter().find(is_it);
        found.with_context(|| format!("no {name} in {}", self.folder.display()))
    }
}

/// What the threads of one process have used, without those that have ended: exact, where the times of
/// /proc/PID/stat come in hundredths of a second.
pub fn of_process(id: u32) -> Result<Duration> {
    let mut used = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{id}/task")).context("the process has ended")? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let nanoseconds = text.split_whitespace().next().context("schedstat is empty")?;
        used += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(used)
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel needs a moment to take the last process out.
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
