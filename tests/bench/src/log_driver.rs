//! Docker's log driver: what the engine spends on what a container prints.
//!
//! The stacks of the benchmark run in namespaces of the harness, not in Docker. So what Postfix's container prints goes
//! through a named pipe to a container whose only program copies it, write by write, to its standard output.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relay_tests::lab::Lab;

use crate::cpu;

/// Any image with the folders of a file system would do; this one is there. Its programs come from outside.
const IMAGE: &str = "relay-postfix";

/// A container that prints what is written to `pipe`; it ends with its handle.
#[derive(Debug)]
pub struct LogDriver {
    pub pipe: PathBuf,
    /// The program that copies ends with the last writer, and the container's own may be started anew.
    _writer: File,
    container: String,
    /// The engine and what stands between it and the container.
    processes: Vec<u32>,
    lines: PathBuf,
}

impl LogDriver {
    pub fn start(lab: &Lab) -> Result<Self> {
        let folder = lab.evidence.directory()?;
        let pipe = folder.join("log.pipe");
        // postlogd, which is not root, opens it again.
        let everybody = 0o666;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from(everybody))?;
        fs::set_permissions(&pipe, fs::Permissions::from_mode(everybody))?;
        // For reading, too: that does not wait for a reader.
        let writer = File::options().read(true).write(true).open(&pipe)?;
        let container = docker(&[
            "run",
            "--detach",
            "--rm",
            "--network=none",
            "--log-driver=json-file",
            "--volume=/usr:/usr:ro",
            &format!("--volume={}:/pipe", pipe.display()),
            "--user=0",
            "--entrypoint=/usr/bin/cat",
            IMAGE,
            "/pipe",
        ])?;
        let inspect = |what: &str| docker(&["inspect", "--format", what, &container]);
        let shim = parent(inspect("{{.State.Pid}}")?.parse()?)?;
        let lines = inspect("{{.LogPath}}")?.into();
        Ok(Self { pipe, _writer: writer, processes: vec![engine()?, shim], container, lines })
    }

    /// CPU time since they started.
    pub fn used(&self) -> Result<Duration> {
        self.processes.iter().map(|&id| cpu::of_process(id)).sum()
    }

    /// How many lines it has kept.
    pub fn lines(&self) -> Result<usize> {
        let text = fs::read(&self.lines).with_context(|| {
            format!("reading {}, where Docker keeps the log", self.lines.display())
        })?;
        Ok(text.iter().filter(|byte| **byte == b'\n').count())
    }
}

impl Drop for LogDriver {
    fn drop(&mut self) {
        // It fails only when the container has ended by itself.
        docker(&["rm", "--force", &self.container]).ok();
    }
}

fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output().context("docker is missing")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {}: {complaint}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The process of the engine.
fn engine() -> Result<u32> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == "dockerd") {
            return id(&path).context("no process id");
        }
    }
    anyhow::bail!("no dockerd on this machine")
}

fn id(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.parse().ok()
}

fn parent(process: u32) -> Result<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(line.context("no PPid")?.trim().parse()?)
}
