//! What all series say at one moment, for views other than Prometheus.

use std::collections::HashMap;

use prometheus::proto::{MetricFamily, MetricType};

/// Counters and gauges of the registry, read together.
#[derive(Debug, Default)]
pub struct Reading(HashMap<String, Vec<Point>>);

/// One series.
#[derive(Debug)]
pub struct Point {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Point {
    /// The value of a label; empty when the metric has none of that name.
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }

    /// As a count; our own figures are whole and not negative.
    pub fn count(&self) -> u64 {
        self.value as u64
    }
}

impl Reading {
    /// Histograms are left out: no view but Prometheus shows one.
    pub(super) fn of(families: &[MetricFamily]) -> Self {
        let mut series = HashMap::new();
        for family in families {
            let value: fn(&prometheus::proto::Metric) -> f64 = match family.get_field_type() {
                MetricType::COUNTER => |metric| metric.get_counter().get_value(),
                MetricType::GAUGE => |metric| metric.get_gauge().get_value(),
                _ => continue,
            };
            let point = |metric: &prometheus::proto::Metric| {
                let labels = metric.get_label().iter();
                let labels =
                    labels.map(|label| (label.name().to_owned(), label.value().to_owned()));
                Point { labels: labels.collect(), value: value(metric) }
            };
            let points = family.get_metric().iter().map(point).collect();
            series.insert(family.name().to_owned(), points);
        }
        Self(series)
    }

    /// All series of a metric; none when nothing is known.
    pub fn series(&self, metric: &str) -> &[Point] {
        self.0.get(metric).map(Vec::as_slice).unwrap_or_default()
    }

    /// A metric without labels; `None` when its value is not known.
    pub fn value(&self, metric: &str) -> Option<u64> {
        self.series(metric).first().map(Point::count)
    }

    /// The series with this label value; `None` when it is not known.
    pub fn value_of(&self, metric: &str, label: &str, word: &str) -> Option<u64> {
        let found = self.series(metric).iter().find(|point| point.label(label) == word);
        found.map(Point::count)
    }

    /// All series of a metric together.
    pub fn sum(&self, metric: &str) -> u64 {
        self.series(metric).iter().map(Point::count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;

    #[test]
    fn counters_and_gauges_are_read_and_what_is_not_known_is_none() {
        let registry = Registry::default();
        registry.gauge("size", "Size").unwrap().set(7);
        let named = registry.named_counters("sent_total", "Sent", "user").unwrap();
        named.with_label_values(&["alice"]).inc_by(2);
        named.with_label_values(&["bob"]).inc_by(3);
        registry.known_gauges::<()>("age", "Age").unwrap();
        registry.durations::<()>("took_seconds", "Time").unwrap();
        let reading = registry.read();
        assert_eq!(reading.value("size"), Some(7));
        assert_eq!(reading.value_of("sent_total", "user", "bob"), Some(3));
        assert_eq!(reading.value_of("sent_total", "user", "carol"), None);
        assert_eq!(reading.sum("sent_total"), 5);
        assert_eq!((reading.value("age"), reading.value("took_seconds")), (None, None));
    }
}
