//! All metrics, in one registry. A handle is passed to whoever counts.
//!
//! A label's value is always an enum variant of ours, never text from a peer: a client could
//! otherwise make as many time series as it likes.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::access::{Reason, Verdict};
use crate::events::{Cause, Status};
use crate::sasl::mechanism::Mechanism;
use crate::sasl::outcome::AuthResult;

/// A service of the sidecar, as label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Sasl,
    Policy,
    Milter,
    Http,
}

impl Service {
    pub const ALL: [Self; 4] = [Self::Sasl, Self::Policy, Self::Milter, Self::Http];

    pub fn label(self) -> &'static str {
        match self {
            Self::Sasl => "sasl",
            Self::Policy => "policy",
            Self::Milter => "milter",
            Self::Http => "http",
        }
    }
}

/// A handle to every metric; clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    auth_attempts: IntCounterVec,
    auth_duration: HistogramVec,
    hashing_queue: IntGauge,
    hashing_wait: Histogram,
    decisions: IntCounterVec,
    trouble: IntCounterVec,
    deliveries: IntCounterVec,
    connections: ConnectionMetrics,
    users: IntGauge,
    suspended: IntCounter,
    guesses: IntGauge,
    guesses_evicted: IntCounter,
}

/// The connections of each service.
#[derive(Debug, Clone)]
struct ConnectionMetrics {
    open: IntGaugeVec,
    accepted: IntCounterVec,
    errors: IntCounterVec,
}

impl ConnectionMetrics {
    fn build(new: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            open: new.gauges("relay_connections", "Open connections by service", &["service"])?,
            accepted: new.counters(
                "relay_connections_total",
                "Accepted connections by service",
                &["service"],
            )?,
            errors: new.counters(
                "relay_accept_errors_total",
                "Connections that could not be accepted, by service; usually too few descriptors",
                &["service"],
            )?,
        })
    }
}

impl Metrics {
    /// Registers everything, so that each series is there from the first scrape on.
    ///
    /// # Errors
    ///
    /// Only when two metrics have one name, which is a mistake in this file.
    pub fn new() -> prometheus::Result<Self> {
        let metrics = Self::build()?;
        for service in Service::ALL.map(Service::label) {
            metrics.connections.open.with_label_values(&[service]);
            metrics.connections.accepted.with_label_values(&[service]);
            metrics.connections.errors.with_label_values(&[service]);
            metrics.trouble.with_label_values(&[service]);
        }
        for mechanism in Mechanism::ALL.map(Mechanism::name) {
            for result in AuthResult::ALL.map(AuthResult::label) {
                metrics.auth_attempts.with_label_values(&[mechanism, result]);
            }
        }
        for status in [Status::Deferred, Status::Bounced].map(Status::label) {
            for cause in Cause::ALL.map(Cause::label) {
                metrics.deliveries.with_label_values(&[status, cause]);
            }
        }
        metrics.deliveries.with_label_values(&[Status::Sent.label(), Cause::None.label()]);
        for service in [Service::Policy, Service::Milter].map(Service::label) {
            for reason in Reason::ALL {
                let action = if reason.permits() { "permit" } else { "refuse" };
                metrics.decisions.with_label_values(&[service, action, reason.label()]);
            }
        }
        Ok(metrics)
    }

    fn build() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let new = Registrar(&registry);
        let build_info = "Version of the sidecar; the value is always 1";
        new.gauges("relay_build_info", build_info, &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self {
            auth_attempts: new.counters(
                "relay_auth_attempts_total",
                "Finished SASL exchanges by mechanism and result",
                &["mechanism", "result"],
            )?,
            auth_duration: new.durations(
                "relay_auth_duration_seconds",
                "Time from the last response of a SASL exchange to its answer",
                &["result"],
            )?,
            hashing_queue: new
                .gauge("relay_hashing_queue_length", "Passwords that wait for a hashing thread")?,
            hashing_wait: new
                .durations(
                    "relay_hashing_wait_seconds",
                    "Time a password waited for a hashing thread",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            decisions: new.counters(
                "relay_decisions_total",
                "Answers to Postfix by service, action and reason",
                &["service", "action", "reason"],
            )?,
            trouble: new.counters(
                "relay_trouble_total",
                "Requests that could not be decided, so that Postfix told the client to come back",
                &["service"],
            )?,
            connections: ConnectionMetrics::build(&new)?,
            deliveries: new.counters(
                "relay_deliveries_total",
                "Deliveries by Postfix to one recipient each, by status and what they failed of",
                &["status", "cause"],
            )?,
            users: new.gauge("relay_users", "Users in the database, disabled ones included")?,
            suspended: new.counter(
                "relay_users_suspended_total",
                "Users suspended for passing SUSPEND_AFTER",
            )?,
            guesses: new.gauge(
                "relay_guess_counters",
                "Addresses and users that wrong passwords are counted for",
            )?,
            guesses_evicted: new.counter(
                "relay_guess_counters_evicted_total",
                "Such counters that were forgotten for want of room",
            )?,
            registry,
        })
    }

    pub fn auth(&self, mechanism: Option<Mechanism>, result: AuthResult, took: Duration) {
        let mechanism = mechanism.map_or("other", Mechanism::name);
        self.auth_attempts.with_label_values(&[mechanism, result.label()]).inc();
        self.auth_duration.with_label_values(&[result.label()]).observe(took.as_secs_f64());
    }

    pub fn hashing_queue(&self, waiting: usize) {
        self.hashing_queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub fn hashing_waited(&self, waited: Duration) {
        self.hashing_wait.observe(waited.as_secs_f64());
    }

    pub fn decision(&self, service: Service, verdict: &Verdict) {
        let (action, reason) = (verdict.action.label(), verdict.reason.label());
        self.decisions.with_label_values(&[service.label(), action, reason]).inc();
    }

    pub fn delivery(&self, status: Status, cause: Cause) {
        self.deliveries.with_label_values(&[status.label(), cause.label()]).inc();
    }

    pub fn suspended(&self) {
        self.suspended.inc();
    }

    pub fn guesses(&self, remembered: usize, evicted: u64) {
        self.guesses.set(i64::try_from(remembered).unwrap_or(i64::MAX));
        self.guesses_evicted.inc_by(evicted);
    }

    pub fn trouble(&self, service: Service) {
        self.trouble.with_label_values(&[service.label()]).inc();
    }

    pub fn connected(&self, service: Service) {
        self.connections.accepted.with_label_values(&[service.label()]).inc();
        self.connections.open.with_label_values(&[service.label()]).inc();
    }

    pub fn disconnected(&self, service: Service) {
        self.connections.open.with_label_values(&[service.label()]).dec();
    }

    pub fn accept_error(&self, service: Service) {
        self.connections.errors.with_label_values(&[service.label()]).inc();
    }

    /// Prometheus' text format. The number of users is told by the caller, who has the database.
    pub fn text(&self, users: Option<u64>) -> prometheus::Result<Vec<u8>> {
        if let Some(users) = users {
            self.users.set(i64::try_from(users).unwrap_or(i64::MAX));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Seconds. Below a millisecond no hash was computed; 25 ms is one hash; 6 s is the longest wait.
const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0];

/// Makes metrics and registers each at once, so that none is forgotten.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn durations(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let histograms = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }
}

#[cfg(test)]
mod tests;
