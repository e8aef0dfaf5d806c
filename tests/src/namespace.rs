//! A network namespace that lives as long as its handle, with addresses of the documentation ranges.
//!
//! It has no name under /run/netns: a test that is killed leaves nothing behind, because the kernel ends
//! a namespace with the last process and the last open file in it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace; clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Namespace {
    file: Arc<File>,
}

impl Namespace {
    /// Makes an empty namespace: only `lo`, and that is up.
    pub fn new() -> Result<Self> {
        // A child unshares and lends its namespace; `cat` ends when this process does, at the latest.
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting unshare for a network namespace")?;
        let stdout = child.stdout.take().context("unshare has no standard output")?;
        let mut answer = String::new();
        BufReader::new(stdout).read_line(&mut answer)?;
        ensure!(answer == "up\n", "no network namespace: `unshare --net` said {answer:?}");
        let file = File::open(format!("/proc/{}/ns/net", child.id()))?;
        drop(child.stdin.take());
        child.wait()?;
        Ok(Self { file: Arc::new(file) })
    }

    /// The namespace that a process is in.
    pub fn of_process(id: u32) -> Result<Self> {
        let file = File::open(format!("/proc/{id}/ns/net"))
            .with_context(|| format!("opening the network namespace of process {id}"))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Runs `work` on a thread inside. Sockets made there stay there, wherever they are used.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        // A thread of its own: setns cannot be taken back, and the caller's thread must not change.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.file.as_fd(), kind)
                    .context("entering a network namespace")?;
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A path that names the namespace for as long as this handle lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// A command that will run inside.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg("--").arg(program);
        command
    }

    /// Runs a batch of `ip` commands, one a line and without the word `ip`.
    pub fn ip(&self, batch: &str) -> Result<()> {
        let mut child = self
            .command("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("ip has no standard input")?.write_all(batch.as_bytes())?;
        let output = child.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip refused {batch:?}: {complaint}");
        Ok(())
    }

    /// Joins two namespaces by a cable; each end has its address, such as `172.18.0.1/16`.
    pub fn cable(&self, address: &str, other: &Self, other_address: &str) -> Result<()> {
        let peer = other.path();
        self.ip(&format!(
            "link add cable0 type veth peer name cable0 netns {peer}\n\
             address add {address} dev cable0\n\
             link set cable0 up\n"
        ))?;
        other.ip(&format!("address add {other_address} dev cable0\nlink set cable0 up\n"))
    }

    /// Whether something listens on a TCP port, seen without connecting: a probe would show in the logs.
    pub fn listens(&self, port: u16) -> Result<bool> {
        self.enter(|| {
            let mut tables = String::new();
            for table in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
                tables += &std::fs::read_to_string(table).unwrap_or_default();
            }
            Ok(tables.lines().any(|line| is_listener(line, port)))
        })
    }
}

/// Reads a line of /proc/net/tcp: `sl local_address rem_address st …`, where state 0A is LISTEN.
fn is_listener(line: &str, port: u16) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let local = words.next().unwrap_or_default();
    let state = words.nth(1).unwrap_or_default();
    state == "0A" && local.ends_with(&format!(":{port:04X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let listener =
            "   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert!(is_listener(listener, 25));
        assert!(!is_listener(listener, 26));
        assert!(!is_listener(&listener.replace("0A", "01"), 25));
    }
}
