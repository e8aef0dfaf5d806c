//! The start: queue, folders, certificates, Postfix's files, and then Postfix itself.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use super::claim::Claim;
use super::programs::{self, MASTER, POSTSUPER, StopRequested, program};
use super::signals::{Inbox, Signal};
use super::supervise::{self, Ending, Watchers};
use super::{addresses, children, clock, folders, leftovers, passwords};
use crate::certificates::watcher::Watcher;
use crate::configuration::Configuration;
use crate::configuration::files::{self, MAIN_CF, MASTER_CF};
use crate::configuration::host::{Host, gateway_warnings};
use crate::log;
use crate::maillog::events::{Events, Smarthosts};
use crate::maillog::facts::Facts;
use crate::maillog::format::Format;
use crate::maillog::pump::{Pump, Sinks};
use crate::maillog::redact::{self, Redactor};
use crate::maillog::report;
use crate::queue::directory::QUEUE_DIRECTORY;
use crate::settings::Settings;
use crate::settings::next_hop::NextHop;
use crate::settings::smarthosts::NextHops;
use crate::sidecar::{self, EVENTS_SOCKET, SASL_SOCKET};
use crate::{alerts, balancer};

/// Where Postfix's postlogd listens.
const LOG_SOCKET: &str = "/var/spool/postfix/public/postlog";

/// How long to wait for the sidecar. After that Postfix is started without it, so that port 25, which
/// needs no SASL socket, is open.
const SIDECAR_TIMEOUT: Duration = Duration::from_secs(30);
const SIDECAR_POLL: Duration = Duration::from_millis(100);
/// How often the wait is logged.
const SIDECAR_REPORT: Duration = Duration::from_secs(5);
/// How long standard output may stall before the last lines of the log are given up.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs Postfix until it has ended.
pub fn run(configuration: Configuration) -> anyhow::Result<Ending> {
    let signals = Inbox::open().context("cannot take over signals")?;
    children::adopt_orphans().context("cannot adopt orphaned processes")?;
    folders::prepare_for_claim()?;
    // Held to the end of this function, when nothing of Postfix is left.
    let mut claim = Claim::take()?;
    folders::prepare()?;
    remove_leftovers();
    claim.make_way_for_master();
    let settings = &configuration.settings;
    let client = settings.next_hops.client_pair.as_ref();
    let now = SystemTime::now();
    let certificates = Watcher::start(&settings.tls, &settings.hostname, client, now)?;
    warn(settings);
    let host = Host::probe(settings)?;
    gateway_warnings(settings, &host.untrusted).iter().for_each(log::warning);
    files::write(Path::new(MAIN_CF), &configuration.main_cf(&host).to_string())?;
    files::write(Path::new(MASTER_CF), &configuration.master_cf().to_string())?;
    reschedule_messages();
    listen_for_balancers(&configuration)?;
    let events =
        Events::to(PathBuf::from(EVENTS_SOCKET)).context("cannot create a datagram socket")?;
    let mut pump = start_pump(settings, events.clone()).context("cannot set up Postfix's log")?;
    let facts = events.facts().clone();
    facts.certificates(certificates.state());
    let recipients = settings.alert_mail.clone();
    if !recipients.0.is_empty() {
        alerts::start(recipients, settings.hostname.clone()).context("cannot start a thread")?;
    }
    report::start(events, PathBuf::from(QUEUE_DIRECTORY)).context("cannot start a thread")?;
    let ending = run_postfix(configuration, host, &signals, &mut pump, (certificates, facts));
    pump.finish(LOG_TIMEOUT);
    match ending {
        Err(error) if error.is::<StopRequested>() => {
            log::info(error);
            Ok(Ending::Stopped)
        }
        other => other,
    }
}

/// Before Postfix starts, so that a port in use is told at once; who comes early finds no smtpd and is closed.
fn listen_for_balancers(configuration: &Configuration) -> anyhow::Result<()> {
    let settings = &configuration.settings;
    let services = configuration.master_cf().services;
    let ports: Vec<u16> =
        services.iter().filter_map(|service| balancer::port_of_service(&service.name)).collect();
    balancer::start(&settings.proxy_from, settings.protocols, &ports)
}

/// Logs what works, but the operator should know.
pub fn warn(settings: &Settings) {
    settings.warnings.iter().for_each(log::warning);
}

