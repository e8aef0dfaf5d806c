//! The story of a container: folders, certificate, Postfix's files, then Postfix itself.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::clock;
use crate::certificates::watcher::{self, Watcher};
use crate::configuration::main_cf::{PASSWORD_TABLE, SASL_SOCKET, Surroundings};
use crate::configuration::master_cf::hop_password_table;
use crate::configuration::{main_cf, master_cf};
use crate::files::QUEUE;
use crate::maillog::events::{self, Events};
use crate::maillog::format::Format;
use crate::maillog::pump::{Pump, Ways};
use crate::maillog::redact::{self, Redactor};
use crate::network::{gateways, resolver};
use crate::running::signals::{Inbox, Signal};
use crate::running::supervise::{self, Ending};
use crate::settings::{NextHops, Settings, networks};
use crate::{files, log, sidecar};

/// `/etc/postfix` of the image leads here, on a tmpfs.
const MAIN_CF: &str = "/run/postfix/main.cf";
pub const MASTER_CF: &str = "/run/postfix/master.cf";

/// Where Postfix's postlogd listens.
const LOG_SOCKET: &str = "/var/spool/postfix/public/postlog";

const POSTMAP: &str = "/usr/sbin/postmap";
const POSTSUPER: &str = "/usr/sbin/postsuper";
const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// How long the sidecar is waited for before port 25, which works without it, is opened.
const SIDECAR_PATIENCE: Duration = Duration::from_secs(30);
const SIDECAR_POLL: Duration = Duration::from_millis(100);
/// How often the wait is said.
const SIDECAR_REPORT: Duration = Duration::from_secs(5);
/// How often a program that does its work and ends is looked after.
const PROGRAM_POLL: Duration = Duration::from_millis(50);
/// How old a file of Postfix must be to be taken as it is.
const SETTLED: Duration = Duration::from_secs(5);
/// What standard output gets for the last lines of the log.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// A signal asked for the end before Postfix ran.
#[derive(Debug, thiserror::Error)]
#[error("stopped before Postfix was started")]
struct StopAsked;

/// Runs until Postfix has ended.
pub fn run(settings: Settings) -> anyhow::Result<Ending> {
    let signals = Inbox::open().context("cannot take over signals")?;
    supervise::adopt_orphans().context("cannot adopt orphaned processes")?;
    files::claim_queue()?;
    files::prepare_folders()?;
    let certificates = watcher::prepare(&settings, SystemTime::now())?;
    warn(&settings);
    let surroundings = look_around(&settings)?;
    warn_about_gateways(&settings, &surroundings.dangerous);
    let main_cf = main_cf::build(&settings, &surroundings).to_string();
    write_configuration(Path::new(MAIN_CF), &main_cf)?;
    write_configuration(Path::new(MASTER_CF), &master_cf::build(&settings).to_string())?;
    make_overdue_messages_due();
    let events = Events::to(PathBuf::from(events::SOCKET)).context("cannot make a socket")?;
    let mut pump =
        start_pump(&settings, events.clone()).context("cannot make a way for Postfix's log")?;
    events::report_queue(events, PathBuf::from(QUEUE)).context("cannot start a thread")?;
    let ending = run_postfix(settings, &signals, &mut pump, certificates);
    pump.finish(LOG_PATIENCE);
    match ending {
        Err(error) if error.is::<StopAsked>() => {
            log::info(error);
            Ok(Ending::Stopped)
        }
        other => other,
    }
}

fn start_pump(settings: &Settings, events: Events) -> std::io::Result<Pump> {
    let redactor = Redactor::new(settings.log_redaction, Path::new(redact::KEY_FILE));
    let ways = Ways {
        format: Format { format: settings.log_format, redactor },
        output: std::io::stdout().as_fd().try_clone_to_owned()?,
        events,
        overflow_folder: PathBuf::from(QUEUE),
    };
    Pump::start(Path::new(LOG_SOCKET), ways)
}

/// The clock may have been set back since the queue was written.
fn make_overdue_messages_due() {
    let count = clock::make_due(Path::new(QUEUE), SystemTime::now());
    if count > 0 {
        log::warning(format_args!(
            "{count} messages in the queue were to wait until a time that is far ahead, so the clock \
             was set back; they are due now"
        ));
    }
}

/// Every program of Postfix dozes until main.cf is some seconds old, lest somebody is still writing
/// it. This file appears whole, so it may look old at once, which saves 1.5 s of each start.
fn write_configuration(path: &Path, text: &str) -> anyhow::Result<()> {
    files::write_atomically(path, text.as_bytes(), 0o644)?;
    let file = File::options().write(true).open(path)?;
    file.set_modified(SystemTime::now() - SETTLED)?;
    Ok(())
}

