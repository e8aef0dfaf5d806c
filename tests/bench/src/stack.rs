//! A running variant: Postfix, whom it asks, a next hop, and what each of them has used.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use relay_tests::lab::Lab;
use relay_tests::process::Process;
use relay_tests::relay::{Builder, Relay};
use relay_tests::requirements::Requirements;
use relay_tests::wait;

use crate::cpu::Group;
use crate::libmilter::Answers;
use crate::load::{self, Load, PASSWORD, USER};
use crate::sink::CountingSink;
use crate::{libmilter, opendkim};

/// Whom Postfix asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Nobody: stock Postfix, as `postfix start-fg` runs it.
    Bare,
    /// The relay as it is.
    Relay,
    /// The relay with `LOG_DETAIL=messages`.
    RelayShortLog,
    /// The relay with `LOG_FORMAT=json`.
    RelayJsonLog,
    /// Postfix and relay-init as they are, with services that decide nothing.
    Noop,
    /// The relay with a key of one kind for example.org.
    Signing(Algorithm),
    /// The relay with OpenDKIM in the milter's place, and an RSA key.
    OpenDkim,
    /// The relay with a milter in C in its milter's place, which looks at nothing.
    Libmilter,
}

/// Of a DKIM key, in the words of `relay dkim list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Rsa,
    Ed25519,
}

/// Where the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Memory,
    Disk,
}

/// What a slice of load came to.
#[derive(Debug)]
pub struct Slice {
    pub accepted_per_second: f64,
    pub drained_per_second: f64,
    /// Milliseconds of CPU a message, of the Postfix container and of whom it asks.
    pub postfix_cpu: f64,
    pub sidecar_cpu: f64,
    /// Microseconds of each session.
    pub sessions: Histogram<u64>,
}

/// One variant, running until it is dropped.
#[derive(Debug)]
pub struct Stack<'lab> {
    pub variant: Variant,
    pub relay: Relay<'lab>,
    sink: CountingSink,
    postfix: Group,
    sidecar: Group,
    noop: Option<Noop>,
    _other_milter: Option<Process>,
    // Last: it is unmounted once nobody uses it.
    _queue: Option<Mount>,
}

const BARE: &str = include_str!("bare_container.sh");
/// How long a slice may take to drain.
const DRAINED: Duration = Duration::from_secs(120);
/// What Postfix and the log still do after the last message has left.
const SETTLES: Duration = Duration::from_millis(150);

impl<'lab> Stack<'lab> {
    /// `name` tells it from the other stacks of this run.
    pub fn start(lab: &'lab Lab, name: &str, variant: Variant, queue: Queue) -> Result<Self> {
        Self::start_logging(lab, name, variant, queue, None)
    }

    /// The same, with a file or named pipe as the Postfix container's standard output.
    pub fn start_logging(
        lab: &'lab Lab,
        name: &str,
        variant: Variant,
        queue: Queue,
        log: Option<&Path>,
    ) -> Result<Self> {
        let mut relay = settings(lab, variant).build()?;
        let mount = match queue {
            Queue::Memory => Some(Mount::make(&relay.queue(), "mode=0755")?),
            Queue::Disk => None,
        };
        let postfix = Group::new(&format!("{name}-postfix"))?;
        let sidecar = Group::new(&format!("{name}-sidecar"))?;
        let log = log.map_or_else(String::new, |log| format!("exec > {}\n", log.display()));
        let before_init = postfix.join() + &log;
        relay.break_container(&before_init)?;
        relay.break_sidecar_container(&sidecar.join())?;
        let sink = CountingSink::listen(relay.namespace())?;
        let noop = if variant == Variant::Noop {
            let noop = Noop::start(&relay, &sidecar)?;
            relay.spawn_postfix()?;
            wait_for_postfix(&mut relay)?;
            Some(noop)
        } else {
            relay.start()?;
            relay.add_user(USER, PASSWORD)?;
            None
        };
        let other_milter = match variant {
            Variant::Signing(algorithm) => opendkim::only_key(&relay, algorithm).map(|_| None)?,
            Variant::OpenDkim => Some(opendkim::start(&relay, lab, &sidecar)?),
            Variant::Libmilter => {
                let socket = relay.socket(libmilter::SOCKET);
                Some(libmilter::start(lab, &sidecar, &socket, Answers::EachStage)?)
            }
            _ => None,
        };
        if variant == Variant::Bare {
            relay.postfix.take().context("Postfix is stopped")?.stop()?;
            relay.sidecar.take().context("the sidecar is stopped")?.stop()?;
            relay.break_container(&format!("{before_init}{BARE}"))?;
            relay.spawn_postfix()?;
            wait_for_postfix(&mut relay)?;
        }
        Ok(Self {
            variant,
            relay,
            sink,
            postfix,
            sidecar,
            noop,
            _other_milter: other_milter,
            _queue: mount,
        })
    }

