//! Verifiers of DKIM signatures that other people wrote, and NSD to serve them the records.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mail_auth::hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};

use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::requirements::program;
use crate::wait;

/// Where NSD listens in the lab's network. The lab's own name server is on 127.0.0.1.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// A name server that serves zones until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    _process: Process,
}

impl NameServer {
    /// Serves these zones, each with records as lines of a zone file.
    pub fn serve(lab: &Lab, zones: &[(&str, &str)]) -> Result<Self> {
        let folder = lab.evidence.directory()?.join("nsd");
        std::fs::create_dir_all(&folder)?;
        let place = folder.display();
        let mut config = format!(
            "server:\n ip-address: {NAME_SERVER}\n username: \"\"\n zonesdir: \"{place}\"\n \
             database: \"\"\n pidfile: \"{place}/nsd.pid\"\n xfrdfile: \"{place}/xfrd.state\"\n \
             xfrdir: \"{place}\"\n zonelistfile: \"{place}/zone.list\"\n\
             remote-control:\n control-enable: no\n"
        );
        for (zone, records) in zones {
            let text = format!(
                "$TTL 60\n@ IN SOA ns.{zone}. root.{zone}. 1 60 60 600 60\n@ IN NS ns.{zone}.\n\
                 ns IN A {NAME_SERVER}\n{records}\n"
            );
            std::fs::write(folder.join(zone), text)?;
            config += &format!("zone:\n name: \"{zone}\"\n zonefile: \"{zone}\"\n");
        }
        let config_file = folder.join("nsd.conf");
        std::fs::write(&config_file, config)?;
        let mut command = lab.namespace.command(&program("/usr/sbin/nsd")?.to_string_lossy());
        command.args(["-d", "-c"]).arg(&config_file);
        let process = Process::spawn(&mut command, &lab.evidence.log("nsd.log")?)?;
        let started = || process.output().contains("nsd started").then_some(());
        wait::until("NSD to start", wait::A_WHILE, started)?;
        Ok(Self { _process: process })
    }
}

/// What a verifier says of the signatures of one message: whether each holds.
pub type Verdicts = Vec<bool>;

/// dkimpy's verdicts on messages in files, all in one process.
pub fn dkimpy(lab: &Lab, files: &[PathBuf]) -> Result<Vec<Verdicts>> {
    const SCRIPT: &str = include_str!("dkim_verify.py");
    program("/usr/lib/python3/dist-packages/dkim/__init__.py")?;
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut command = with_name_server(lab, "/usr/bin/python3", &["-c", SCRIPT])?;
    let output = run(&mut command, names.join("\n").as_bytes())?;
    ensure!(output.status.success(), "dkimpy: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    std::fs::write(lab.evidence.log("dkimpy.log")?, &said)?;
    let verdicts: Vec<Verdicts> = said
        .lines()
        .map(|line| line.split(' ').skip(1).map(|word| word == "pass").collect())
        .collect();
    ensure!(verdicts.len() == files.len(), "dkimpy said too little: {said}");
    Ok(verdicts)
}

/// What opendkim-testmsg says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opendkim {
    Holds,
    Fails,
    /// It looks at no signature of a message that has two fields where RFC 5322 3.6 allows one.
    Malformed,
}

pub fn opendkim(lab: &Lab, message: &[u8]) -> Result<Opendkim> {
    let testmsg = program("/usr/sbin/opendkim-testmsg")?;
    let mut command = with_name_server(lab, &testmsg.to_string_lossy(), &["-C"])?;
    let output = run(&mut command, message)?;
    let malformed = String::from_utf8_lossy(&output.stderr).contains("Syntax error");
    Ok(match (output.status.success(), malformed) {
        (true, _) => Opendkim::Holds,
        (false, true) => Opendkim::Malformed,
        (false, false) => Opendkim::Fails,
    })
}

/// mail-auth's verdicts on one message.
pub fn mail_auth(namespace: &Namespace, message: &[u8]) -> Result<Verdicts> {
    namespace.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let server = NameServerConfig::udp_and_tcp(NAME_SERVER.into());
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            let verifier = MessageAuthenticator::new(config, ResolverOpts::default())?;
            let message =
                AuthenticatedMessage::parse(message).context("no message to mail-auth")?;
            let verdicts = verifier.verify_dkim(&message).await;
            Ok(verdicts.iter().map(|verdict| *verdict.result() == DkimResult::Pass).collect())
        })
    })
}

/// A command in the lab's network whose resolver asks NSD.
fn with_name_server(lab: &Lab, program: &str, arguments: &[&str]) -> Result<Command> {
    const SCRIPT: &str = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    let resolv_conf = lab.evidence.directory()?.join("resolv.conf");
    std::fs::write(&resolv_conf, format!("nameserver {NAME_SERVER}\n"))?;
    let mut command = lab.namespace.command("unshare");
    command
        .args(["--mount", "sh", "-c", SCRIPT, "with-name-server"])
        .arg(resolv_conf)
        .arg(program)
        .args(arguments);
    Ok(command)
}

fn run(command: &mut Command, input: &[u8]) -> Result<std::process::Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {command:?}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    // A program that has seen enough may be gone; its verdict tells.
    stdin.write_all(input).ok();
    drop(stdin);
    Ok(child.wait_with_output()?)
}

/// Writes messages to files, named by their number.
pub fn write_messages(folder: &Path, messages: &[Vec<u8>]) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let write = |(number, message): (usize, &Vec<u8>)| {
        let path = folder.join(format!("{number}.eml"));
        std::fs::write(&path, message)?;
        Ok(path)
    };
    messages.iter().enumerate().map(write).collect()
}
