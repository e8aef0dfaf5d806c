//! What became worse from one look to the next. Pure.

use super::finding::{Finding, State};

/// Findings that are bad, and worse than all that was said of the same subject before.
pub fn worse<'a>(before: &[Finding], now: &'a [Finding]) -> Vec<&'a Finding> {
    let of_before = |finding: &Finding| {
        let same = |old: &&Finding| old.check == finding.check && old.subject == finding.subject;
        before.iter().filter(same).map(|old| old.state).max()
    };
    let is_worse = |finding: &&Finding| {
        finding.state >= State::Warn && of_before(finding).is_none_or(|old| old < finding.state)
    };
    now.iter().filter(is_worse).collect()
}

/// Whether everything bad is gone. What could not be looked at this time says nothing.
pub fn is_over(before: &[Finding], now: &[Finding]) -> bool {
    let is_bad = |finding: &Finding| finding.state >= State::Warn;
    let was_seen = |old: &Finding| {
        let same = |new: &Finding| new.check == old.check && new.state != State::Skipped;
        now.iter().any(same)
    };
    let mut bad = before.iter().filter(|finding| is_bad(finding)).peekable();
    bad.peek().is_some() && bad.all(was_seen) && !now.iter().any(is_bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Check;

    #[test]
    fn only_what_became_worse_is_told() {
        let finding = |state| Finding { state, ..Finding::ok(Check::Lists, "ZEN 192.0.2.1", "") };
        for (before, now, expected) in [
            (vec![], State::Ok, 0),
            (vec![], State::Skipped, 0),
            (vec![], State::Warn, 1),
            (vec![State::Ok], State::Warn, 1),
            (vec![State::Skipped], State::Fail, 1),
            (vec![State::Warn], State::Warn, 0),
            (vec![State::Warn], State::Fail, 1),
            (vec![State::Fail], State::Warn, 0),
            (vec![State::Ok, State::Fail], State::Fail, 0),
        ] {
            let before: Vec<_> = before.into_iter().map(finding).collect();
            assert_eq!(worse(&before, &[finding(now)]).len(), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn it_is_over_when_it_is_known_to_be() {
        let finding = |state| Finding { state, ..Finding::ok(Check::Lists, "ZEN 192.0.2.1", "") };
        for (before, now, expected) in [
            (State::Warn, State::Ok, true),
            (State::Fail, State::Ok, true),
            (State::Fail, State::Skipped, false),
            (State::Fail, State::Warn, false),
            (State::Ok, State::Ok, false),
        ] {
            assert_eq!(
                is_over(&[finding(before)], &[finding(now)]),
                expected,
                "{before:?} {now:?}"
            );
        }
    }
}
