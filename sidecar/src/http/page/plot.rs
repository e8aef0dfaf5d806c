//! Small drawings as inline SVG. Pure.

use std::fmt::Write as _;

use crate::status::Plot;

/// The drawing's own units; it is stretched to the width that there is.
const WIDTH: f64 = 288.0;
const HEIGHT: f64 = 60.0;
/// Seconds that a plot shows.
const DAY: u64 = 86_400;
/// A gap between two points that is longer than this was not measured, and is left open.
const GAP: u64 = 1_500;

/// A curve of the last 24 hours that ends at `now`; `description` is for who cannot see it.
pub fn curve(plot: &Plot, now: u64, description: &str) -> String {
    let start = now.saturating_sub(DAY);
    let most = plot.points.iter().map(|(_, value)| *value).max().unwrap_or_default().max(1);
    let place = |(time, value): (u64, u64)| {
        let x = time.saturating_sub(start) as f64 / DAY as f64 * WIDTH;
        (x, HEIGHT - value as f64 / most as f64 * (HEIGHT - 4.0))
    };
    let (mut line, mut area) = (String::new(), String::new());
    for run in plot.points.chunk_by(|a, b| b.0.saturating_sub(a.0) <= GAP) {
        let mut command = 'M';
        for point in run {
            let (x, y) = place(*point);
            // Writing to a String cannot fail.
            write!(line, "{command}{x:.1} {y:.1}").ok();
            command = 'L';
        }
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let (from, to) = (place(*first).0, place(*last).0);
            write!(area, "M{from:.1} {HEIGHT}").ok();
            for point in run {
                let (x, y) = place(*point);
                write!(area, "L{x:.1} {y:.1}").ok();
            }
            write!(area, "L{to:.1} {HEIGHT}Z").ok();
        }
    }
    format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{description}\"><line x1=\"0\" y1=\"{HEIGHT}\" x2=\"{WIDTH}\" y2=\"{HEIGHT}\"/>\
         <path class=\"area\" d=\"{area}\"/><path d=\"{line}\"/></svg>"
    )
}

/// How much of a limit is used.
pub fn bar(used: u64, most: u64) -> String {
    let percent = used.saturating_mul(100).checked_div(most).unwrap_or_default().min(100);
    let class = if percent >= 90 { "high" } else { "used" };
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"6\"/>\
         <rect class=\"{class}\" width=\"{percent}\" height=\"6\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_stays_within_its_frame_and_is_open_where_nothing_was_measured() {
        let points = vec![(100_000, 0), (100_600, 5), (110_000, 10), (110_600, 0)];
        let plot = Plot { name: "x".to_owned(), points };
        let svg = curve(&plot, 110_600, "x");
        assert!(svg.contains("d=\"M252.7 60.0L254.7 32.0M286.0 4.0L288.0 60.0\""), "{svg}");
        assert!(curve(&Plot { points: vec![], ..plot }, 0, "x").contains("<path d=\"\"/>"));
    }

    #[test]
    fn a_bar_is_never_longer_than_its_limit() {
        for (used, most, expected) in [
            (0, 10, "used\" width=\"0\""),
            (5, 10, "used\" width=\"50\""),
            (99, 10, "high\" width=\"100\""),
            (1, 0, "width=\"0\""),
        ] {
            assert!(bar(used, most).contains(expected), "{used} of {most}");
        }
    }
}
