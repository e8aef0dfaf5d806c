//! The sidecar: the dev build of `relay` in the Postfix container's network, as a user of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::Signal;

use crate::namespace::Namespace;
use crate::postfix::Environment;
use crate::process::{PATH, Process, signal};
use crate::requirements::Requirements;
use crate::terminal::{OnTerminal, Session, Terminal};
use crate::wait;

pub const USER: u32 = 10027;
pub const GROUP: u32 = 10025;
const HTTP_PORT: u16 = 9154;

/// A running `relay serve`.
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    namespace: Namespace,
}

/// Where a sidecar lives, and what it is told.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub requirements: &'a Requirements,
    pub namespace: &'a Namespace,
    pub volumes: &'a Path,
    pub environment: &'a Environment,
}

const SCRIPT: &str = include_str!("sidecar_container.sh");

impl Place<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace.path()))
            .args(["unshare", "--mount", "sh", "-c", SCRIPT, "sidecar-container"])
            .args([&self.requirements.relay, self.volumes])
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command on a terminal of its own, and types an answer at each prompt.
    pub fn run_on_terminal(&self, arguments: &[&str], answers: &[(&str, &str)]) -> Result<Session> {
        Terminal::open()?.run(self.command(arguments), answers)
    }

    /// Starts a command on a terminal of its own, and returns at once.
    pub fn start_on_terminal(&self, arguments: &[&str]) -> Result<OnTerminal> {
        Terminal::open()?.start(self.command(arguments))
    }

    /// Starts `relay serve`, and returns at once.
    pub fn spawn(&self, log: &Path) -> Result<Sidecar> {
        let process = Process::spawn(&mut self.command(&["serve"]), log)?;
        Ok(Sidecar { process, namespace: self.namespace.clone() })
    }

    /// Starts a command of `relay`, and returns at once; what it says is lost.
    pub fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.spawn()?)
    }

    /// Runs a command of `relay`, and returns how long it took until it said something.
    pub fn time_to_speak(&self, arguments: &[&str]) -> Result<Duration> {
        let started = Instant::now();
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut output = child.stdout.take().context("relay has no standard output")?;
        output.read_exact(&mut [0]).with_context(|| format!("relay {arguments:?} says nothing"))?;
        let took = started.elapsed();
        drop(output);
        child.wait()?;
        Ok(took)
    }

    /// Runs another command of `relay`, as `docker compose exec sidecar relay …` does.
    pub fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Result<Output> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("running relay {arguments:?}"))?;
        let mut stdin = child.stdin.take().context("relay has no standard input")?;
        // A command that needs no input may be gone before it is written.
        stdin.write_all(input.as_ref()).ok();
        drop(stdin);
        Ok(child.wait_with_output()?)
    }
}

impl Sidecar {
    /// Waits until /readyz says yes.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        wait::until("the sidecar to be ready", wait::A_WHILE, || {
            if let Ok(Some(status)) = self.process.has_ended() {
                return Some(Err(anyhow!("relay serve ended with {status}")));
            }
            let ready = self.get("/readyz").is_ok_and(|page| page.starts_with("HTTP/1.1 200"));
            ready.then_some(Ok(()))
        })?
    }

    /// Gets a page of the sidecar's HTTP service, head included.
    pub fn get(&self, path: &str) -> Result<String> {
        self.get_with(path, "")
    }

    /// The same with further header lines, each with its line end.
    pub fn get_with(&self, path: &str, header: &str) -> Result<String> {
        let mut stream =
            self.namespace.enter(|| Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, HTTP_PORT))?))?;
        stream.set_read_timeout(Some(wait::A_WHILE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// The value of one series now, like `relay_guess_counters` or `relay_x_total{label="value"}`.
    pub fn metric(&self, series: &str) -> Result<String> {
        let page = self.get("/metrics")?;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no metric {series} in:\n{page}"))?.to_owned())
    }

    pub fn wait_for_end(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.wait_for_end(within)
    }

    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The log, once this is in it: a thread of its own writes the log, so a line may come after the
    /// answer that it is about.
    pub fn output_with(&self, expected: &str) -> Result<String> {
        wait::until(&format!("{expected:?} in the sidecar's log"), wait::A_WHILE, || {
            Some(self.output()).filter(|log| log.contains(expected))
        })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn stop(mut self) -> Result<ExitStatus> {
        signal(self.process.id(), Signal::TERM)?;
        self.wait_for_end(wait::A_WHILE)
    }

    pub fn kill(mut self) {
        self.process.kill();
    }
}
