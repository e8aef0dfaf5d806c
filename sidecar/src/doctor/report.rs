//! Findings as a table and as JSON. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Check, Finding, State, Verdict};

/// What `relay doctor --json` prints.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub can_mail_arrive: Verdict,
    pub findings: &'a [Finding],
}

/// Escape sequences for the states, or none.
#[derive(Debug, Clone, Copy)]
pub struct Colours(pub bool);

impl Colours {
    fn of(self, state: State) -> (&'static str, &'static str) {
        match (self.0, state) {
            (false, _) => ("", ""),
            (true, State::Ok) => ("\x1b[32m", "\x1b[0m"),
            (true, State::Skipped) => ("\x1b[2m", "\x1b[0m"),
            (true, State::Warn) => ("\x1b[33m", "\x1b[0m"),
            (true, State::Fail) => ("\x1b[1;31m", "\x1b[0m"),
        }
    }
}

/// The answer first, then every finding below its check.
pub fn table(findings: &[Finding], colours: Colours) -> String {
    let mut text = format!("Can mail arrive: {}\n", answer(findings));
    // Writing to a String cannot fail, here and below.
    for check in Check::ALL {
        let mut of_check = findings.iter().filter(|finding| finding.check == check).peekable();
        if of_check.peek().is_some() {
            writeln!(text, "\n{check}").ok();
        }
        for finding in of_check {
            line(&mut text, finding, colours);
        }
    }
    text
}

fn line(text: &mut String, finding: &Finding, colours: Colours) {
    let (colour, end) = colours.of(finding.state);
    let state = word(finding.state);
    writeln!(text, "  {colour}{state:<8}{end}{}: {}", finding.subject, finding.found).ok();
    if !finding.remedy.is_empty() {
        writeln!(text, "          → {}", finding.remedy).ok();
    }
}

pub fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Skipped => "skipped",
        State::Warn => "warn",
        State::Fail => "FAIL",
    }
}

fn answer(findings: &[Finding]) -> String {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (fails, warnings) = (count(State::Fail), count(State::Warn));
    let things = |number: usize| match number {
        1 => "1 thing".to_owned(),
        number => format!("{number} things"),
    };
    match (Verdict::of(findings), warnings) {
        (Verdict::Yes, 0) => "yes".to_owned(),
        (Verdict::Yes, warnings) => format!("yes; {} could be better", things(warnings)),
        (Verdict::NotYet, _) => format!("not yet: {} to mend", things(fails)),
        (Verdict::No, _) => format!("no: {} to mend, the way out first", things(fails)),
        (Verdict::Unknown, _) => "not known: too little could be looked at".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_first_and_the_worst_decides() {
        let way = |state| Finding { state, ..Finding::ok(Check::WayOut, "port 25", "") };
        let list = |state| Finding { state, ..Finding::ok(Check::Lists, "ZEN", "") };
        for (findings, expected) in [
            (vec![way(State::Ok)], "yes"),
            (vec![way(State::Ok), list(State::Warn)], "yes; 1 thing could be better"),
            (vec![way(State::Ok), list(State::Fail)], "not yet: 1 thing to mend"),
            (vec![list(State::Fail), way(State::Fail)], "no: 2 things to mend, the way out first"),
            (
                vec![way(State::Skipped), list(State::Ok)],
                "not known: too little could be looked at",
            ),
            (vec![list(State::Skipped)], "not known: too little could be looked at"),
            (vec![list(State::Ok)], "yes"),
        ] {
            let text = table(&findings, Colours(false));
            assert!(text.starts_with(&format!("Can mail arrive: {expected}\n")), "{text}");
        }
    }

    #[test]
    fn findings_stand_below_their_check_with_what_to_do() {
        let findings = [
            Finding::ok(Check::Lists, "ZEN 192.0.2.1", "not listed"),
            Finding::fail(Check::Name, "192.0.2.1", "has no PTR record", "ask the provider"),
        ];
        let expected = "Can mail arrive: not yet: 1 thing to mend\n\nname\n  FAIL    192.0.2.1: has no PTR record\n          \
                        → ask the provider\n\nlists\n  ok      ZEN 192.0.2.1: not listed\n";
        assert_eq!(table(&findings, Colours(false)), expected);
        assert!(table(&findings, Colours(true)).contains("\x1b[1;31mFAIL    \x1b[0m"));
    }
}
