//! A milter in C that looks at nothing, on Debian's libmilter.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::Lab;
use relay_tests::process::Process;
use relay_tests::wait;

use crate::cpu::Group;

const SOURCE: &str = include_str!("noop_milter.c");
/// In the folder of the relay's sockets.
pub const SOCKET: &str = "libmilter.sock";

/// How often it answers.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    /// At each stage, as most milters are written.
    EachStage,
    /// Where the sidecar does: it leaves out the same stages and answers.
    AsTheSidecar,
}

/// Compiles it and starts it in this control group.
pub fn start(lab: &Lab, group: &Group, socket: &Path, answers: Answers) -> Result<Process> {
    let program = compile(lab.evidence.directory()?)?;
    let how = match answers {
        Answers::EachStage => "plain",
        Answers::AsTheSidecar => "quick",
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{}exec \"$@\"", group.join()), "libmilter"])
        .arg(&program)
        .arg(format!("unix:{}", socket.display()))
        .arg(how)
        .stdin(Stdio::null());
    let process = Process::spawn(&mut command, &lab.evidence.log("libmilter")?)?;
    wait::until("the milter in C to listen", wait::A_WHILE, || socket.exists().then_some(()))
        .with_context(|| format!("it said: {}", process.output()))?;
    Ok(process)
}

fn compile(folder: &Path) -> Result<std::path::PathBuf> {
    let source = folder.join("noop_milter.c");
    let program = folder.join("noop_milter");
    std::fs::write(&source, SOURCE)?;
    let output = Command::new("cc")
        .args(["-O2", "-o"])
        .args([&program, &source])
        .args(["-lmilter", "-lpthread"])
        .output()
        .context("cc is missing: run `make bench`, which installs it with libmilter-dev")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}
