//! The registry, and the kinds of metric that services register in it.
//!
//! It does not know what is counted: each service declares its metrics beside the code that counts,
//! and `app` puts them together. Every series exists from the first scrape on, and is looked up
//! once, when it is registered.

use std::marker::PhantomData;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, TextEncoder,
};

use crate::labels::Label;

/// All metrics of this process.
#[derive(Debug, Clone, Default)]
pub struct Registry(prometheus::Registry);

/// Seconds. Below a millisecond no hash was computed; 25 ms is one hash; 6 s is the longest wait.
const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0];

impl Registry {
    /// Prometheus' text format.
    ///
    /// # Errors
    ///
    /// When a metric is inconsistent, which would be a mistake of ours.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.gather(), &mut text)?;
        Ok(text)
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
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let family = self.add(HistogramVec::new(options, L::NAMES)?)?;
        Ok(Durations(Series::new(|words| family.with_label_values(words))))
    }

    /// A gauge that is always 1 and tells the version by its label.
    pub fn build_info(&self, name: &str, help: &str, version: &str) -> prometheus::Result<()> {
        let family = self.add(IntGaugeVec::new(Opts::new(name, help), &["version"])?)?;
        family.with_label_values(&[version]).set(1);
        Ok(())
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

/// The labels of a metric: none, one or two of them, or a set that is written out by hand because
/// not every combination exists.
pub trait LabelSet: Copy + 'static {
    const NAMES: &'static [&'static str];

    /// Every combination, in the order of [`LabelSet::place`].
    fn all() -> impl Iterator<Item = Self>;

    /// The words of this combination, in the order of [`LabelSet::NAMES`].
    fn words(self) -> Vec<&'static str>;

    /// Its position in [`LabelSet::all`].
    fn place(self) -> usize;
}

impl LabelSet for () {
    const NAMES: &'static [&'static str] = &[];

    fn all() -> impl Iterator<Item = Self> {
        std::iter::once(())
    }

    fn words(self) -> Vec<&'static str> {
        Vec::new()
    }

    fn place(self) -> usize {
        0
    }
}

impl<A: Label> LabelSet for A {
    const NAMES: &'static [&'static str] = &[A::NAME];

    fn all() -> impl Iterator<Item = Self> {
        A::ALL.iter().copied()
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.label()]
    }

    fn place(self) -> usize {
        self.index()
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const NAMES: &'static [&'static str] = &[A::NAME, B::NAME];

    fn all() -> impl Iterator<Item = Self> {
        A::ALL.iter().flat_map(|a| B::ALL.iter().map(|b| (*a, *b)))
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.0.label(), self.1.label()]
    }

    fn place(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }
}

/// The series of one metric, by their labels.
#[derive(Debug)]
struct Series<L, M> {
    metrics: std::sync::Arc<[M]>,
    labels: PhantomData<fn(L)>,
}

impl<L, M> Clone for Series<L, M> {
    fn clone(&self) -> Self {
        Self { metrics: self.metrics.clone(), labels: PhantomData }
    }
}

impl<L: LabelSet, M> Series<L, M> {
    fn new(make: impl Fn(&[&str]) -> M) -> Self {
        let metrics = L::all().map(|labels| make(&labels.words())).collect();
        Self { metrics, labels: PhantomData }
    }

    /// There is one for every combination, so this is `None` only for a wrong `place`.
    fn get(&self, labels: L) -> Option<&M> {
        self.metrics.get(labels.place())
    }
}

/// Counters, one for each combination of labels; clones count into the same.
#[derive(Debug, Clone)]
pub struct Counters<L>(Series<L, IntCounter>);

impl<L: LabelSet> Counters<L> {
    pub fn inc(&self, labels: L) {
        if let Some(counter) = self.0.get(labels) {
            counter.inc();
        }
    }
}

/// Gauges, one for each combination of labels.
#[derive(Debug, Clone)]
pub struct Gauges<L>(Series<L, IntGauge>);

impl<L: LabelSet> Gauges<L> {
    pub fn inc(&self, labels: L) {
        if let Some(gauge) = self.0.get(labels) {
            gauge.inc();
        }
    }

    pub fn dec(&self, labels: L) {
        if let Some(gauge) = self.0.get(labels) {
            gauge.dec();
        }
    }
}

/// Histograms of durations, one for each combination of labels.
#[derive(Debug, Clone)]
pub struct Durations<L>(Series<L, Histogram>);

impl<L: LabelSet> Durations<L> {
    pub fn observe(&self, labels: L, duration: Duration) {
        if let Some(histogram) = self.0.get(labels) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

/// Sets a gauge to a number of things.
pub fn set(gauge: &IntGauge, number: impl TryInto<i64>) {
    gauge.set(number.try_into().unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
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
    fn a_name_is_taken_once() {
        let registry = Registry::default();
        registry.counter("a_total", "A").unwrap();
        assert!(registry.counter("a_total", "A").is_err());
    }
}
