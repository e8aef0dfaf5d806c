//! Curves, as rows and as SVG.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

use crate::report::Row;
use crate::rounds::Figure;

/// What a step costs, for each size of one thing.
#[derive(Debug)]
pub struct Curve {
    /// The file's name.
    name: &'static str,
    x: &'static str,
    y: &'static str,
    unit: &'static str,
    points: Vec<(usize, Figure)>,
    notes: Vec<Row>,
}

impl Curve {
    #[must_use]
    pub fn new(name: &'static str, x: &'static str, y: &'static str, unit: &'static str) -> Self {
        Self { name, x, y, unit, points: Vec::new(), notes: Vec::new() }
    }

    pub fn add(&mut self, step: usize, values: &[f64]) {
        self.points.push((step, Figure::of(values)));
    }

    /// Something else that was measured on the way.
    pub fn note(&mut self, measure: &str, unit: &'static str, figure: Figure) {
        self.notes.push(Row::new(self.x, measure, unit, figure));
    }

    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let points = self.points.iter().map(|(step, figure)| {
            Row::new(self.x, &format!("{step}: {}", self.y), self.unit, *figure)
        });
        let notes =
            self.notes.iter().map(|row| Row::new(&row.what, &row.measure, row.unit, row.figure));
        points.chain(notes).collect()
    }

    /// Both axes are logarithmic, so what is proportional is a straight line of slope one.
    pub fn draw(&self, folder: &Path) -> Result<()> {
        let path = folder.join(format!("{}.svg", self.name));
        let draw = || -> std::result::Result<(), Box<dyn std::error::Error>> {
            let area = SVGBackend::new(&path, (640, 400)).into_drawing_area();
            area.fill(&WHITE)?;
            let points: Vec<(f64, f64)> =
                self.points.iter().map(|(step, figure)| (*step as f64, figure.median)).collect();
            let bounds = |values: Vec<f64>| {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(0.0, f64::max);
                (low / 2.0)..(high * 2.0)
            };
            let x = bounds(points.iter().map(|(x, _)| *x).collect());
            let y = bounds(points.iter().map(|(_, y)| *y).collect());
            let mut chart = ChartBuilder::on(&area)
                .caption(format!("{} ({})", self.y, self.unit), ("sans-serif", 18))
                .margin(16)
                .x_label_area_size(40)
                .y_label_area_size(56)
                .build_cartesian_2d(x.log_scale(), y.log_scale())?;
            chart.configure_mesh().x_desc(self.x).y_desc(self.unit).draw()?;
            chart.draw_series(LineSeries::new(points.clone(), &BLUE))?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, BLUE.filled())))?;
            area.present()?;
            Ok(())
        };
        draw()
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("drawing {}", path.display()))
    }
}
