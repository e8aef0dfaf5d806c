//! NATS servers: Debian's, with JetStream, TLS, and one login.

use std::fmt::Write as _;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::network::{Network, Site};
use crate::authority::Authority;
use crate::evidence::Evidence;
use crate::namespace::Namespace;
use crate::process::{Process, signal};
use crate::requirements::tool;
use crate::wait;

/// Files in the evidence's folder: whom to trust, and the seed of the only login.
pub const AUTHORITY: &str = "fleet-ca.pem";
pub const SEED: &str = "fleet.nk";
const CLIENTS: u16 = 4222;
const MONITOR: u16 = 8222;
/// A cluster elects a leader in a few seconds, on a machine that does other things, too.
const ELECTION: Duration = Duration::from_secs(60);

/// The seed of a login that no server knows.
pub fn new_seed() -> Result<String> {
    nkeys::KeyPair::new_user().seed().context("a new key has a seed")
}

#[derive(Debug)]
pub struct Servers {
    all: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    name: String,
    address: String,
    namespace: Namespace,
    configuration: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Servers {
    /// Starts a server at each of these sites, and waits until they agree.
    pub fn start(evidence: &Evidence, network: &mut Network, sites: &[Site]) -> Result<Self> {
        let folder = evidence.directory()?;
        let authority = Authority::new()?;
        authority.write_certificate(&folder.join(AUTHORITY))?;
        let login = nkeys::KeyPair::new_user();
        let seed = login.seed().context("a new key has a seed")?;
        std::fs::write(folder.join(SEED), seed)?;
        let mut hosts = Vec::new();
        for site in sites {
            hosts.push(network.attach(*site)?);
        }
        let addresses: Vec<String> = hosts.iter().map(|(_, address)| address.clone()).collect();
        let mut all = Vec::new();
        for (number, (namespace, address)) in hosts.into_iter().enumerate() {
            let name = format!("nats{number}");
            let files = [".pem", ".key"].map(|suffix| folder.join(format!("{name}{suffix}")));
            authority.write_pair(&address, &files[0], &files[1])?;
            let configuration = folder.join(format!("{name}.conf"));
            let text = text_of(&name, &address, &addresses, folder, &login.public_key());
            std::fs::write(&configuration, text)?;
            let log = evidence.log(&format!("{name}.log"))?;
            all.push(Server { name, address, namespace, configuration, log, process: None });
        }
        let mut servers = Self { all };
        for number in 0..sites.len() {
            servers.start_one(number)?;
        }
        servers.wait_for_agreement()?;
        Ok(servers)
    }

    /// As FLEET_URL has it.
    #[must_use]
    pub fn urls(&self) -> String {
        let urls = self.all.iter().map(|server| format!("tls://{}:{CLIENTS}", server.address));
        urls.collect::<Vec<_>>().join(",")
    }

    pub fn address(&self, number: usize) -> Result<String> {
        Ok(self.all.get(number).context("no such server")?.address.clone())
    }

    /// The file that a server is configured by.
    pub fn configuration(&self, number: usize) -> Result<PathBuf> {
        Ok(self.all.get(number).context("no such server")?.configuration.clone())
    }

    pub fn start_one(&mut self, number: usize) -> Result<()> {
        let server = self.all.get_mut(number).context("no such server")?;
        let program = tool("nats/nats-server")?;
        let mut command = server.namespace.command(&program.to_string_lossy());
        command.arg("--config").arg(&server.configuration);
        server.process = Some(Process::spawn(&mut command, &server.log)?);
        Ok(())
    }

    /// Ends one as a crash of its machine would.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.all.get_mut(number).and_then(|server| server.process.take())
        {
            process.kill();
        }
    }

    pub fn kill_all(&mut self) {
        (0..self.all.len()).for_each(|number| self.kill(number));
    }

    pub fn start_all(&mut self) -> Result<()> {
        (0..self.all.len()).try_for_each(|number| self.start_one(number))
    }

    /// Sends a signal to all: STOP freezes them, CONT lets them go on.
    pub fn signal_all(&self, which: Signal) -> Result<()> {
        for process in self.all.iter().filter_map(|server| server.process.as_ref()) {
            signal(process.id(), which)?;
        }
        Ok(())
    }

    #[must_use]
    pub fn number(&self) -> usize {
        self.all.len()
    }

    /// Which server decides about a stream.
    pub fn leader_of(&self, stream: &str) -> Result<usize> {
        let path = "/jsz?streams=true&accounts=true";
        wait::until(&format!("a leader of {stream}"), ELECTION, || {
            self.all.iter().find_map(|server| {
                let page = server.get(path).ok()?;
                let leader = leader_in(&serde_json::from_str(&page).ok()?, stream)?;
                self.all.iter().position(|server| server.name == leader)
            })
        })
    }

