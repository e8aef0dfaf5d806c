//! The only wiring. Sockets are bound before anything slow; `build` says who gets which handle.

mod alerting;
mod build;
mod checkup;
mod database;
mod database_metrics;
mod first_user;
mod fleet;
pub mod metrics;
mod scan;

use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};

use anyhow::Context as _;
use tokio::net::{UnixDatagram, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DoctorConfig};
use crate::control::{self, Desk};
use crate::decision::Decider;
use crate::events;
use crate::http::{self, HttpService};
use crate::labels::Label;
use crate::listener::{Connection, Listener, MAX_CONNECTIONS, bind_unix};
use crate::logging::Log;
use crate::milter::callbacks::{MilterService, callbacks};
use crate::milter::intake::{Budget, Intake};
use crate::policy::session as policy;
use crate::sasl::session::{self as sasl, SaslService};
use crate::service::{Service, ServiceMetrics};
use crate::shutdown::{DRAIN, Shutdown};
use crate::signing::upkeep;
use build::Services;
use checkup::Daily;
use metrics::Metrics;

/// Runs until a signal. Returns when everything has ended, or the deadline has passed.
///
/// # Errors
///
/// Only at start: a socket in use, a database that cannot be opened.
pub async fn run(config: Config, log: &Log) -> anyhow::Result<()> {
    let metrics = Metrics::register(config.http.users)?;
    let sockets = config.sockets.clone();
    let counts = metrics.services.clone();
    let sasl = Listener::bind(&sockets.sasl, Service::Sasl, &counts).await?;
    let policy = Listener::bind(&sockets.policy, Service::Policy, &counts).await?;
    let milter = Listener::bind(&sockets.milter, Service::Milter, &counts).await?;
    let http = Listener::bind(&sockets.http, Service::Http, &counts).await?;
    let events = bind_unix(&sockets.events, |path| UnixDatagram::bind(path))
        .with_context(|| format!("cannot listen on unix:{}", sockets.events.display()))?;
    let dkim = config.dkim.clone();
    let doctor = config.doctor.clone();
    let data_folder = config.data_folder.clone();
    let shutdown = Shutdown::default();
    let stopping = shutdown.stopping.clone();
    let (store, fleet) = tokio::select! {
        opened = database::open(&config, &stopping) => opened?,
        // Joining a fleet may take a while.
        signal = shutdown.signalled() => {
            tracing::info!(signal = %signal.context("installing signal handlers")?, "stopping");
            return Ok(());
        }
    };
    let services = build::build(config, store, &metrics)?;
    // The ledger is written one last time after everybody who counts has ended.
    let ledger_stopping = CancellationToken::new();
    watch_over(&sockets.alerts, &services, &stopping);
    if doctor.daily {
        tokio::spawn(daily(doctor, data_folder.clone(), &services).run(stopping.clone()));
    }
    if let Some(fleet) = fleet {
        metrics.watch_fleet(&fleet.state);
        fleet.start(&services, &stopping, ledger_stopping.clone());
    }
    answer_commands(&data_folder, &services, &stopping);
    let ledger_task = tokio::spawn(services.ledger.run(ledger_stopping.clone()));
    tokio::spawn(log.watch(metrics.log_lines_dropped));
    shutdown.tasks.spawn(services.gateways.watch(services.networks, stopping.clone()));
    let history = services.overview.history.clone();
    shutdown.tasks.spawn(events::count(events, metrics.events, history, stopping.clone()));
    shutdown.tasks.spawn(services.overview.keep(stopping.clone()));
    serve_sasl(sasl, services.sasl, &shutdown);
    serve_policy(policy, services.decider, counts, &shutdown);
    serve_milter(milter, &services.milter, &shutdown);
    serve_http(http, Arc::clone(&services.http), &shutdown);
    services.http.ready.store(true, Ordering::Release);
    tracing::info!(
        sasl = %sockets.sasl, policy = %sockets.policy, milter = %sockets.milter,
        http = %sockets.http, "ready"
    );
    let keys_kept = upkeep::run(services.store.clone(), dkim.domains, dkim.rules, stopping.clone());
    tokio::spawn(keys_kept);
    scan::start(services.store, metrics.decisions.suspended, stopping);

    let signal = shutdown.signalled().await.context("installing signal handlers")?;
    services.http.ready.store(false, Ordering::Release);
    tracing::info!(%signal, "stopping");
    if !shutdown.drain(DRAIN).await {
        tracing::warn!("stopped with work in progress; its clients are told to try again later");
    }
    ledger_stopping.cancel();
    ledger_task.await.context("saving what was counted")
}

