//! The series of a metric, one for each combination of its labels, looked up once and not again for
//! every event.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge, IntGaugeVec};

use crate::labels::Label;

/// The labels of a metric: none, one, two or three of them, or a set that is written out by hand because
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

impl<A: Label, B: Label, C: Label> LabelSet for (A, B, C) {
    const NAMES: &'static [&'static str] = &[A::NAME, B::NAME, C::NAME];

    fn all() -> impl Iterator<Item = Self> {
        <(A, B)>::all().flat_map(|(a, b)| C::ALL.iter().map(move |c| (a, b, *c)))
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.0.label(), self.1.label(), self.2.label()]
    }

    fn place(self) -> usize {
        (self.0, self.1).place() * C::ALL.len() + self.2.index()
    }
}

/// The series of one metric, by their labels.
#[derive(Debug)]
pub struct Series<L, M> {
    metrics: Arc<[M]>,
    labels: PhantomData<fn(L)>,
}

impl<L, M> Clone for Series<L, M> {
    fn clone(&self) -> Self {
        Self { metrics: self.metrics.clone(), labels: PhantomData }
    }
}

impl<L: LabelSet, M> Series<L, M> {
    pub fn new(make: impl Fn(&[&str]) -> M) -> Self {
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
pub struct Counters<L>(pub(super) Series<L, IntCounter>);

impl<L: LabelSet> Counters<L> {
    pub fn inc(&self, labels: L) {
        if let Some(counter) = self.0.get(labels) {
            counter.inc();
        }
    }

    pub fn inc_by(&self, labels: L, number: u64) {
        if let Some(counter) = self.0.get(labels) {
            counter.inc_by(number);
        }
    }
}

/// Gauges, one for each combination of labels.
#[derive(Debug, Clone)]
pub struct Gauges<L>(pub(super) Series<L, IntGauge>);

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
pub struct Durations<L>(pub(super) Series<L, Histogram>);

impl<L: LabelSet> Durations<L> {
    pub fn observe(&self, labels: L, duration: Duration) {
        if let Some(histogram) = self.0.get(labels) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

/// Gauges of which only those exist that have a value.
#[derive(Debug, Clone)]
pub struct KnownGauges<L> {
    family: IntGaugeVec,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> KnownGauges<L> {
    pub(super) fn new(family: IntGaugeVec) -> Self {
        Self { family, labels: PhantomData }
    }

    pub fn set(&self, labels: L, value: Option<u64>) {
        let words = labels.words();
        match value {
            Some(value) => super::set(&self.family.with_label_values(&words), value),
            // An error says that there is none.
            None => drop(self.family.remove_label_values(&words)),
        }
    }
}
