//! One Compose project in a directory of the test's, beside a next hop in a network that outlives it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relay_tests::evidence::Evidence;
use relay_tests::wait;

use crate::command::{docker, find_compose, output_of, succeed};

/// Both containers have health checks every five seconds, and the machine may be busy.
const HEALTHY: Duration = Duration::from_secs(90);
/// A message on its way from one container to the next.
pub const DELIVERY: Duration = Duration::from_secs(30);

/// A stack that runs, and what it leaves behind when the test fails.
#[derive(Debug)]
pub struct Stack {
    containers: Containers,
    evidence: Evidence,
}

/// Runs a test on a stack with these lines in its `.env`, and removes the stack whatever happens.
pub fn with_a_stack(env: &[&str], test: impl FnOnce(&Stack) -> Result<()>) -> Result<()> {
    with_a_checkout(env, |stack| {
        stack.up()?;
        test(stack)
    })
}

/// The same on a stack that was never started: a checkout and its `.env`.
pub fn with_a_checkout(env: &[&str], test: impl FnOnce(&Stack) -> Result<()>) -> Result<()> {
    let evidence = Evidence::new()?;
    let containers = Containers::create(&evidence, env)?;
    let stack = Stack { containers, evidence };
    stack.containers.start_sink()?;
    test(&stack)?;
    let Stack { containers, evidence } = stack;
    drop(containers);
    evidence.check_secrets()?;
    evidence.discard()
}

impl Stack {
    /// Starts it, from nothing or after [`Stack::down`], and waits until both containers are healthy.
    pub fn up(&self) -> Result<()> {
        self.containers.compose(&["up", "-d"])?;
        for service in ["sidecar", "postfix"] {
            let container = self.container(service)?;
            wait::until(&format!("a healthy {service}"), HEALTHY, || {
                let state =
                    docker(&["inspect", "-f", "{{.State.Health.Status}}", &container]).ok()?;
                (state == "healthy").then_some(())
            })?;
        }
        Ok(())
    }

    /// Removes the containers and their network; the volumes stay. Their logs are kept first.
    pub fn down(&self) -> Result<()> {
        self.containers.keep_logs();
        self.containers.compose(&["down"])?;
        Ok(())
    }

    /// Runs any other command of Compose with this standard input, and returns what it prints, byte by byte.
    pub fn compose(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        output_of(self.containers.compose_command(arguments), input)
    }

    /// What Docker calls a volume of the stack.
    pub fn volume(&self, name: &str) -> String {
        format!("{}_{name}", self.containers.project)
    }

    /// Runs a command in a container, as an operator does, and returns what it prints.
    pub fn exec(&self, service: &str, command: &[&str]) -> Result<String> {
        self.containers.compose(&[&["exec", "-T", service], command].concat())
    }

    /// Adds a user with a password that no log may show.
    pub fn add_user(&self, name: &str, password: &str) -> Result<()> {
        self.evidence.secret(password);
        let add = ["exec", "-T", "sidecar", "relay", "user", "add", name, "--password-stdin"];
        let compose = self.containers.compose_command(&add);
        succeed(compose, format!("{password}\n").as_bytes()).map(drop)
    }

    /// Adds a user whose password the sidecar makes up and shows once.
    pub fn generate_user(&self, name: &str) -> Result<String> {
        let said = self.exec("sidecar", &["relay", "user", "add", name, "--generate"])?;
        let password = said.lines().find_map(|line| line.strip_prefix("password: "));
        let password = password.context("relay user add showed no password")?;
        self.evidence.secret(password);
        Ok(password.to_owned())
    }

    /// What a person sees who sends a message with swaks, and whether it was accepted.
    pub fn swaks(
        &self,
        arguments: &[&str],
        login: (&str, &str),
        port: u16,
    ) -> Result<(bool, String)> {
        let address = self.containers.compose(&["port", "postfix", &port.to_string()])?;
        let output = Command::new("swaks")
            .args(["--server", "127.0.0.1", "--port"])
            .arg(address.rsplit(':').next().unwrap_or_default())
            .arg(if port == 465 { "--tlsc" } else { "--tls" })
            .args(["--auth-hide-password", "--auth-user", login.0, "--from", "alice@example.org"])
            .args(arguments)
            // Arguments show in ps.
            .env("SWAKS_OPT_auth_password", login.1)
            .stdin(Stdio::null())
            .output()
            .context("running swaks: run `make test`, which installs it")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        self.containers.keep("swaks", said.as_bytes());
        Ok((output.status.success(), said))
    }

