//! The way of the log: postlogd, relay-init, Docker's driver; what each takes for a line and for a message.

use anyhow::Result;
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;

use crate::cpu;
use crate::load::Load;
use crate::log_driver::LogDriver;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::{self, Series};
use crate::stack::{Queue, Stack, Variant};

const BARE: &str = "stock Postfix";
const TEXT: &str = "relay";
const JSON: &str = "relay, LOG_FORMAT=json";
const SHORT: &str = "relay, LOG_DETAIL=messages";

pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let variants = [
        (BARE, Variant::Bare),
        (TEXT, Variant::Relay),
        (JSON, Variant::RelayJsonLog),
        (SHORT, Variant::RelayShortLog),
    ];
    let requirements = Requirements::find()?;
    let labs: Vec<Lab> =
        variants.iter().map(|_| Lab::open(requirements.clone())).collect::<Result<_>>()?;
    let mut logged = Vec::new();
    for ((name, variant), lab) in variants.into_iter().zip(&labs) {
        let driver = LogDriver::start(lab)?;
        let pipe = Some(driver.pipe.as_path());
        let stack = Stack::start_logging(lab, "log", variant, Queue::Memory, pipe)?;
        logged.push((name.to_owned(), Logged { stack, driver }));
    }
    let series = rounds::interleave(plan.rounds, &logged, |logged| logged.run(plan.messages))?;
    drop(logged);
    labs.into_iter().try_for_each(|lab| lab.evidence.discard())?;
    Ok(report(&series))
}

/// A stack whose log goes through Docker.
struct Logged<'lab> {
    stack: Stack<'lab>,
    driver: LogDriver,
}

impl Logged<'_> {
    fn run(&self, messages: usize) -> Result<Vec<(&'static str, f64)>> {
        let postlogd = self.stack.process_of_postfix("postlogd")?;
        let init = match self.stack.variant {
            Variant::Bare => None,
            _ => Some(self.stack.process_of_postfix("relay-init")?),
        };
        let used = || {
            let init = init.map(cpu::of_process).transpose()?.unwrap_or_default();
            Ok::<_, anyhow::Error>([cpu::of_process(postlogd)?, init, self.driver.used()?])
        };
        let (before, lines) = (used()?, self.driver.lines()?);
        self.stack.run(&Load::default(), messages)?;
        let (after, lines) = (used()?, self.driver.lines()? - lines);
        let micros = |part: usize| {
            let part = |all: &[std::time::Duration; 3]| all.get(part).copied().unwrap_or_default();
            part(&after).saturating_sub(part(&before)).as_secs_f64() * 1e6
        };
        let (messages, lines) = (messages as f64, lines as f64);
        Ok(vec![
            ("lines", lines / messages),
            ("postlogd", micros(0) / messages),
            ("init", micros(1) / messages),
            ("init, a line", micros(1) / lines),
            ("driver", micros(2) / messages),
        ])
    }
}

fn report(series: &Series) -> Vec<Row> {
    let what = "the log, port 25, 10 sessions, read by Docker's json-file driver";
    let figure = |variant, measure| rounds::figure(series, variant, measure);
    let row = |measure: String, unit, figure| Row::new(what, &measure, unit, figure);
    let mut rows = Vec::new();
    for variant in [BARE, TEXT, JSON, SHORT] {
        rows.push(row(format!("{variant}: lines a message"), "", figure(variant, "lines")));
        let postlogd = figure(variant, "postlogd");
        rows.push(row(format!("{variant}: postlogd, CPU a message"), "µs", postlogd));
    }
    for (variant, goal) in [(TEXT, Some(50.0)), (JSON, None), (SHORT, None)] {
        let row =
            row(format!("{variant}: relay-init, CPU a message"), "µs", figure(variant, "init"));
        rows.push(row.goal(goal.map(Goal::AtMost)));
    }
    for (variant, goal) in [(TEXT, 5.0), (JSON, 8.0)] {
        let row = row(
            format!("{variant}: relay-init, CPU a line"),
            "µs",
            figure(variant, "init, a line"),
        );
        rows.push(row.goal(Goal::AtMost(goal)));
    }
    for variant in [BARE, TEXT, JSON, SHORT] {
        rows.push(row(
            format!("{variant}: Docker, CPU a message"),
            "µs",
            figure(variant, "driver"),
        ));
    }
    for (variant, goal) in [(TEXT, Some(0.5)), (SHORT, None)] {
        let ratio = rounds::ratio(series, variant, BARE, "driver");
        let row = row(format!("{variant}: Docker's CPU, of stock Postfix"), "×", ratio);
        rows.push(row.goal(goal.map(Goal::AtMost)));
    }
    rows
}