    /// Sends so many messages and waits until all have left. Bare Postfix knows no login: there the
    /// same goes without.
    pub fn run(&self, load: &Load, total: usize) -> Result<Slice> {
        let load = Load { login: load.login && self.variant != Variant::Bare, ..*load };
        let total = load::rounded(&load, total);
        let before = (self.sink.received(), self.postfix.used()?, self.sidecar.used()?);
        let started = Instant::now();
        let (accepted, sessions) = load::send(&self.relay, &load, total)?;
        self.sink.wait_for(before.0 + (total * load.deliveries) as u64, DRAINED)?;
        let drained = started.elapsed();
        std::thread::sleep(SETTLES);
        let milliseconds = |used: Duration| used.as_secs_f64() * 1_000.0 / total as f64;
        Ok(Slice {
            accepted_per_second: total as f64 / accepted.as_secs_f64(),
            drained_per_second: total as f64 / drained.as_secs_f64(),
            postfix_cpu: milliseconds(self.postfix.used()? - before.1),
            sidecar_cpu: milliseconds(self.sidecar.used()? - before.2),
            sessions,
        })
    }

    /// A process of the Postfix container by its program's name, such as `postlogd`.
    pub fn process_of_postfix(&self, name: &str) -> Result<u32> {
        self.postfix.process_named(name)
    }

    /// The process that Postfix asks.
    pub fn sidecar_id(&self) -> Result<u32> {
        match &self.noop {
            Some(noop) => Ok(noop.0.id()),
            None => Ok(self.relay.sidecar()?.id()),
        }
    }
}

/// What the variants have in common, and what each has of its own.
fn settings(lab: &Lab, variant: Variant) -> Builder<'_> {
    let settings = lab
        .relay_to_sink()
        .postfix_env("POSTFIX_in_flow_delay", "0")
        // All clients come from one address.
        .postfix_env("POSTFIX_smtpd_client_connection_count_limit", "500");
    match variant {
        Variant::RelayShortLog => settings.postfix_env("LOG_DETAIL", "messages"),
        Variant::RelayJsonLog => settings.postfix_env("LOG_FORMAT", "json"),
        Variant::Signing(_) => settings.sidecar_env("DKIM_REQUIRE_DNS", "false"),
        Variant::OpenDkim => another_milter(settings, opendkim::SOCKET),
        Variant::Libmilter => another_milter(settings, libmilter::SOCKET),
        Variant::Bare | Variant::Relay | Variant::Noop => settings,
    }
}

/// Has Postfix ask another milter where it would ask the sidecar's. The sidecar still answers policy.
fn another_milter<'lab>(settings: Builder<'lab>, socket: &str) -> Builder<'lab> {
    settings
        .postfix_env("ALLOW_UNSAFE_POSTFIX", "true")
        .postfix_env("POSTFIX_smtpd_milters", &format!("unix:/run/relay/{socket}"))
}

/// This benchmark's own program, which serves what decides nothing; a test is another one.
pub fn program() -> Result<std::path::PathBuf> {
    Ok(Requirements::find()?.relay_init.with_file_name("relay-bench"))
}

fn wait_for_postfix(relay: &mut Relay<'_>) -> Result<()> {
    relay.postfix.as_mut().context("Postfix is stopped")?.wait_until_ready(&[25, 587])
}

/// The services that decide nothing, in a process of their own.
#[derive(Debug)]
struct Noop(Child);

impl Noop {
    fn start(relay: &Relay<'_>, group: &Group) -> Result<Self> {
        let sockets = relay.volumes().join("sockets");
        let child = Command::new("sh")
            .args(["-c", &format!("{}exec \"$@\"", group.join()), "noop"])
            .arg(program()?)
            .arg("noop")
            .arg(&sockets)
            .stdin(Stdio::null())
            .spawn()
            .context("starting the services that decide nothing")?;
        let noop = Self(child);
        let last = sockets.join("milter.sock");
        wait::until("the services that decide nothing", wait::A_WHILE, || {
            last.exists().then_some(())
        })?;
        Ok(noop)
    }
}

impl Drop for Noop {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A tmpfs, until it is dropped.
#[derive(Debug)]
pub struct Mount(std::path::PathBuf);

impl Mount {
    /// With these options of tmpfs(5).
    pub fn make(place: &Path, options: &str) -> Result<Self> {
        let flags = rustix::mount::MountFlags::empty();
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount("tmpfs", place, "tmpfs", flags, options.as_c_str())
            .with_context(|| format!("mounting a tmpfs on {}", place.display()))?;
        Ok(Self(place.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A busy one goes with its last user.
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).ok();
    }
}
