//! Debian's Prometheus in the relay's network: what it scrapes, and what it makes of rules and queries.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::process::Process;
use crate::requirements::reference_client;
use crate::wait::{A_WHILE, until};

const PORT: u16 = 9090;

/// The files for operators, in `deploy/`.
#[must_use]
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Runs promtool in the folder of the rules, and returns what it said; an error if it complains.
pub fn promtool(arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(reference_client("promtool")?)
        .args(arguments)
        .current_dir(deploy().join("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("promtool has no standard input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    ensure!(status.success(), "promtool {arguments:?}: {status}: {said}");
    Ok(said)
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    namespace: Namespace,
}

impl Prometheus {
    /// Starts it with the configuration for operators, of which only the target and the intervals are
    /// changed, and waits until it has scraped. `access` is more of the job, such as a token.
    pub fn start(namespace: &Namespace, folder: &Path, log: &Path, access: &str) -> Result<Self> {
        let config = std::fs::read_to_string(deploy().join("prometheus/prometheus.yml"))?;
        let config = config.replace("sidecar:9154", "127.0.0.1:9154").replace("15s", "1s") + access;
        std::fs::create_dir_all(folder)?;
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config)?;
        let rules = "relay.rules.yml";
        std::fs::copy(deploy().join("prometheus").join(rules), folder.join(rules))?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", namespace.path()))
            .arg(reference_client("prometheus")?)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"));
        let process = Process::spawn(&mut command, log)?;
        let prometheus = Self { process, namespace: namespace.clone() };
        until("Prometheus to scrape the relay", A_WHILE, || {
            let up = prometheus.query("up{job=\"relay\"} == 1").ok()?;
            (!up.is_empty()).then_some(())
        })
        .with_context(|| prometheus.process.output())?;
        Ok(prometheus)
    }

    /// The series that an expression has now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            write!(encoded, "%{byte:02X}")?;
        }
        let answer = self.get(&format!("/api/v1/query?query={encoded}"))?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        Ok(result.with_context(|| format!("{expression}: {answer}"))?.clone())
    }

    /// All rules, with the state of their last evaluation.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.get("/api/v1/rules")?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        let groups = groups.with_context(|| format!("no groups: {answer}"))?;
        Ok(groups
            .iter()
            .filter_map(|group| group.get("rules")?.as_array())
            .flatten()
            .cloned()
            .collect())
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut stream =
            self.namespace.enter(|| Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?))?;
        stream.set_read_timeout(Some(A_WHILE))?;
        // HTTP/1.0, so that the answer is not chunked.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let (_, body) = page.split_once("\r\n\r\n").context("no body")?;
        serde_json::from_str(body).with_context(|| page.clone())
    }
}