/// Answers `relay status` and its like until the process stops.
fn answer_commands(folder: &Path, services: &Services, stopping: &CancellationToken) {
    match control::bind(folder) {
        Ok(socket) => {
            let desk =
                Desk { overview: services.overview.clone(), alerts: services.alerts.clone() };
            tokio::spawn(control::serve(socket, desk, stopping.clone()));
        }
        // Mail goes on without it, as with a volume that is full.
        Err(error) => tracing::error!(
            %error, folder = %folder.display(),
            "relay status, relay top and relay history do not work: cannot make their socket"
        ),
    }
}

/// Alerts: raised by what the figures say, and handed to whoever mails them.
fn watch_over(socket: &Path, services: &Services, stopping: &CancellationToken) {
    let (alerts, overview) = (services.alerts.clone(), services.overview.clone());
    if let Some(outbox) = alerts.outbox.clone() {
        match bind_for_alerts(socket) {
            Ok(listener) => drop(tokio::spawn(outbox.serve(listener, stopping.clone()))),
            // Mail matters more than alerts about it.
            Err(error) => tracing::error!(
                %error, socket = %socket.display(),
                "alerts are not mailed, because relay-init cannot ask for them here"
            ),
        }
    }
    tokio::spawn(alerting::run(alerts, overview, stopping.clone()));
}

/// What the daily run of `relay doctor` needs.
fn daily(config: DoctorConfig, folder: PathBuf, services: &Services) -> Daily {
    Daily {
        config,
        folder,
        store: services.store.clone(),
        overview: services.overview.clone(),
        alerts: services.alerts.clone(),
    }
}

/// Alerts name users, and whoever takes them keeps them from being mailed: relay-init, which is root, needs no
/// permission, and Postfix's processes get none.
fn bind_for_alerts(path: &Path) -> io::Result<UnixListener> {
    let listener = bind_unix(path, |path| UnixListener::bind(path))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Accepts until the process stops, with a task for every connection.
fn accept_loop<F: Future<Output = ()> + Send + 'static>(
    mut listener: Listener,
    shutdown: &Shutdown,
    session: impl Fn(Connection) -> F + Send + 'static,
) {
    let (stopping, tasks) = (shutdown.stopping.clone(), shutdown.tasks.clone());
    shutdown.tasks.spawn(async move {
        loop {
            tokio::select! {
                connection = listener.accept() => tasks.spawn(session(connection)),
                () = stopping.cancelled() => return,
            };
        }
    });
}

fn serve_sasl(listener: Listener, service: Arc<SaslService>, shutdown: &Shutdown) {
    let stopping = shutdown.stopping.clone();
    accept_loop(listener, shutdown, move |connection| {
        let session = sasl::serve(connection, Arc::clone(&service), stopping.clone());
        async move { log_end(Service::Sasl, session.await) }
    });
}

fn serve_policy(
    listener: Listener,
    decider: Arc<Decider>,
    services: ServiceMetrics,
    shutdown: &Shutdown,
) {
    let stopping = shutdown.stopping.clone();
    accept_loop(listener, shutdown, move |connection| {
        let session = policy::serve(connection, Arc::clone(&decider), stopping.clone());
        let services = services.clone();
        async move {
            let end = session.await;
            if end.is_err() {
                services.trouble.inc(Service::Policy);
            }
            log_end(Service::Policy, end);
        }
    });
}

/// A listener as indymilter wants it.
struct MilterListener {
    listener: Listener,
    budget: Budget,
}

impl indymilter::Listener for MilterListener {
    type Io = Intake<Connection>;

    /// Never an error: indymilter ends its service at the first one.
    fn poll_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Self::Io>> {
        let accepted = self.listener.poll_next(cx);
        accepted.map(|connection| Ok(Intake::new(connection, &self.budget)))
    }
}

fn serve_milter(listener: Listener, service: &Arc<MilterService>, shutdown: &Shutdown) {
    let callbacks = callbacks(service);
    // The listener has the limit, and counts; indymilter's own would leave the rest hanging.
    let config =
        indymilter::Config { max_connections: MAX_CONNECTIONS, ..indymilter::Config::default() };
    let stopping = shutdown.stopping.clone().cancelled_owned();
    let listener = MilterListener { listener, budget: Budget::default() };
    shutdown.tasks.spawn(async move {
        if let Err(error) = indymilter::run(listener, callbacks, config, stopping).await {
            tracing::error!(%error, "the milter has ended; restart the container");
        }
    });
}

fn serve_http(listener: Listener, service: Arc<HttpService>, shutdown: &Shutdown) {
    let stopping = shutdown.stopping.clone();
    accept_loop(listener, shutdown, move |connection| {
        http::serve(connection, Arc::clone(&service), stopping.clone())
    });
}

fn log_end<E: std::fmt::Display>(service: Service, end: Result<(), E>) {
    if let Err(error) = end {
        tracing::warn!(service = service.label(), %error, "connection ended early");
    }
}
