//! The only wiring: who gets which handle. Sockets are bound before anything slow.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::access::Rules;
use crate::access::gateways;
use crate::access::networks::Networks;
use crate::cli::user::now;
use crate::config::{AccessConfig, Config, FirstUser};
use crate::http::{self, HttpService};
use crate::listener::{Connection, Listener, MAX_CONNECTIONS};
use crate::metrics::{Metrics, Service};
use crate::milter::callbacks::{MilterService, callbacks};
use crate::password::pool::HashingPool;
use crate::password::{self, Arena, Cost};
use crate::policy::session::{self as policy, PolicyService};
use crate::sasl::authenticator::Authenticator;
use crate::sasl::session::{self as sasl, SaslService};
use crate::shutdown::{DRAIN, Shutdown};
use crate::users::User;
use crate::users::store::{ChangeError, UserStore};

/// Runs until a signal. Returns when everything has ended, or the deadline is over.
///
/// # Errors
///
/// Only at start: a socket in use, a database that cannot be opened.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let metrics = Metrics::new()?;
    let sockets = &config.sockets;
    let sasl = Listener::bind(&sockets.sasl, Service::Sasl, &metrics).await?;
    let policy = Listener::bind(&sockets.policy, Service::Policy, &metrics).await?;
    let milter = Listener::bind(&sockets.milter, Service::Milter, &metrics).await?;
    let http = Listener::bind(&sockets.http, Service::Http, &metrics).await?;

    let store = open_store(&config.data_folder)?;
    let cost = config.passwords.cost;
    if let Some(first_user) = &config.first_user {
        ensure_user(&store, first_user, cost).context("creating the user of SMTP_USERNAME")?;
    }
    let pool = HashingPool::start(config.passwords.threads, &metrics)
        .context("starting the hashing threads")?;
    let login_enabled = config.access.login_enabled;
    let authenticator = Authenticator::new(store.clone(), pool, cost, login_enabled)?;
    let rules = Arc::new(rules(&config.access));

    let shutdown = Shutdown::default();
    let sasl_service = Arc::new(SaslService::new(authenticator, metrics.clone()));
    serve_sasl(sasl, sasl_service, &shutdown);
    let policy_service =
        PolicyService { rules: Arc::clone(&rules), store: store.clone(), metrics: metrics.clone() };
    serve_policy(policy, Arc::new(policy_service), &shutdown);
    let milter_service = MilterService { rules, store: store.clone(), metrics: metrics.clone() };
    serve_milter(milter, &Arc::new(milter_service), &shutdown);
    let http_service = Arc::new(HttpService { store, metrics, ready: AtomicBool::new(true) });
    serve_http(http, Arc::clone(&http_service), &shutdown);

    tracing::info!(
        sasl = %sockets.sasl, policy = %sockets.policy, milter = %sockets.milter,
        http = %sockets.http, "ready"
    );
    let signal = shutdown.signalled().await.context("installing signal handlers")?;
    http_service.ready.store(false, Ordering::Release);
    tracing::info!(signal, "stopping");
    if !shutdown.drain(DRAIN).await {
        tracing::warn!("stopped with work in progress: its clients are told to come back");
    }
    Ok(())
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

/// The rules, with the gateways that the kernel knows taken out of the allowed networks.
fn rules(config: &AccessConfig) -> Rules {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut outsiders = gateways::in_ipv4_routes(&read("/proc/net/route"));
    outsiders.extend(gateways::in_ipv6_routes(&read("/proc/net/ipv6_route")));
    outsiders.extend(gateways::own_ipv4(&read("/proc/net/fib_trie")));
    outsiders.extend(gateways::own_ipv6(&read("/proc/net/if_inet6")));
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
    Rules { networks, login_enabled: config.login_enabled }
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
