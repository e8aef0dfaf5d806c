//! The Postfix container: the image's file system with the dev build of relay-init as process 1.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::namespace::Namespace;
use crate::process::{PATH, Process, signal};
use crate::requirements::Requirements;
use crate::wait;

/// Variables for a container, by name.
pub type Environment = Vec<(String, String)>;

/// A container of its own: it ends with the handle, and everything in it.
#[derive(Debug)]
pub struct Postfix {
    process: Process,
    namespace: Namespace,
}

const A_MOMENT: Duration = Duration::from_secs(2);
const SCRIPT: &str = include_str!("postfix_container.sh");

impl Postfix {
    /// Starts the container, and returns at once. What it says goes to `log`, or to `output`.
    pub fn spawn(
        requirements: &Requirements,
        namespace: &Namespace,
        volumes: &Path,
        environment: &Environment,
        log: &Path,
        output: Option<OwnedFd>,
    ) -> Result<Self> {
        // The death signal ends the container even when the test is killed; unshare hands it on to the
        // first process of the pid namespace, and the kernel ends the rest with that one.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig=KILL", "nsenter"])
            .arg(format!("--net={}", namespace.path()))
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"])
            .args(["sh", "-c", SCRIPT, "postfix-container"])
            .args([&requirements.rootfs, &requirements.relay_init])
            .arg(volumes)
            .env_clear()
            .env("PATH", PATH)
            .envs(environment.iter().cloned());
        let process = match output {
            Some(output) => Process::spawn_into(&mut command, log, output)?,
            None => Process::spawn(&mut command, log)?,
        };
        Ok(Self { process, namespace: namespace.clone() })
    }

    /// Waits until every port of `ports` is listened on.
    pub fn wait_until_ready(&mut self, ports: &[u16]) -> Result<()> {
        let (process, namespace) = (&mut self.process, &self.namespace);
        let what = format!("Postfix to listen on {ports:?}");
        wait::until(&what, wait::A_WHILE, || match process.has_ended() {
            Ok(Some(status)) => Some(Err(anyhow::anyhow!("relay-init ended with {status}"))),
            Ok(None) => {
                let listens = |&port: &u16| namespace.listens(port).unwrap_or(false);
                ports.iter().all(listens).then_some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        })?
    }

    pub fn wait_for_end(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.wait_for_end(within)
    }

    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The process id, seen from outside, of relay-init.
    pub fn init_id(&self) -> Result<u32> {
        let unshare = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
        children
            .split_whitespace()
            .next()
            .context("the container has no process")?
            .parse()
            .context("reading the children of unshare")
    }

    /// Sends a signal to relay-init, as `docker kill --signal` does.
    pub fn signal(&self, which: Signal) -> Result<()> {
        signal(self.init_id()?, which)
    }

    /// Ends everything in the container at once, as `docker kill` does.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        let status = self.wait_for_end(wait::A_WHILE)?;
        ensure!(!status.success(), "a killed container ended well");
        Ok(())
    }

    /// Stops the container, as `docker stop` does.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_for_end(Duration::from_secs(60))
    }

    /// Runs a program of the image inside the container, as `docker exec` does.
    pub fn exec(&self, program: &[&str]) -> Result<Output> {
        let output = self.run(program, &Vec::new())?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let complaint = String::from_utf8_lossy(&said);
            bail!("{program:?} ended with {}: {complaint}", output.status);
        }
        Ok(output)
    }

    /// The same with variables, as `docker compose exec` has those of the container, and however it ends.
    pub fn run(&self, program: &[&str], environment: &Environment) -> Result<Output> {
        Command::new("nsenter")
            .arg(format!("--target={}", self.init_id()?))
            .args(["--mount", "--pid", "--net", "--root", "--wd=/", "--"])
            .args(program)
            .env_clear()
            .env("PATH", PATH)
            .envs(environment.iter().cloned())
            .output()
            .with_context(|| format!("running {program:?} in the container"))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Killing unshare would do, but for a process 1 that changed its user once: the kernel forgets the
        // death signal then. The first process of a pid namespace takes all others with it.
        if let Ok(init) = self.init_id() {
            signal(init, Signal::KILL).ok();
            // unshare reaps it and ends, too; killed before that, it would leave a zombie.
            self.wait_for_end(A_MOMENT).ok();
        }
    }
}
