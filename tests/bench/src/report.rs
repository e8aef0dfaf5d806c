//! The rows of the result: as a table on the terminal, and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::rounds::Figure;

/// One comparison.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was done, such as `port 25, 10 sessions`.
    pub what: String,
    /// What was measured, such as `accepted, of bare Postfix`.
    pub measure: String,
    pub unit: &'static str,
    pub figure: Figure,
    /// What we want it to be: a bound for the median.
    pub goal: Option<Goal>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    #[must_use]
    pub fn is_met(self, median: f64) -> bool {
        match self {
            Self::AtLeast(bound) => median >= bound,
            Self::AtMost(bound) => median <= bound,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

impl Row {
    #[must_use]
    pub fn new(what: &str, measure: &str, unit: &'static str, figure: Figure) -> Self {
        let (what, measure) = (what.to_owned(), measure.to_owned());
        Self { what, measure, unit, figure, goal: None }
    }

    #[must_use]
    pub fn goal(mut self, goal: impl Into<Option<Goal>>) -> Self {
        self.goal = goal.into();
        self
    }
}

/// The rows as a table for a terminal.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut what = "";
    for row in rows {
        if row.what != what {
            what = &row.what;
            // Writing to a String cannot fail.
            writeln!(text, "\n{what}").ok();
        }
        let Figure { min, median, max } = row.figure;
        let goal = row.goal.map_or_else(String::new, |goal| {
            let word = if goal.is_met(median) { "met" } else { "missed" };
            format!("goal {goal}: {word}")
        });
        let (measure, unit) = (&row.measure, row.unit);
        writeln!(
            text,
            "  {measure:<44} {:>9} {unit:<5} ({} … {})  {goal}",
            short(median),
            short(min),
            short(max)
        )
        .ok();
    }
    text
}

/// Three digits that matter.
#[must_use]
pub fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The rows as a page of documentation.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text =
        "# Results\n\nMade by `make bench`: medians of all rounds, with the least and the most. \
        [What they mean](README.md).\n"
            .to_owned();
    let mut what = "";
    for row in rows {
        if row.what != what {
            what = &row.what;
            let head = "| measured | median | least … most | goal |\n|---|---|---|---|";
            writeln!(text, "\n## {what}\n\n{head}").ok();
        }
        let Figure { min, median, max } = row.figure;
        let goal = row.goal.map_or_else(String::new, |goal| {
            format!("{goal}{}", if goal.is_met(median) { "" } else { ", missed" })
        });
        let (measure, unit) = (&row.measure, row.unit);
        let [median, min, max] = [median, min, max].map(short);
        writeln!(text, "| {measure} | {median} {unit} | {min} … {max} | {goal} |").ok();
    }
    text
}

/// Writes the rows as JSON.
pub fn write_json(rows: &[Row], path: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_goal_is_met() {
        let figure = Figure { min: 0.7, median: 0.8, max: 0.9 };
        let row = |goal| table(&[Row::new("load", "accepted", "×", figure).goal(goal)]);
        assert!(row(Goal::AtLeast(0.8)).contains("goal ≥ 0.8: met"));
        assert!(row(Goal::AtMost(0.75)).contains("goal ≤ 0.75: missed"));
        assert!(row(Goal::AtMost(0.75)).contains("0.800 ×     (0.700 … 0.900)"));
    }
}
