//! The registry, and the kinds of metric that services register in it.
//!
//! It does not know what is counted: each service declares its metrics beside the code that counts,
//! and `app` puts them together. Every series exists from the first scrape on, and is looked up
//! once, when it is registered.

mod reading;
mod series;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    TextEncoder,
};

pub use reading::{Point, Reading};
use series::Series;
pub use series::{Counters, Durations, Gauges, KnownGauges, LabelSet};

/// All metrics of this process.
#[derive(Clone, Default)]
pub struct Registry {
    metrics: prometheus::Registry,
    families: Arc<Mutex<Vec<Family>>>,
    refreshers: Arc<Mutex<Vec<Refresher>>>,
}

type Refresher = Box<dyn Fn() + Send + Sync>;

/// What a metric is called, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    pub name: String,
    pub labels: Vec<String>,
    pub help: String,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("families", &self.families).finish_non_exhaustive()
    }
}

/// Seconds. Below a millisecond no hash was computed; 25 ms is one hash; 6 s is the longest wait.
const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0];

impl Registry {
    /// Prometheus' text format.
    ///
    /// # Errors
    ///
    /// When a metric is inconsistent, which would be a mistake of ours.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        lock(&self.refreshers).iter().for_each(|refresh| refresh());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.metrics.gather(), &mut text)?;
        Ok(text)
    }

    /// The same figures, for our own views.
    pub fn read(&self) -> Reading {
        lock(&self.refreshers).iter().for_each(|refresh| refresh());
        Reading::of(&self.metrics.gather())
    }

    /// Has this called before every scrape, to set gauges that nobody keeps up to date.
    pub fn before_scrape(&self, refresh: impl Fn() + Send + Sync + 'static) {
        lock(&self.refreshers).push(Box::new(refresh));
    }

    /// Every metric there is, those included that have no series at the moment.
    pub fn families(&self) -> Vec<Family> {
        lock(&self.families).clone()
    }

    /// One counter for each value of a set of labels.
    ///
    /// # Errors
    ///
    /// As for every method here: when the name is taken or not a metric name.
    pub fn counters<L: LabelSet>(&self, name: &str, help: &str) -> prometheus::Result<Counters<L>> {
        let family = self.add(IntCounterVec::new(Opts::new(name, help), L::NAMES)?)?;
        Ok(Counters(Series::new(|words| family.with_label_values(words))))
    }

    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    /// One gauge for each value of a set of labels.
    pub fn gauges<L: LabelSet>(&self, name: &str, help: &str) -> prometheus::Result<Gauges<L>> {
        let family = self.add(IntGaugeVec::new(Opts::new(name, help), L::NAMES)?)?;
        Ok(Gauges(Series::new(|words| family.with_label_values(words))))
    }

    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    /// One histogram of durations for each value of a set of labels.
    pub fn durations<L: LabelSet>(
        &self,
        name: &str,
        help: &str,
    ) -> prometheus::Result<Durations<L>> {
        self.durations_in(&BUCKETS, name, help)
    }

    /// The same, with buckets of its own.
    pub fn durations_in<L: LabelSet>(
        &self,
        buckets: &[f64],
        name: &str,
        help: &str,
    ) -> prometheus::Result<Durations<L>> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = self.add(HistogramVec::new(options, L::NAMES)?)?;
        Ok(Durations(Series::new(|words| family.with_label_values(words))))
    }

    /// Gauges that have a series only for what is known: a missing figure is no zero.
    pub fn known_gauges<L: LabelSet>(
        &self,
        name: &str,
        help: &str,
    ) -> prometheus::Result<KnownGauges<L>> {
        let family = self.add(IntGaugeVec::new(Opts::new(name, help), L::NAMES)?)?;
        Ok(KnownGauges::new(family))
    }

    /// Counters by names that are not known beforehand. Whoever counts bounds their number.
    pub fn named_counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    /// A gauge whose series tell a version by their label.
    pub fn versions(&self, name: &str, help: &str) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), &["version"])?)
    }

    /// What Prometheus' client libraries tell of every process: CPU time, memory, descriptors.
    pub fn process(&self) -> prometheus::Result<()> {
        let collector = ProcessCollector::for_self();
        self.describe(&collector);
        self.metrics.register(Box::new(collector))
    }

    /// A gauge that is always 1 and tells the version by its label.
    pub fn build_info(&self, name: &str, help: &str, version: &str) -> prometheus::Result<()> {
        let family = self.versions(name, help)?;
        family.with_label_values(&[version]).set(1);
        Ok(())
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.metrics.register(Box::new(collector.clone()))?;
        self.describe(&collector);
        Ok(collector)
    }

    fn describe(&self, collector: &impl Collector) {
        let families = collector.desc().into_iter().map(|desc| Family {
            name: desc.fq_name.clone(),
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        });
        lock(&self.families).extend(families);
    }
}

/// Nothing that is locked here is left half-done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets a gauge to a number of things.
pub fn set(gauge: &IntGauge, number: impl TryInto<i64>) {
    gauge.set(number.try_into().unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::labels::label_enum;

    label_enum! {
        pub enum Size("size") {
            Small = "small",
            Large = "large",
        }
    }

    label_enum! {
        pub enum Colour("colour") {
            Red = "red",
            Blue = "blue",
        }
    }

    fn text(registry: &Registry) -> String {
        String::from_utf8(registry.text().unwrap()).unwrap()
    }

    #[test]
    fn every_combination_is_there_from_the_start_and_counts_for_itself() {
        let registry = Registry::default();
        let things = registry.counters::<(Size, Colour)>("things_total", "Things").unwrap();
        assert_eq!(text(&registry).matches("} 0").count(), 4);
        things.inc((Size::Large, Colour::Red));
        assert!(text(&registry).contains("things_total{colour=\"red\",size=\"large\"} 1"));
        assert_eq!(text(&registry).matches("} 0").count(), 3);
    }

    #[test]
    fn durations_and_gauges_have_their_labels() {
        let registry = Registry::default();
        let took = registry.durations::<Size>("took_seconds", "Time").unwrap();
        took.observe(Size::Small, Duration::from_millis(3));
        let open = registry.gauges::<()>("open", "Open").unwrap();
        open.inc(());
        open.inc(());
        open.dec(());
        let text = text(&registry);
        assert!(text.contains("took_seconds_bucket{size=\"small\",le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("open 1"), "{text}");
    }

    #[test]
    fn what_is_not_known_has_no_series_and_is_described_all_the_same() {
        let registry = Registry::default();
        let sizes = registry.known_gauges::<Size>("sizes", "Sizes").unwrap();
        assert_eq!(text(&registry), "");
        sizes.set(Size::Small, Some(0));
        assert!(text(&registry).ends_with("sizes{size=\"small\"} 0\n"));
        sizes.set(Size::Small, None);
        assert_eq!(text(&registry), "");
        let (name, help) = ("sizes".to_owned(), "Sizes".to_owned());
        assert_eq!(registry.families(), [Family { name, labels: vec!["size".to_owned()], help }]);
    }

    #[test]
    fn a_scrape_sees_what_is_true_then() {
        let registry = Registry::default();
        let number = registry.gauge("number", "Number").unwrap();
        let gauge = number.clone();
        registry.before_scrape(move || gauge.inc());
        text(&registry);
        assert!(text(&registry).ends_with("number 2\n"));
    }

    #[test]
    fn a_name_is_taken_once() {
        let registry = Registry::default();
        registry.counter("a_total", "A").unwrap();
        assert!(registry.counter("a_total", "A").is_err());
    }
}
