//! A process that is measured by itself: our sidecar, a peer, or an echo of its answers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use relay_tests::lab::Lab;
use relay_tests::process::Process;
use relay_tests::relay::Relay;
use relay_tests::wait;

use crate::cpu::Group;

/// Something that listens on a unix socket, and the CPU time it has used.
#[derive(Debug)]
pub struct Service<'lab> {
    pub socket: PathBuf,
    pub group: Group,
    // They end with it.
    relay: Option<Relay<'lab>>,
    process: Option<Process>,
}

impl<'lab> Service<'lab> {
    /// A sidecar with these settings and one user; `socket` is its file's name.
    pub fn sidecar(lab: &'lab Lab, socket: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let group = Group::new("sidecar")?;
        let mut builder = lab.relay().env("ALLOWED_NETWORKS", relay_tests::lab::HOME_NETWORK);
        for (name, value) in settings {
            builder = builder.sidecar_env(name, value);
        }
        let mut relay = builder.build()?;
        relay.break_sidecar_container(&group.join())?;
        relay.start_sidecar()?;
        Ok(Self { socket: relay.socket(socket), group, relay: Some(relay), process: None })
    }

    /// A program that makes the socket itself.
    pub fn program(
        lab: &Lab,
        name: &str,
        socket: PathBuf,
        command: &[impl AsRef<OsStr>],
    ) -> Result<Self> {
        let group = Group::new(name)?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{}exec \"$@\"", group.join()), name])
            .args(command)
            .stdin(Stdio::null());
        let process = Process::spawn(&mut shell, &lab.evidence.log(name)?)?;
        let listens = || socket.exists().then_some(());
        let what = format!("{name} to listen");
        wait::until_every(wait::GLANCE, &what, wait::A_WHILE, listens)
            .with_context(|| format!("{name} said: {}", process.output()))?;
        Ok(Self { socket, group, relay: None, process: Some(process) })
    }

    /// A hidden command of this benchmark's own program, such as `noop`, with the path that it takes.
    pub fn of_ours(lab: &Lab, command: &str, path: &Path, socket: PathBuf) -> Result<Self> {
        let program = crate::stack::program()?;
        let words = [program.as_os_str(), OsStr::new(command), path.as_os_str()];
        Self::program(lab, command, socket, &words)
    }

    /// A program that listens already.
    #[must_use]
    pub fn running(socket: PathBuf, group: Group, process: Process) -> Self {
        Self { socket, group, relay: None, process: Some(process) }
    }

    /// The relay, when this is one.
    pub fn relay(&self) -> Result<&Relay<'lab>> {
        self.relay.as_ref().context("this service is not the relay")
    }

    /// The ids of its processes.
    pub fn processes(&self) -> Result<Vec<u32>> {
        match &self.process {
            Some(_) => self.group.processes(),
            None => Ok(vec![self.relay()?.sidecar()?.id()]),
        }
    }

    /// Does `total` exchanges over so many connections. Each connection is opened first, outside of
    /// what is measured.
    pub fn exchange<C: Send>(
        &self,
        connections: usize,
        total: usize,
        open: impl Fn(&Path) -> Result<C> + Sync,
        exchange: impl Fn(&mut C, usize) -> Result<()> + Sync,
    ) -> Result<Exchanged> {
        let opened: Vec<C> = (0..connections).map(|_| open(&self.socket)).collect::<Result<_>>()?;
        let each = total.div_ceil(connections);
        let before = self.group.used()?;
        let started = Instant::now();
        let mut times = crate::load::histogram()?;
        std::thread::scope(|scope| {
            let threads: Vec<_> = opened
                .into_iter()
                .enumerate()
                .map(|(number, mut connection)| {
                    let exchange = &exchange;
                    scope.spawn(move || {
                        let mut times = crate::load::histogram()?;
                        for round in 0..each {
                            let started = Instant::now();
                            exchange(&mut connection, number * each + round)?;
                            times.saturating_record(crate::load::micros(started.elapsed()));
                        }
                        Ok::<_, anyhow::Error>(times)
                    })
                })
                .collect();
            for thread in threads {
                let its = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                times.add(&its).context("adding up latencies")?;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        let took = started.elapsed();
        let done = (each * connections) as f64;
        let used = self.group.used()? - before;
        Ok(Exchanged {
            per_second: done / took.as_secs_f64(),
            cpu: Duration::from_secs_f64(used.as_secs_f64() / done),
            times,
        })
    }
}

/// What a slice of exchanges came to.
#[derive(Debug)]
pub struct Exchanged {
    pub per_second: f64,
    /// Of the service, for each exchange.
    pub cpu: Duration,
    /// Microseconds of each exchange.
    pub times: hdrhistogram::Histogram<u64>,
}

/// As microseconds, for a row.
#[must_use]
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