fn run_postfix(
    mut settings: Settings,
    signals: &Inbox,
    pump: &mut Pump,
    certificates: Watcher,
) -> anyhow::Result<Ending> {
    let time_zone = settings.time_zone.clone();
    let zone = time_zone.as_deref();
    write_password_tables(&settings.next_hops, zone, signals, pump)?;
    settings.next_hops.forget_passwords();
    // As `postfix start` does: finds queue files in the wrong place, say after a restored backup.
    run_program(&mut program(POSTSUPER, zone), signals, pump)?;
    if settings.login {
        await_sidecar(signals)?;
    }
    // -s keeps standard output for the log; the session and process group are master's own.
    let mut master = program(MASTER, zone);
    master.arg("-s").stdout(pump.stdio()?).stderr(pump.stdio()?);
    // Without these, master writes to syslog until it has read master.cf, and there is no syslog.
    master.env("POSTLOG_SERVICE", LOG_SOCKET).env("POSTLOG_HOSTNAME", &settings.hostname);
    let master = supervise::start(&mut master).context("cannot start Postfix's master")?;
    pump.close();
    Ok(supervise::look_after(master, signals, pump, settings.drain, certificates))
}

/// A program of Postfix with what it needs of the environment, which is nearly nothing: no secret
/// of ours is in the environment of a process that talks to strangers.
fn program(path: &str, time_zone: Option<&OsStr>) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("LANG", "C");
    if let Some(time_zone) = time_zone {
        command.env("TZ", time_zone);
    }
    command.stdin(std::process::Stdio::null()).current_dir("/");
    command
}

fn run_program(command: &mut Command, signals: &Inbox, pump: &Pump) -> anyhow::Result<()> {
    let name = Path::new(command.get_program()).display().to_string();
    command.stdout(pump.stdio()?).stderr(pump.stdio()?);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{name} ended with {status}; its lines before this one say why");
            }
            return Ok(());
        }
        if signals.wait(PROGRAM_POLL) == Some(Signal::Stop) {
            child.kill()?;
            child.wait()?;
            return Err(StopAsked.into());
        }
    }
}

/// Makes Postfix's tables of the logins, and keeps no other copy of them.
fn write_password_tables(
    hops: &NextHops,
    zone: Option<&OsStr>,
    signals: &Inbox,
    pump: &Pump,
) -> anyhow::Result<()> {
    let mut tables = vec![(PASSWORD_TABLE.to_owned(), hops.password_lines())];
    tables.extend(hops.by_sender.iter().zip(1..).map(|(entry, number)| {
        (hop_password_table(number), entry.hop.password_line().into_iter().collect())
    }));
    tables.retain(|(_, lines)| !lines.is_empty());
    let mut postmap = program(POSTMAP, zone);
    for (path, lines) in &tables {
        let mut text = Zeroizing::new(String::new());
        // Room for all of it, because a string that grows leaves copies behind.
        text.reserve(lines.iter().map(|line| line.reveal().len()).sum());
        lines.iter().for_each(|line| text.push_str(line.reveal()));
        files::write_atomically(Path::new(path), text.as_bytes(), 0o600)?;
        postmap.arg(format!("lmdb:{path}"));
    }
    if tables.is_empty() {
        return Ok(());
    }
    let result = run_program(&mut postmap, signals, pump);
    for (path, _) in &tables {
        fs::remove_file(path).with_context(|| format!("cannot remove {path}"))?;
    }
    result
}

/// Says what works, but should be known.
pub fn warn(settings: &Settings) {
    settings.warnings.iter().for_each(log::warning);
}

/// What Postfix's files depend on besides the settings.
pub fn look_around(settings: &Settings) -> anyhow::Result<Surroundings> {
    let dangerous = gateways::discover().context("cannot read this container's addresses")?;
    let mut surroundings = Surroundings { dangerous, validating_resolver: false };
    resolver::look(settings, &mut surroundings);
    Ok(surroundings)
}

/// A smtpd without the SASL socket ends at its first client, and its port is closed for a while. So
/// the sidecar comes first, if it comes.
fn await_sidecar(signals: &Inbox) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut reported = Duration::ZERO;
    loop {
        let Err(error) = sidecar::shake_hands(Path::new(SASL_SOCKET)) else {
            return Ok(());
        };
        let waited = start.elapsed();
        if waited >= SIDECAR_PATIENCE {
            log::warning(format_args!(
                "the sidecar does not answer on {SASL_SOCKET} ({error}); starting without it: \
                 logins fail and mail is deferred until it is there"
            ));
            return Ok(());
        }
        if waited >= reported + SIDECAR_REPORT {
            reported = waited;
            log::info(format_args!("waiting for the sidecar on {SASL_SOCKET} ({error})"));
        }
        if signals.wait(SIDECAR_POLL) == Some(Signal::Stop) {
            return Err(StopAsked.into());
        }
    }
}

fn warn_about_gateways(settings: &Settings, dangerous: &BTreeSet<IpAddr>) {
    for network in &settings.allowed_networks {
        let covered: Vec<String> =
            gateways::covered(dangerous, network).map(ToString::to_string).collect();
        if covered.is_empty() {
            continue;
        }
        let consequence = match settings.trust_gateway {
            true => {
                "with TRUST_GATEWAY=true whoever comes from there may send, and behind a \
                     published port that can be everybody"
            }
            false => {
                "whoever comes from there must log in, because behind a published port that \
                      can be everybody"
            }
        };
        log::warning(format_args!(
            "ALLOWED_NETWORKS {} covers {}, which are gateways or addresses of this container: \
             {consequence}",
            networks::in_postfix_form(network),
            covered.join(", ")
        ));
    }
}
