//! The only wiring: who gets which handle. Sockets are bound before anything slow.

mod database;
mod first_user;
pub mod metrics;
mod scan;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};

use anyhow::Context as _;
use tokio::net::UnixDatagram;
use tokio_util::sync::CancellationToken;

use crate::access::Rules;
use crate::access::networks::Networks;
use crate::alerts::Alerts;
use crate::config::{Config, PasswordConfig};
use crate::decision::Decider;
use crate::dkim::choice::Rules as DkimRules;
use crate::events;
use crate::gateways::Gateways;
use crate::http::{self, HttpService};
use crate::labels::Label;
use crate::ledger::Ledger;
use crate::listener::{Connection, Listener, MAX_CONNECTIONS, bind_unix};
use crate::logging::Log;
use crate::milter::callbacks::{MilterService, callbacks};
use crate::milter::header_edits::HeaderRules;
use crate::milter::intake::{Budget, Intake};
use crate::milter::rewriting::Rewriting;
use crate::password::cache::VerifiedCache;
use crate::password::pool::HashingPool;
use crate::policy::session as policy;
use crate::sasl::authenticator::{Authenticator, Dependencies};
use crate::sasl::session::{self as sasl, REFUSAL_DELAY, SaslService};
use crate::service::{Service, ServiceMetrics};
use crate::shutdown::{DRAIN, Shutdown};
use crate::signing::keyring::Keyring;
use crate::signing::pool::SigningPool;
use crate::signing::upkeep;
use crate::store::UserStore;
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
    let services = build(config, &metrics)?;

    let shutdown = Shutdown::default();
    let stopping = shutdown.stopping.clone();
    // The ledger is written one last time after everybody who counts has ended.
    let ledger_stopping = CancellationToken::new();
    let ledger_task = tokio::spawn(services.ledger.run(ledger_stopping.clone()));
    tokio::spawn(log.watch(metrics.log_lines_dropped));
    shutdown.tasks.spawn(services.gateways.watch(services.networks, stopping.clone()));
    shutdown.tasks.spawn(events::count(events, metrics.events, stopping.clone()));
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

struct Services {
    sasl: Arc<SaslService>,
    decider: Arc<Decider>,
    milter: Arc<MilterService>,
    http: Arc<HttpService>,
    ledger: Arc<Ledger>,
    gateways: Gateways,
    networks: Networks,
    store: UserStore,
}

fn build(config: Config, metrics: &Metrics) -> anyhow::Result<Services> {
    let store = UserStore::open(&config.data_folder)?;
    let PasswordConfig { cost, threads, cache_size, cache_lifetime } = config.passwords;
    if let Some(first_user) = &config.first_user {
        first_user::ensure(&store, first_user, cost)
            .context("creating the user of SMTP_USERNAME")?;
    }
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let networks = Networks::new(config.access.allowed_networks);
    let gateways = Gateways::new(config.access.trust_gateway, &networks);
    let limits = config.limits;
    let ledger = Arc::new(Ledger::new(store.clone(), limits.sending, limits.trust));
    let authenticator = Authenticator::new(Dependencies {
        store: store.clone(),
        ledger: Arc::clone(&ledger),
        pool: HashingPool::start(threads, &metrics.pool).context("starting the hashing threads")?,
        cache: VerifiedCache::new(cache_size, cache_lifetime)?,
        guess_limits: limits.guessing,
        gateways: gateways.clone(),
        cost,
        enabled: config.access.login_enabled,
        metrics: metrics.auth.clone(),
    })?;
    let rules = Rules {
        networks: networks.clone(),
        login_enabled: config.access.login_enabled,
        network_senders: config.access.sender_domains,
    };
    let decider = Arc::new(Decider {
        rules,
        gateways: gateways.clone(),
        store: store.clone(),
        ledger: Arc::clone(&ledger),
        alerts: Alerts::start(config.alert_webhook).context("starting the thread for alerts")?,
        metrics: metrics.decisions.clone(),
    });
    let services = metrics.services.clone();
    let rewriting = rewriting(&store, config.dkim.rules, config.headers, metrics)?;
    let auth = metrics.auth.clone();
    let sasl = Arc::new(SaslService::new(authenticator, auth, services.clone(), REFUSAL_DELAY));
    metrics.watch(&store, &sasl);
    Ok(Services {
        sasl,
        milter: Arc::new(MilterService { decider: Arc::clone(&decider), services, rewriting }),
        decider,
        http: Arc::new(HttpService {
            store: store.clone(),
            registry: metrics.registry.clone(),
            token: config.http.token,
            tls: config.http.tls,
            ready: AtomicBool::new(false),
        }),
        ledger,
        gateways,
        networks,
        store,
    })
}

fn rewriting(
    store: &UserStore,
    rules: DkimRules,
    headers: HeaderRules,
    metrics: &Metrics,
) -> anyhow::Result<Rewriting> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Rewriting {
        keyring: Keyring::new(store.clone(), rules),
        pool: SigningPool::start(threads).context("starting the signing threads")?,
        metrics: metrics.dkim.clone(),
        headers,
    })
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
