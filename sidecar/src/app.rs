//! The only wiring: who gets which handle. Sockets are bound before anything slow.

use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::net::UnixDatagram;
use tokio_util::sync::CancellationToken;

use crate::access::Rules;
use crate::access::gateways;
use crate::access::networks::Networks;
use crate::alerts::Alerts;
use crate::config::{AccessConfig, Config, FirstUser, PasswordConfig};
use crate::events;
use crate::http::{self, HttpService};
use crate::ledger::Ledger;
use crate::listener::{Connection, Listener, MAX_CONNECTIONS, bind_unix};
use crate::metrics::{Metrics, Service};
use crate::milter::callbacks::{MilterService, callbacks};
use crate::password::cache::VerifiedCache;
use crate::password::pool::HashingPool;
use crate::password::{self, Arena, Cost};
use crate::policy::session::{self as policy, PolicyService};
use crate::sasl::authenticator::{Authenticator, Parts};
use crate::sasl::session::{self as sasl, REFUSAL_DELAY, SaslService};
use crate::shutdown::{DRAIN, Shutdown};
use crate::users::store::{ChangeError, UserStore};
use crate::users::{User, now};

/// Runs until a signal. Returns when everything has ended, or the deadline is over.
///
/// # Errors
///
/// Only at start: a socket in use, a database that cannot be opened.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let metrics = Metrics::new()?;
    let sockets = config.sockets.clone();
    let sasl = Listener::bind(&sockets.sasl, Service::Sasl, &metrics).await?;
    let policy = Listener::bind(&sockets.policy, Service::Policy, &metrics).await?;
    let milter = Listener::bind(&sockets.milter, Service::Milter, &metrics).await?;
    let http = Listener::bind(&sockets.http, Service::Http, &metrics).await?;
    let events = bind_unix(&sockets.events, |path| UnixDatagram::bind(path))
        .with_context(|| format!("cannot listen on unix:{}", sockets.events.display()))?;
    let services = build(config, metrics.clone())?;

    let shutdown = Shutdown::default();
    // The ledger is written a last time after everybody who counts has ended.
    let ledger_stopping = CancellationToken::new();
    let ledger_task = tokio::spawn(services.ledger.run(ledger_stopping.clone()));
    serve_sasl(sasl, services.sasl, &shutdown);
    serve_policy(policy, services.policy, &shutdown);
    serve_milter(milter, &services.milter, &shutdown);
    serve_http(http, Arc::clone(&services.http), &shutdown);
    shutdown.tasks.spawn(events::count(events, metrics, shutdown.stopping.clone()));
    services.http.ready.store(true, Ordering::Release);
    tracing::info!(
        sasl = %sockets.sasl, policy = %sockets.policy, milter = %sockets.milter,
        http = %sockets.http, "ready"
    );

    let signal = shutdown.signalled().await.context("installing signal handlers")?;
    services.http.ready.store(false, Ordering::Release);
    tracing::info!(%signal, "stopping");
    if !shutdown.drain(DRAIN).await {
        tracing::warn!("stopped with work in progress: its clients are told to come back");
    }
    ledger_stopping.cancel();
    ledger_task.await.context("writing what was counted")
}

struct Services {
    sasl: Arc<SaslService>,
    policy: Arc<PolicyService>,
    milter: Arc<MilterService>,
    http: Arc<HttpService>,
    ledger: Arc<Ledger>,
}

fn build(config: Config, metrics: Metrics) -> anyhow::Result<Services> {
    let store = open_store(&config.data_folder)?;
    let PasswordConfig { cost, threads, cache_size, cache_lifetime } = config.passwords;
    if let Some(first_user) = &config.first_user {
        ensure_user(&store, first_user, cost).context("creating the user of SMTP_USERNAME")?;
    }
    let limits = config.limits;
    let outsiders = addresses_of_anybody();
    let ledger = Arc::new(Ledger::open(store.clone(), limits.sending, limits.trust)?);
    let authenticator = Authenticator::new(Parts {
        store: store.clone(),
        ledger: Arc::clone(&ledger),
        pool: HashingPool::start(threads, &metrics).context("starting the hashing threads")?,
        cache: VerifiedCache::new(cache_size, cache_lifetime)?,
        guess_limits: limits.guessing,
        gateways: outsiders.clone(),
        cost,
        enabled: config.access.login_enabled,
        metrics: metrics.clone(),
    })?;
    let rules = Arc::new(rules(config.access, outsiders));
    let policy = PolicyService {
        rules: Arc::clone(&rules),
        store: store.clone(),
        ledger: Arc::clone(&ledger),
        alerts: Alerts::start(config.alert_webhook).context("starting the thread of alerts")?,
        metrics: metrics.clone(),
    };
    Ok(Services {
        sasl: Arc::new(SaslService::new(authenticator, metrics.clone(), REFUSAL_DELAY)),
        policy: Arc::new(policy),
        milter: Arc::new(MilterService { rules, store: store.clone(), metrics: metrics.clone() }),
        http: Arc::new(HttpService { store, metrics, ready: AtomicBool::new(false) }),
        ledger,
    })
}

