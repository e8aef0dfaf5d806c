//! Interleaved rounds, and what is kept of them.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

/// One figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Figure {
    /// `NaN` for no values at all, which shows as such.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) && middle > 0 {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        Self { min: at(0), median, max: at(sorted.len().saturating_sub(1)) }
    }
}

/// The values of one measure of one variant, a value a round.
pub type Series = BTreeMap<(String, &'static str), Vec<f64>>;

/// Measures every variant once a round: A B C, then C B A, so that whatever drifts drifts for all. A round
/// before the first is thrown away.
pub fn interleave<V>(
    rounds: usize,
    variants: &[(String, V)],
    mut measure: impl FnMut(&V) -> Result<Vec<(&'static str, f64)>>,
) -> Result<Series> {
    let mut series = Series::new();
    for (_, variant) in variants {
        measure(variant)?;
    }
    for round in 0..rounds {
        let mut order: Vec<_> = variants.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (name, variant) in order {
            for (measure, value) in measure(variant)? {
                series.entry((name.clone(), measure)).or_default().push(value);
            }
        }
    }
    Ok(series)
}

/// One variant's measure as it is.
#[must_use]
pub fn figure(series: &Series, variant: &str, measure: &'static str) -> Figure {
    Figure::of(values(series, variant, measure))
}

/// One variant's measure by another's of the same round.
#[must_use]
pub fn ratio(series: &Series, variant: &str, reference: &str, measure: &'static str) -> Figure {
    let pairs = values(series, variant, measure).iter().zip(values(series, reference, measure));
    Figure::of(&pairs.map(|(value, reference)| value / reference).collect::<Vec<_>>())
}

/// One variant's measure less another's of the same round.
#[must_use]
pub fn difference(series: &Series, variant: &str, other: &str, measure: &'static str) -> Figure {
    let pairs = values(series, variant, measure).iter().zip(values(series, other, measure));
    Figure::of(&pairs.map(|(value, other)| value - other).collect::<Vec<_>>())
}

fn values<'a>(series: &'a Series, variant: &str, measure: &'static str) -> &'a [f64] {
    series.get(&(variant.to_owned(), measure)).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_between_the_extremes() {
        let of = |values: &[f64]| Figure::of(values);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Figure { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Figure { min: 1.0, median: 2.5, max: 4.0 });
        assert!(of(&[]).median.is_nan());
    }

    #[test]
    fn every_round_measures_everybody_and_turns_the_order_around() {
        let order = std::cell::RefCell::new(String::new());
        let variants = [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)];
        let series = interleave(2, &variants, |value| {
            order.borrow_mut().push(if *value == 1.0 { 'a' } else { 'b' });
            Ok(vec![("x", *value)])
        })
        .unwrap();
        assert_eq!(order.into_inner(), "ab".to_owned() + "ab" + "ba");
        assert_eq!(ratio(&series, "b", "a", "x").median, 2.0);
        assert_eq!(difference(&series, "b", "a", "x").max, 1.0);
        assert_eq!(figure(&series, "b", "x").min, 2.0);
    }
}