fn start_pump(settings: &Settings, events: Events) -> std::io::Result<Pump> {
    let redactor = Redactor::new(settings.log_redaction, Path::new(redact::KEY_FILE));
    let sinks = Sinks {
        format: Format { format: settings.log_format, redactor },
        detail: settings.log_detail,
        output: std::io::stdout().as_fd().try_clone_to_owned()?,
        events,
        smarthosts: smarthosts(&settings.next_hops),
        overflow_folder: PathBuf::from(QUEUE_DIRECTORY),
    };
    Pump::start(Path::new(LOG_SOCKET), sinks)
}

fn smarthosts(next_hops: &NextHops) -> Smarthosts {
    let by_sender = next_hops.by_sender.iter().map(|entry| &entry.hop);
    let hops = next_hops.main.iter().chain(&next_hops.fallback).chain(by_sender);
    Smarthosts { all: next_hops.main.is_some(), hosts: hops.map(NextHop::host).collect() }
}

/// The queue is ours now, and no program of Postfix runs yet: nobody can own such a file.
fn remove_leftovers() {
    let count = leftovers::remove(Path::new(QUEUE_DIRECTORY));
    if count > 0 {
        log::info(format_args!(
            "removed {} (0 bytes) that a killed Postfix left in the queue; no mail is lost",
            log::counted(count, "empty temporary file", "empty temporary files")
        ));
    }
}

/// The clock may have been set back since the queue was written.
fn reschedule_messages() {
    let count = clock::reschedule(Path::new(QUEUE_DIRECTORY), SystemTime::now());
    if count > 0 {
        log::warning(format_args!(
            "the clock was set back; rescheduled {} for delivery now",
            log::counted(count, "queued message", "queued messages")
        ));
    }
}

fn run_postfix(
    mut configuration: Configuration,
    host: Host,
    signals: &Inbox,
    pump: &mut Pump,
    (certificates, facts): (Watcher, Facts),
) -> anyhow::Result<Ending> {
    let time_zone = configuration.settings.time_zone.clone();
    let time_zone = time_zone.as_deref();
    passwords::write_tables(&configuration.settings.next_hops, time_zone, signals, pump)?;
    configuration.settings.next_hops.wipe_passwords();
    // As `postfix start` does: finds queue files in the wrong place, for instance after a restored
    // backup.
    programs::run(&mut program(POSTSUPER, time_zone), signals, pump)?;
    let grace_period = configuration.settings.drain;
    if configuration.settings.login {
        await_sidecar(signals)?;
    }
    // With -s master keeps its standard output, and makes a session and process group of its own.
    let mut master = program(MASTER, time_zone);
    master.arg("-s").stdout(pump.stdio()?).stderr(pump.stdio()?);
    // Without these, master logs to syslog until it has read master.cf, and there is no syslog.
    master
        .env("POSTLOG_SERVICE", LOG_SOCKET)
        .env("POSTLOG_HOSTNAME", &configuration.settings.hostname);
    let master = children::spawn(&mut master).context("cannot start Postfix's master")?;
    pump.close();
    let watchers =
        Watchers { certificates, facts, addresses: addresses::Watcher::new(configuration, host) };
    Ok(supervise::supervise(master, signals, pump, grace_period, watchers))
}

/// An smtpd without the SASL socket exits at its first client, and master throttles its port. So the
/// sidecar comes first, if it comes at all.
fn await_sidecar(signals: &Inbox) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut reported = Duration::ZERO;
    loop {
        let Err(error) = sidecar::shake_hands(Path::new(SASL_SOCKET)) else {
            return Ok(());
        };
        let waited = start.elapsed();
        if waited >= SIDECAR_TIMEOUT {
            log::warning(format_args!(
                "the sidecar does not answer on {SASL_SOCKET} ({error}); starting Postfix without it: \
                 logins fail and mail is deferred until it is up"
            ));
            return Ok(());
        }
        if waited >= reported + SIDECAR_REPORT {
            reported = waited;
            log::info(format_args!("waiting for the sidecar on {SASL_SOCKET} ({error})"));
        }
        if signals.wait(SIDECAR_POLL) == Some(Signal::Stop) {
            return Err(StopRequested.into());
        }
    }
}
