//! Lists of addresses and names that receivers refuse. Pure.

use crate::doctor::blocklists::{Meaning, Weight, meaning};
use crate::doctor::facts::{Facts, ListAnswer};
use crate::doctor::finding::{Check, Finding};

pub fn check(facts: &Facts) -> Vec<Finding> {
    facts.lists.iter().map(judge).collect()
}

fn judge(asked: &ListAnswer) -> Finding {
    let (list, subject) = (asked.list, &asked.subject);
    let place = format!("{} {subject}", list.name);
    let answers = match &asked.answer {
        Ok(found) => &found.records,
        Err(error) => return Finding::skipped(Check::Lists, place, error),
    };
    let means = |wanted| answers.iter().find(|answer| meaning(**answer) == wanted);
    if let Some(answer) = means(Meaning::NotAnswered) {
        let why = format!(
            "the list refuses this resolver ({answer}): public resolvers and those of clouds are refused; \
             look it up at {}",
            list.removal
        );
        return Finding::skipped(Check::Lists, place, why);
    }
    if let Some(answer) = means(Meaning::Nonsense) {
        let why = format!("the resolver makes answers up ({answer}): use another one");
        return Finding::skipped(Check::Lists, place, why);
    }
    let Some(answer) = answers.first() else {
        return Finding::ok(Check::Lists, place, "not listed");
    };
    let found = format!("listed ({answer})");
    let remedy = format!("end what caused it, then ask for removal: {}", list.removal);
    match list.weight {
        Weight::Refuses => Finding::fail(Check::Lists, place, found, remedy),
        Weight::Counts => Finding::warn(Check::Lists, place, found, remedy),
    }
}