    /// Waits until the next hop has as many messages, and returns what it wrote down.
    pub fn arrived(&self, count: usize) -> Result<Vec<String>> {
        let sink = self.containers.sink();
        wait::until(&format!("{count} messages at the next hop"), DELIVERY, || {
            // smtp-sink writes as it receives; the file's end tells nothing, but its name is final.
            let all =
                docker(&["exec", &sink, "sh", "-c", "for f in *; do cat $f; echo '=end='; done"]);
            let messages: Vec<String> =
                all.ok()?.split("=end=").map(|text| text.trim().to_owned()).collect();
            let messages: Vec<String> =
                messages.into_iter().filter(|text| !text.is_empty()).collect();
            (messages.len() >= count).then_some(messages)
        })
    }

    /// Waits until a container says something.
    pub fn logged(&self, text: &str) -> Result<()> {
        wait::until(&format!("{text:?} in the logs"), DELIVERY, || {
            self.logs().ok()?.contains(text).then_some(())
        })
    }

    /// Makes the next hop accept connections and say nothing, or speak again.
    pub fn pause_sink(&self, pause: bool) -> Result<()> {
        docker(&[if pause { "pause" } else { "unpause" }, &self.containers.sink()]).map(drop)
    }

    /// The id of a service's container.
    pub fn container(&self, service: &str) -> Result<String> {
        let id = self.containers.compose(&["ps", "-q", service])?;
        ensure!(!id.is_empty(), "there is no container of {service}");
        Ok(id)
    }

    /// All that the containers have said until now.
    pub fn logs(&self) -> Result<String> {
        self.containers.compose(&["logs", "--no-color"])
    }
}

/// What has to be removed again.
#[derive(Debug)]
struct Containers {
    project: String,
    directory: std::path::PathBuf,
    log_directory: std::path::PathBuf,
    compose: Vec<String>,
}

impl Containers {
    fn create(evidence: &Evidence, env: &[&str]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let project = format!("relay-test-{}-{number}", std::process::id());
        let directory = evidence.directory()?.join("stack");
        std::fs::create_dir(&directory)?;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose.yaml");
        std::fs::copy(shipped, directory.join("compose.yaml"))?;
        // An address without a port: Docker takes a free one.
        let env = env.join("\n");
        let env = format!("{env}\nPUBLISH_587=127.0.0.1:\nPUBLISH_465=127.0.0.1:\n");
        std::fs::write(directory.join(".env"), env)?;
        let with_sink = format!(
            "services:\n  postfix:\n    networks: [default, outside]\n    dns: 127.0.0.1\n\
             networks:\n  outside:\n    external: true\n    name: {project}\n"
        );
        std::fs::write(directory.join("compose.override.yaml"), with_sink)?;
        let log_directory = evidence.directory()?.join("logs");
        Ok(Self { project, directory, log_directory, compose: find_compose()? })
    }

    fn start_sink(&self) -> Result<()> {
        docker(&["network", "create", "--internal", &self.project])?;
        let sink = self.sink();
        let network = &self.project;
        docker(&[
            "run",
            "-d",
            "--name",
            &sink,
            "--network",
            network,
            "--network-alias",
            "sink",
            SINK,
        ])?;
        Ok(())
    }

    fn sink(&self) -> String {
        format!("{}-sink", self.project)
    }

    fn compose(&self, arguments: &[&str]) -> Result<String> {
        succeed(self.compose_command(arguments), b"")
    }

    fn compose_command(&self, arguments: &[&str]) -> Command {
        let (program, first) =
            self.compose.split_first().map_or(("", &[][..]), |(p, f)| (p.as_str(), f));
        let mut command = Command::new(program);
        command.args(first).args(["-p", &self.project]).args(arguments);
        command.current_dir(&self.directory).env_remove("PUBLISH_587").env_remove("PUBLISH_465");
        command
    }

    fn keep_logs(&self) {
        let logs = self.compose(&["logs", "--no-color", "--timestamps"]);
        self.keep("containers", logs.unwrap_or_default().as_bytes());
    }

    /// Appends to a log of the evidence. It is written for a failure that may be under way, so it makes none.
    fn keep(&self, name: &str, text: &[u8]) {
        let path = self.log_directory.join(name);
        if let Ok(mut log) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            drop(log.write_all(text));
        }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        self.keep_logs();
        drop(docker(&["rm", "-f", &self.sink()]));
        drop(self.compose(&["down", "-v"]));
        drop(docker(&["network", "rm", &self.project]));
    }
}

const SINK: &str = "relay-test-sink";
