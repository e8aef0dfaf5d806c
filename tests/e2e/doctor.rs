//! `relay doctor` finds what is wrong out there, says what to do, and says nothing of a set-up that is right.

mod away;
mod daily;
mod dns;
mod domains;
mod send;
mod setup;
mod surroundings;

use std::process::Output;

use anyhow::{Context, Result, ensure};
use relay_tests::relay::Relay;
use serde_json::Value;

/// One planted fault, and what has to be found.
struct Fault {
    /// The subject of the finding, or the part of it that tells it from others.
    subject: &'static str,
    check: &'static str,
    state: &'static str,
    /// A part of what is found.
    found: &'static str,
    /// A part of what to do.
    remedy: &'static str,
}

const fn fault(
    check: &'static str,
    subject: &'static str,
    state: &'static str,
    found: &'static str,
    remedy: &'static str,
) -> Fault {
    Fault { subject, check, state, found, remedy }
}

/// What a run found, as `--json` has it.
struct Report {
    code: Option<i32>,
    text: String,
    json: Value,
}

fn doctor(relay: &Relay<'_>, arguments: &[&str]) -> Result<Report> {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let output = relay.place().run(&arguments, "")?;
    let said = || format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let json = serde_json::from_slice(&output.stdout).with_context(said)?;
    let text = String::from_utf8(output.stdout)?;
    Ok(Report { code: output.status.code(), text, json })
}

fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

impl Report {
    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.json.get("findings").and_then(Value::as_array).into_iter().flatten()
    }

    /// The fault was found with its remedy.
    fn check(&self, fault: &Fault) -> Result<()> {
        let is = |finding: &Value, member: &str, part: &str| {
            finding[member].as_str().unwrap_or_default().contains(part)
        };
        let is_it = |finding: &&Value| {
            finding["check"] == fault.check
                && finding["state"] == fault.state
                && is(finding, "subject", fault.subject)
                && is(finding, "found", fault.found)
                && is(finding, "remedy", fault.remedy)
        };
        let Fault { check, subject, state, found, remedy } = fault;
        ensure!(
            self.findings().any(|finding| is_it(&finding)),
            "no {check} finding of {subject:?} is {state} with {found:?} and {remedy:?} in {}",
            self.text
        );
        Ok(())
    }

    /// Nothing is worse than `skipped`.
    fn is_clean(&self) -> Result<()> {
        let bad = |finding: &&Value| finding["state"] == "warn" || finding["state"] == "fail";
        let found: Vec<_> = self.findings().filter(bad).collect();
        ensure!(found.is_empty() && self.code == Some(0), "{:?}: {found:?}", self.code);
        Ok(())
    }
}