    /// Waits until the servers are ready for JetStream.
    pub fn wait_for_agreement(&self) -> Result<()> {
        wait::until("the NATS servers to agree", ELECTION, || {
            // Without its streams and consumers: it goes on missing one that somebody gave up in a partition.
            let page = "/healthz?js-server-only=true";
            let running = self.all.iter().filter(|server| server.process.is_some());
            let mut healthy =
                running.map(|server| server.get(page).is_ok_and(|page| page.contains("\"ok\"")));
            healthy.all(|healthy| healthy).then_some(())
        })?;
        if self.all.len() == 1 {
            return Ok(());
        }
        // Healthy is not yet elected.
        wait::until("the NATS servers to elect a leader", ELECTION, || {
            let elected = self.all.iter().any(|server| {
                let page = server.get("/jsz").unwrap_or_default();
                let page: serde_json::Value = serde_json::from_str(&page).unwrap_or_default();
                let meta = page.get("meta_cluster");
                let leader = meta.and_then(|meta| meta.get("leader")).and_then(|l| l.as_str());
                leader.is_some_and(|leader| !leader.is_empty())
            });
            elected.then_some(())
        })
    }

    /// Talks to the engine as an operator would, with the fleet's login.
    pub fn with_client<T: Send, F: Future<Output = Result<T, async_nats::Error>>>(
        &self,
        folder: &Path,
        work: impl FnOnce(async_nats::Client) -> F + Send,
    ) -> Result<T> {
        self.on_a_runtime(async || {
            let client = self.client(folder).await?;
            work(client).await.map_err(|error| anyhow::anyhow!("{error}"))
        })
    }

    /// The same with so many at once, each with its number.
    pub fn with_clients<F: Future<Output = Result<(), async_nats::Error>> + Send + 'static>(
        &self,
        folder: &Path,
        number: u32,
        work: impl Fn(u32, async_nats::Client) -> F + Send + Sync,
    ) -> Result<()> {
        self.on_a_runtime(async || {
            let mut clients = tokio::task::JoinSet::new();
            for position in 0..number {
                clients.spawn(work(position, self.client(folder).await?));
            }
            let all: Result<Vec<()>, _> = clients.join_all().await.into_iter().collect();
            all.map(drop).map_err(|error| anyhow::anyhow!("{error}"))
        })
    }

    async fn client(&self, folder: &Path) -> Result<async_nats::Client> {
        let seed = std::fs::read_to_string(folder.join(SEED))?;
        let urls: Vec<String> = self.urls().split(',').map(str::to_owned).collect();
        let options = async_nats::ConnectOptions::with_nkey(seed)
            .add_root_certificates(folder.join(AUTHORITY))
            .require_tls(true);
        Ok(options.connect(urls).await?)
    }

    /// In the network of the first server.
    fn on_a_runtime<T: Send>(&self, work: impl AsyncFnOnce() -> Result<T> + Send) -> Result<T> {
        let host = self.all.first().context("no server")?;
        host.namespace.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(work())
        })
    }

    /// The processor time that a server has taken.
    pub fn cpu(&self, number: usize) -> Result<Duration> {
        let server = self.all.get(number).context("no such server")?;
        let id = server.process.as_ref().context("it does not run")?.id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // User and system time in clock ticks of 10 ms, behind the name in brackets (proc(5)).
        let (_, rest) = stat.rsplit_once(')').context("no name")?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// A page of one server's monitor.
    pub fn get(&self, number: usize, path: &str) -> Result<String> {
        self.all.get(number).context("no such server")?.get(path)
    }
}

impl Server {
    fn get(&self, path: &str) -> Result<String> {
        use std::io::{Read as _, Write as _};
        let mut stream = self.namespace.enter(|| {
            Ok(std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, MONITOR))?)
        })?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}

fn leader_in(page: &serde_json::Value, stream: &str) -> Option<String> {
    let accounts = page.get("account_details")?.as_array()?;
    let streams = accounts.iter().filter_map(|account| account.get("stream_detail")?.as_array());
    let found = streams.flatten().find(|found| found.get("name").is_some_and(|n| n == stream))?;
    Some(found.get("cluster")?.get("leader")?.as_str()?.to_owned())
}

fn text_of(name: &str, address: &str, all: &[String], folder: &Path, login: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server_name: {name}\n\
         listen: \"{address}:{CLIENTS}\"\n\
         http: \"127.0.0.1:{MONITOR}\"\n\
         ping_interval: \"2s\"\n\
         jetstream {{ store_dir: \"{folder}/{name}\", max_mem: 256MB, max_file: 2GB }}\n\
         tls {{ cert_file: \"{folder}/{name}.pem\", key_file: \"{folder}/{name}.key\" }}\n\
         authorization {{ users: [ {{ nkey: {login} }} ] }}\n"
    );
    if all.len() > 1 {
        let routes: Vec<String> =
            all.iter().map(|other| format!("\"nats://{other}:6222\"")).collect();
        // Writing to a String cannot fail.
        writeln!(
            text,
            "cluster {{ name: fleet, listen: \"{address}:6222\", routes: [{}] }}",
            routes.join(", ")
        )
        .ok();
    }
    text
}
