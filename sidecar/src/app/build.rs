//! Who gets which handle.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use super::metrics::Metrics;
use crate::access::Rules;
use crate::access::networks::Networks;
use crate::alerts::Alerts;
use crate::config::{Config, HttpConfig, PasswordConfig};
use crate::decision::Decider;
use crate::dkim::choice::Rules as DkimRules;
use crate::gateways::Gateways;
use crate::http::HttpService;
use crate::ledger::Ledger;
use crate::limits::guessing::GuessLimits;
use crate::milter::callbacks::MilterService;
use crate::milter::header_edits::HeaderRules;
use crate::milter::rewriting::Rewriting;
use crate::overview::Overview;
use crate::password::cache::VerifiedCache;
use crate::password::pool::HashingPool;
use crate::recorder::Recorder;
use crate::sasl::authenticator::{Authenticator, Dependencies};
use crate::sasl::session::{REFUSAL_DELAY, SaslService};
use crate::signing::keyring::Keyring;
use crate::signing::pool::SigningPool;
use crate::store::UserStore;

/// What the services share.
pub struct Services {
    pub sasl: Arc<SaslService>,
    pub decider: Arc<Decider>,
    pub milter: Arc<MilterService>,
    pub http: Arc<HttpService>,
    pub ledger: Arc<Ledger>,
    pub gateways: Gateways,
    pub networks: Networks,
    pub store: UserStore,
    pub overview: Overview,
    pub alerts: Alerts,
}

/// Makes everything that the services share.
///
/// # Errors
///
/// When the system has no threads to give.
pub fn build(config: Config, store: UserStore, metrics: &Metrics) -> anyhow::Result<Services> {
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let networks = Networks::new(config.access.allowed_networks);
    let gateways = Gateways::new(config.access.trust_gateway, &networks);
    let limits = config.limits;
    let ledger = Arc::new(Ledger::new(store.clone(), limits.sending, limits.trust));
    let enabled = config.access.login_enabled;
    let authenticator = authenticator(
        (store.clone(), Arc::clone(&ledger), gateways.clone()),
        (config.passwords, limits.guessing, enabled),
        metrics,
    )?;
    let rules = Rules {
        networks: networks.clone(),
        login_enabled: enabled,
        network_senders: config.access.sender_domains,
    };
    let alerts = Alerts::start(config.alerts).context("starting the thread for alerts")?;
    let history = Recorder::new(config.redaction)?;
    let decider = Arc::new(Decider {
        rules,
        gateways: gateways.clone(),
        store: store.clone(),
        ledger: Arc::clone(&ledger),
        alerts: alerts.clone(),
        history: history.clone(),
        metrics: metrics.decisions.clone(),
    });
    let services = metrics.services.clone();
    let rewriting = rewriting(&store, config.dkim.rules, config.headers, metrics)?;
    let sasl = Arc::new(SaslService::new(
        authenticator,
        metrics.auth.clone(),
        services.clone(),
        history.clone(),
        REFUSAL_DELAY,
    ));
    metrics.watch(&store, &sasl);
    let overview = overview(&store, &ledger, history, metrics);
    Ok(Services {
        sasl,
        milter: Arc::new(MilterService { decider: Arc::clone(&decider), services, rewriting }),
        decider,
        http: Arc::new(http(&store, config.http, &overview, metrics)),
        ledger,
        gateways,
        networks,
        store,
        overview,
        alerts,
    })
}

fn http(
    store: &UserStore,
    config: HttpConfig,
    overview: &Overview,
    metrics: &Metrics,
) -> HttpService {
    HttpService {
        store: store.clone(),
        registry: metrics.registry.clone(),
        overview: overview.clone(),
        token: config.token,
        tls: config.tls,
        ready: AtomicBool::new(false),
    }
}

fn overview(
    store: &UserStore,
    ledger: &Arc<Ledger>,
    history: Recorder,
    metrics: &Metrics,
) -> Overview {
    let (registry, decisions) = (metrics.registry.clone(), metrics.decisions.clone());
    Overview::new(registry, store.clone(), Arc::clone(ledger), decisions, history)
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

fn authenticator(
    (store, ledger, gateways): (UserStore, Arc<Ledger>, Gateways),
    (passwords, guess_limits, enabled): (PasswordConfig, GuessLimits, bool),
    metrics: &Metrics,
) -> anyhow::Result<Authenticator> {
    let PasswordConfig { cost, threads, cache_size, cache_lifetime } = passwords;
    Ok(Authenticator::new(Dependencies {
        store,
        ledger,
        pool: HashingPool::start(threads, &metrics.pool).context("starting the hashing threads")?,
        cache: VerifiedCache::new(cache_size, cache_lifetime)?,
        guess_limits,
        gateways,
        cost,
        enabled,
        metrics: metrics.auth.clone(),
    })?)
}
