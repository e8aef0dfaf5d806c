//! Which values of Postfix's own parameters would do harm. Pure.
//!
//! A value is refused, unless the operator insists, if it would open the relay, leak passwords into the
//! log or into mail, lose or redirect mail, or point to where this image does not look. What is merely
//! unusual passes. `verdicts.tsv` has a verdict on every parameter; the code here only applies it.

mod checks;
mod tables;
mod verdicts;

use verdicts::{Row, Verdict};

use crate::settings::environment::Problem;
use crate::settings::overrides::Overrides;

/// What the guard found, with one text per override.
#[derive(Debug, Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    /// What the operator is reminded of at every start, or insists on.
    pub warnings: Vec<String>,
}

/// Checks the value of every override.
pub fn check(overrides: &Overrides) -> Findings {
    let mut findings = Findings::default();
    let in_main = overrides.main.iter().map(|set| (set, false));
    let in_services = overrides.services.iter().map(|service| (&service.set, true));
    for (set, in_service) in in_main.chain(in_services) {
        let (advice, may_be_set) = match objection(&set.parameter, &set.value, in_service) {
            None => continue,
            Some(Objection::Notable(effect)) => {
                findings.warnings.push(set.problem(effect).to_string());
                continue;
            }
            Some(Objection::Ours(variable)) => {
                (format!("is set by {variable}; use that instead"), "")
            }
            Some(Objection::Harm(harm)) => (harm, " (ALLOW_UNSAFE_POSTFIX=true sets it anyway)"),
        };
        if overrides.unsafe_allowed {
            let problem = set.problem(advice);
            findings
                .warnings
                .push(format!("{problem}; set anyway because of ALLOW_UNSAFE_POSTFIX"));
        } else {
            findings.problems.push(set.problem(advice + may_be_set));
        }
    }
    findings
}

/// Why a parameter is not simply set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Objection {
    /// One of our own variables sets it.
    Ours(&'static str),
    /// It would do harm; the text says which.
    Harm(String),
    /// It is set, but the operator should know what it does.
    Notable(&'static str),
}

/// What a `$` may refer to: these are fixed, or set by variables of ours that are checked themselves.
const KNOWN_REFERENCES: &[&str] = &[
    "config_directory",
    "data_directory",
    "default_database_type",
    "mydomain",
    "myhostname",
    "mynetworks",
    "myorigin",
    "queue_directory",
];

/// The objection to a value in main.cf or, for one service, in master.cf.
fn objection(parameter: &str, value: &str, in_service: bool) -> Option<Objection> {
    // Parameters that are not in the file belong to a transport, like smtp_destination_rate_delay.
    let row = verdicts::find(parameter)?;
    let Some(verdict) = row.verdict() else {
        return Some(Objection::Harm("has a verdict that cannot be read".to_owned()));
    };
    if let Verdict::Ours { variable, in_a_service } = verdict {
        let may_differ = in_service && in_a_service.is_some_and(|may| may == "*" || may == value);
        return (!may_differ).then_some(Objection::Ours(variable));
    }
    if verdict.depends_on_the_value() && holds_a_reference(value) {
        // What a $ expands to is only known when Postfix runs.
        let harm = "cannot be checked with a $ in it; write the value out";
        return Some(Objection::Harm(harm.to_owned()));
    }
    if let Err(harm) = judge(&row, &verdict, value) {
        return Some(Objection::Harm(harm));
    }
    let is_notable = match verdict {
        // Set empty, it does nothing.
        Verdict::Warned(_) => !value.is_empty(),
        Verdict::WarnedUnless(usual) => !words(value).iter().all(|word| is_among(word, &usual)),
        _ => false,
    };
    is_notable.then_some(Objection::Notable(row.reason))
}

fn judge(row: &Row, verdict: &Verdict, value: &str) -> Result<(), String> {
    let reason = row.reason;
    match verdict {
        Verdict::Free
        | Verdict::Unused
        | Verdict::Ours { .. }
        | Verdict::Warned(None)
        | Verdict::WarnedUnless(_) => Ok(()),
        Verdict::Fixed => Err(reason.to_owned()),
        Verdict::OneOf(allowed) => match is_among(value, allowed) {
            true => Ok(()),
            false => Err(format!("{reason}; it must be {}", alternatives(allowed))),
        },
        Verdict::Only(allowed) => match words(value).iter().all(|word| is_among(word, allowed)) {
            true => Ok(()),
            false => Err(format!("may only contain {}; {reason}", allowed.join(" and "))),
        },
        Verdict::Holds(needed) => match needed.iter().all(|word| contains(value, word)) {
            true => Ok(()),
            false => Err(format!("must contain {}, or {reason}", needed.join(" and "))),
        },
        Verdict::Without(unwanted) => match unwanted.iter().any(|word| contains(value, word)) {
            false => Ok(()),
            true => Err(format!("must not contain {}, or {reason}", unwanted.join(" or "))),
        },
        Verdict::AtLeast(bound) => match bound.read(value) {
            Some(amount) if amount >= bound.amount => Ok(()),
            _ => Err(format!("must be at least {}, or {reason}", bound.text)),
        },
        Verdict::AtMost(bound) => match bound.read(value) {
            Some(amount) if amount <= bound.amount => Ok(()),
            _ => Err(format!("must be at most {}, or {reason}", bound.text)),
        },
        Verdict::Checked(check) | Verdict::Warned(Some(check)) => (check.run)(value),
    }
}

fn alternatives(words: &[&str]) -> String {
    let shown = words.iter().map(|word| if word.is_empty() { "empty" } else { word });
    shown.collect::<Vec<_>>().join(" or ")
}

/// Postfix accepts most keywords in upper and lower case.
fn is_among(word: &str, allowed: &[&str]) -> bool {
    allowed.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn contains(value: &str, word: &str) -> bool {
    words(value).iter().any(|found| found.eq_ignore_ascii_case(word))
}

/// Whether Postfix would insert something that is not known here. `$$` is a plain `$`.
fn holds_a_reference(value: &str) -> bool {
    let mut rest = value;
    while let Some((_, behind)) = rest.split_once('$') {
        if let Some(behind) = behind.strip_prefix('$') {
            rest = behind;
            continue;
        }
        let is_of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let (name, behind) = match behind.strip_prefix('{') {
            Some(behind) => behind.split_once('}').unwrap_or(("", "")),
            None => {
                let end = behind.find(|character| !is_of_a_name(character)).unwrap_or(behind.len());
                behind.split_at_checked(end).unwrap_or_default()
            }
        };
        if !KNOWN_REFERENCES.contains(&name) {
            return true;
        }
        rest = behind;
    }
    false
}

/// The words of a list; `{…}` counts as one.
fn words(value: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut depth = 0_u32;
    for character in value.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = depth == 0 && (character == ',' || character.is_ascii_whitespace());
        match words.last_mut() {
            Some(word) if !ends => word.push(character),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests;