fn open_store(folder: &Path) -> anyhow::Result<UserStore> {
    let store = UserStore::open(folder)?;
    for (name, user) in store.list()? {
        if let Err(error) = user {
            tracing::error!(user = name, %error, "this user cannot log in");
        }
    }
    Ok(store)
}

/// Creates the user of `SMTP_USERNAME`, or gives it the password that the setting has now. Whether
/// it is enabled stays as an operator left it.
fn ensure_user(store: &UserStore, first: &FirstUser, cost: Cost) -> anyhow::Result<()> {
    let mut arena = Arena::default();
    let existing = store.get(&first.name)?;
    let has_password = existing.as_ref().is_some_and(|user| {
        user.credentials.iter().any(|credential| {
            password::verify(&first.password, &credential.hash, &mut arena).unwrap_or(false)
        })
    });
    if has_password {
        return Ok(());
    }
    let hash = password::hash(&first.password, cost, &mut arena)?;
    if existing.is_none() {
        match store.add(&first.name, &User::new(hash.clone(), now(), None)) {
            Ok(()) => {
                tracing::info!(user = %first.name, "user of SMTP_USERNAME created");
                return Ok(());
            }
            // Somebody added it this moment: it gets the password below.
            Err(ChangeError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    store.update(&first.name, |user| user.set_password(hash, now()))?;
    tracing::info!(user = %first.name, "user of SMTP_USERNAME has its new password");
    Ok(())
}

/// The gateways and own addresses that the kernel knows.
fn addresses_of_anybody() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut outsiders = gateways::in_ipv4_routes(&read("/proc/net/route"));
    outsiders.extend(gateways::in_ipv6_routes(&read("/proc/net/ipv6_route")));
    outsiders.extend(gateways::own_ipv4(&read("/proc/net/fib_trie")));
    outsiders.extend(gateways::own_ipv6(&read("/proc/net/if_inet6")));
    outsiders
}

/// The rules, with those addresses taken out of the allowed networks.
fn rules(config: AccessConfig, outsiders: Vec<IpAddr>) -> Rules {
    let networks = Networks::new(config.allowed_networks.clone(), outsiders);
    for (network, gateway) in networks.covering_a_gateway() {
        if config.trust_gateway {
            tracing::warn!(%network, %gateway, "TRUST_GATEWAY: whoever reaches this host through the gateway may send without login");
        } else {
            tracing::warn!(%network, %gateway, "ALLOWED_NETWORKS covers this container's gateway or own address, which is excluded: a stranger can appear under it");
        }
    }
    let networks = if config.trust_gateway {
        Networks::new(config.allowed_networks.clone(), Vec::new())
    } else {
        networks
    };
    Rules { networks, login_enabled: config.login_enabled, network_senders: config.sender_domains }
}

/// Accepts until the process stops, one task for each connection.
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

fn serve_policy(listener: Listener, service: Arc<PolicyService>, shutdown: &Shutdown) {
    let stopping = shutdown.stopping.clone();
    let metrics = service.metrics.clone();
    accept_loop(listener, shutdown, move |connection| {
        let session = policy::serve(connection, Arc::clone(&service), stopping.clone());
        let metrics = metrics.clone();
        async move {
            let end = session.await;
            if end.is_err() {
                metrics.trouble(Service::Policy);
            }
            log_end(Service::Policy, end);
        }
    });
}

fn serve_milter(listener: Listener, service: &Arc<MilterService>, shutdown: &Shutdown) {
    let callbacks = callbacks(service);
    // The listener has the limit, and counts; indymilter's own would let the rest hang in silence.
    let config =
        indymilter::Config { max_connections: MAX_CONNECTIONS, ..indymilter::Config::default() };
    let stopping = shutdown.stopping.clone().cancelled_owned();
    shutdown.tasks.spawn(async move {
        if let Err(error) = indymilter::run(listener, callbacks, config, stopping).await {
            tracing::error!(%error, "the milter ended; restart the container");
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
