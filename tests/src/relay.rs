//! The product under test: a Postfix container and a sidecar that share their sockets.

mod builder;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use builder::Builder;

use crate::lab::{RELAY, RELAY_V6};
use crate::namespace::Namespace;
use crate::postfix::Postfix;
use crate::sidecar::{Place, Sidecar};
use crate::smtp::{Client, Mechanism};
use crate::wait;

/// EX_USAGE of sysexits.h: the exit code for bad settings.
const BAD_SETTINGS: i32 = 64;
/// Settings are checked before anything else is done.
const A_MOMENT: Duration = Duration::from_secs(4);

pub const PORTS: [u16; 3] = [25, 587, 465];

/// A relay with its volumes, which outlive its containers.
#[derive(Debug)]
pub struct Relay<'lab> {
    settings: Builder<'lab>,
    volumes: PathBuf,
    /// The containers; `None` while they are stopped.
    pub postfix: Option<Postfix>,
    pub sidecar: Option<Sidecar>,
}

impl Relay<'_> {
    /// Starts what is not running, and waits until it serves.
    pub fn start(&mut self) -> Result<()> {
        self.spawn()?;
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.wait_until_ready()?;
        }
        if let Some(postfix) = &mut self.postfix {
            postfix.wait_until_ready(&self.settings.ports)?;
        }
        Ok(())
    }

    /// Starts the sidecar alone, for tests that need no Postfix.
    pub fn start_sidecar(&mut self) -> Result<()> {
        let mut sidecar = self.place().spawn(&self.log("sidecar")?)?;
        sidecar.wait_until_ready()?;
        self.sidecar = Some(sidecar);
        Ok(())
    }

    /// Starts the sidecar alone, and returns at once.
    pub fn spawn_sidecar(&mut self) -> Result<()> {
        self.sidecar = Some(self.place().spawn(&self.log("sidecar")?)?);
        Ok(())
    }

    /// Waits until the sidecar has refused to start, and returns what it said.
    pub fn wait_for_refusal(&mut self, code: i32) -> Result<String> {
        let mut sidecar = self.sidecar.take().context("no sidecar was started")?;
        let status = sidecar.wait_for_end(wait::A_WHILE * 3)?;
        let said = sidecar.output();
        ensure!(status.code() == Some(code), "relay serve ended with {status}: {said}");
        Ok(said)
    }

    /// Starts Postfix alone, and returns at once.
    pub fn spawn_postfix(&mut self) -> Result<()> {
        self.postfix = Some(self.new_postfix(None)?);
        Ok(())
    }

    /// Starts Postfix alone with another place for both its outputs, and returns at once.
    pub fn spawn_postfix_into(&mut self, output: OwnedFd) -> Result<()> {
        self.postfix = Some(self.new_postfix(Some(output))?);
        Ok(())
    }

    fn new_postfix(&self, output: Option<OwnedFd>) -> Result<Postfix> {
        let (requirements, settings) = (&self.settings.lab.requirements, &self.settings.postfix);
        let log = self.log("postfix")?;
        Postfix::spawn(requirements, self.namespace(), &self.volumes, settings, &log, output)
    }

    /// Starts Postfix with settings it has to refuse, and returns what it said.
    pub fn refusal_of_postfix(&mut self) -> Result<String> {
        let mut postfix = self.new_postfix(None)?;
        let status = postfix.wait_for_end(A_MOMENT).context("relay-init took these settings")?;
        let output = postfix.output();
        ensure!(status.code() == Some(BAD_SETTINGS), "relay-init ended with {status}: {output}");
        Ok(output)
    }

    /// Starts the sidecar with settings it has to refuse, and returns what it said.
    pub fn refusal_of_sidecar(&mut self) -> Result<String> {
        let mut sidecar = self.place().spawn(&self.log("sidecar")?)?;
        let status = sidecar.wait_for_end(A_MOMENT).context("relay serve took these settings")?;
        let output = sidecar.output();
        ensure!(status.code() == Some(BAD_SETTINGS), "relay serve ended with {status}: {output}");
        Ok(output)
    }

    /// Changes a variable of the sidecar for its next start.
    pub fn set_sidecar_env(&mut self, name: &str, value: &str) {
        builder::set(&mut self.settings.sidecar, name, value);
    }

    /// Starts what is not running, and returns at once.
    pub fn spawn(&mut self) -> Result<()> {
        if self.sidecar.is_none() {
            self.sidecar = Some(self.place().spawn(&self.log("sidecar")?)?);
        }
        if self.postfix.is_none() {
            self.spawn_postfix()?;
        }
        Ok(())
    }

    /// Ends every process of both containers at once, as a crash of the machine would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(postfix) = self.postfix.take() {
            postfix.kill()?;
        }
        if let Some(sidecar) = self.sidecar.take() {
            sidecar.kill();
        }
        Ok(())
    }

    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.settings.namespace
    }

    /// The directory of the queue.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.volumes.join("queue")
    }

    /// Has the next Postfix container run these shell commands before it starts relay-init, with
    /// `$rootfs` as its file system and `$volumes` as the directory of its volumes.
    pub fn break_container(&self, script: &str) -> Result<()> {
        Ok(std::fs::write(self.volumes.join("fault.sh"), script)?)
    }

    /// The same for the sidecar's container, before it starts relay.
    pub fn break_sidecar_container(&self, script: &str) -> Result<()> {
        Ok(std::fs::write(self.volumes.join("sidecar-fault.sh"), script)?)
    }

    /// The directory with all volumes.
    #[must_use]
    pub fn volumes(&self) -> &Path {
        &self.volumes
    }

    /// The directory that the Postfix container sees as /certs.
    #[must_use]
    pub fn certs(&self) -> PathBuf {
        self.volumes.join("certs")
    }

    /// The directory of the user database.
    #[must_use]
    pub fn users(&self) -> PathBuf {
        self.volumes.join("users")
    }

    /// The path of a socket, such as `sasl.sock`.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        self.volumes.join("sockets").join(name)
    }

    pub fn postfix(&self) -> Result<&Postfix> {
        self.postfix.as_ref().context("Postfix is stopped")
    }

    /// Runs a program in Postfix's container, with the settings of that.
    pub fn run_in_postfix(&self, program: &[&str]) -> Result<Output> {
        self.postfix()?.run(program, &self.settings.postfix)
    }

    pub fn sidecar(&self) -> Result<&Sidecar> {
        self.sidecar.as_ref().context("the sidecar is stopped")
    }

    /// Has both containers ask this name server, from their next start on.
    pub fn use_name_server(&self, server: IpAddr) -> Result<()> {
        Ok(std::fs::write(self.volumes.join("resolv.conf"), format!("nameserver {server}\n"))?)
    }

    /// Runs `relay dkim …`.
    pub fn dkim(&self, arguments: &[&str]) -> Result<Output> {
        self.place().run(&[&["dkim"], arguments].concat(), "")
    }

    /// Runs `relay dkim …`, which is expected to do it.
    pub fn manage_dkim(&self, arguments: &[&str]) -> Result<String> {
        let output = self.dkim(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "relay dkim {arguments:?}: {}: {complaint}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The lines for a zone file that `relay dkim show` prints.
    pub fn dkim_records(&self, domain: &str) -> Result<String> {
        let shown = self.manage_dkim(&["show", domain])?;
        let lines: Vec<&str> = shown.lines().filter(|line| line.contains(" IN TXT (")).collect();
        Ok(lines.join("\n"))
    }

    /// Runs `relay user …` with a password on its standard input.
    pub fn user(&self, arguments: &[&str], password: &str) -> Result<Output> {
        if !password.is_empty() {
            self.settings.lab.evidence.secret(password);
        }
        let output = self.place().run(&[&["user"], arguments].concat(), password)?;
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        // Networks and limits have slashes in them.
        let name = arguments.join("-").replace('/', "_");
        std::fs::write(self.log(&format!("user-{name}"))?, said)?;
        Ok(output)
    }

    /// Runs `relay user …`, which is expected to do it.
    pub fn manage_user(&self, arguments: &[&str], password: &str) -> Result<String> {
        let output = self.user(arguments, password)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "relay user {arguments:?}: {}: {complaint}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn add_user(&self, name: &str, password: &str) -> Result<()> {
        self.manage_user(&["add", name, "--password-stdin"], password)?;
        Ok(())
    }

    /// Connects and reads the greeting.
    pub fn connect(&self, from: IpAddr, port: u16) -> Result<Client> {
        let address = if from.is_ipv4() { RELAY } else { RELAY_V6 };
        let mut client = Client::connect(self.namespace(), from, SocketAddr::new(address, port))?;
        if port == 465 {
            client.handshake().context("the TLS handshake on port 465")?;
        }
        client.reply()?.expect(220)?;
        Ok(client)
    }

    /// Connects, says EHLO, and turns TLS on where a client would log in.
    pub fn session(&self, from: IpAddr, port: u16) -> Result<Client> {
        let mut client = self.connect(from, port)?;
        client.ehlo()?;
        if port == 587 {
            client.starttls()?;
        }
        Ok(client)
    }

    /// A session that is logged in.
    pub fn login(&self, from: IpAddr, port: u16, name: &str, password: &str) -> Result<Client> {
        let mut client = self.session(from, port)?;
        client.login(Mechanism::Plain, name, password)?.expect(235)?;
        Ok(client)
    }

    /// Where this relay's sidecar lives.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place {
            requirements: &self.settings.lab.requirements,
            namespace: &self.settings.namespace,
            volumes: &self.volumes,
            environment: &self.settings.sidecar,
        }
    }

    fn log(&self, process: &str) -> Result<PathBuf> {
        self.settings.lab.evidence.log(&format!("{}-{process}.log", self.settings.name))
    }
}
