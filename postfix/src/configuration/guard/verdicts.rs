//! The verdict on each parameter, read from `verdicts.tsv`.

use super::checks::{self, Check};

const FILE: &str = include_str!("verdicts.tsv");
const NO_ARGUMENT: &str = "-";

/// One line of the file.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub parameter: &'static str,
    kind: &'static str,
    argument: &'static str,
    /// The harm, as the operator is told, or why there is none.
    pub reason: &'static str,
}

#[derive(Debug)]
pub enum Verdict {
    /// Any value is harmless.
    Free,
    /// Nothing that runs here reads it.
    Unused,
    /// One of our own variables sets it. A single service may differ.
    Ours {
        variable: &'static str,
        in_a_service: Option<&'static str>,
    },
    /// Any other value than the rendered one does harm.
    Fixed,
    /// Only these words are harmless.
    OneOf(Vec<&'static str>),
    /// A list that may only contain these words.
    Only(Vec<&'static str>),
    /// A list that must contain all of these words.
    Holds(Vec<&'static str>),
    /// A list that must contain none of these words.
    Without(Vec<&'static str>),
    AtLeast(Bound),
    AtMost(Bound),
    Checked(&'static Check),
    /// It is set if it passes the check, with a warning at every start.
    Warned(Option<&'static Check>),
    /// Warned about if it contains anything but these words.
    WarnedUnless(Vec<&'static str>),
}

/// The limit of what is allowed.
#[derive(Debug)]
pub struct Bound {
    /// As shown to the operator.
    pub text: &'static str,
    /// In seconds, if it is a time.
    pub amount: u64,
    /// The unit of a time that is written without one, which differs between parameters.
    default_unit: Option<char>,
}

/// The line of a parameter.
pub fn find(parameter: &str) -> Option<Row> {
    rows().find(|row| row.parameter == parameter)
}

pub fn rows() -> impl Iterator<Item = Row> {
    FILE.lines().filter(|line| !line.starts_with('#')).filter_map(Row::parse)
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (parameter, kind) = (fields.next()?, fields.next()?);
        let (argument, reason) = (fields.next()?, fields.next()?);
        fields.next().is_none().then_some(Self { parameter, kind, argument, reason })
    }

    /// `None` is a mistake in the file, which a test looks for.
    pub fn verdict(&self) -> Option<Verdict> {
        let has_none = self.argument == NO_ARGUMENT;
        let verdict = match self.kind {
            "free" if has_none => Verdict::Free,
            "unused" if has_none => Verdict::Unused,
            "fixed" if has_none => Verdict::Fixed,
            "warned" if has_none => Verdict::Warned(None),
            _ if has_none || self.argument.is_empty() => return None,
            "ours" => {
                let (variable, in_a_service) = match self.argument.split_once(" / ") {
                    Some((variable, in_a_service)) => (variable, Some(in_a_service)),
                    None => (self.argument, None),
                };
                Verdict::Ours { variable, in_a_service }
            }
            "one-of" => Verdict::OneOf(self.words()),
            "only" => Verdict::Only(self.words()),
            "holds" => Verdict::Holds(self.words()),
            "without" => Verdict::Without(self.words()),
            "at-least" => Verdict::AtLeast(Bound::parse(self.argument)?),
            "at-most" => Verdict::AtMost(Bound::parse(self.argument)?),
            "checked" => Verdict::Checked(checks::find(self.argument)?),
            "warned-unless" => Verdict::WarnedUnless(self.words()),
            "warned" => Verdict::Warned(Some(checks::find(self.argument)?)),
            _ => return None,
        };
        Some(verdict)
    }

    /// The argument as words, where `""` is the empty one.
    fn words(&self) -> Vec<&'static str> {
        self.argument.split(' ').map(|word| if word == "\"\"" { "" } else { word }).collect()
    }
}

impl Verdict {
    /// Whether some values pass and others do not, so that a value has to be known.
    pub fn depends_on_the_value(&self) -> bool {
        match self {
            Self::Free
            | Self::Unused
            | Self::Fixed
            | Self::Warned(None)
            | Self::WarnedUnless(_)
            | Self::Ours { .. } => false,
            Self::Checked(check) | Self::Warned(Some(check)) => !check.dollars_are_text,
            Self::OneOf(_)
            | Self::Only(_)
            | Self::Holds(_)
            | Self::Without(_)
            | Self::AtLeast(_)
            | Self::AtMost(_) => true,
        }
    }
}

impl Bound {
    fn parse(argument: &'static str) -> Option<Self> {
        let (text, unit) = argument.split_once(' ').unwrap_or((argument, ""));
        let default_unit = unit.chars().next();
        let amount = amount(text, default_unit)?;
        Some(Self { text, amount, default_unit })
    }

    /// The amount in a value; `None` if Postfix would not understand it.
    pub fn read(&self, value: &str) -> Option<u64> {
        amount(value, self.default_unit)
    }
}

/// A number, or the seconds of a time if there is a default unit.
fn amount(text: &str, default_unit: Option<char>) -> Option<u64> {
    let Some(default_unit) = default_unit else { return text.parse().ok() };
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let mut letters = unit.chars();
    let unit = letters.next().unwrap_or(default_unit);
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    letters.next().is_none().then(|| number.checked_mul(seconds))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &str = include_str!("../../settings/parameters.txt");

    #[test]
    fn every_parameter_has_one_row_that_can_be_read() {
        let found: Vec<&str> = rows().map(|row| row.parameter).collect();
        assert_eq!(found, PARAMETERS.lines().collect::<Vec<_>>());
        let lines = FILE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(found.len(), lines, "a line does not have four fields");
        for row in rows() {
            assert!(row.verdict().is_some(), "{row:?}");
            assert!(row.reason.len() > 4, "{row:?}");
        }
    }

    #[test]
    fn every_check_is_in_use() {
        let named = |name| rows().any(|row| row.argument == name);
        for check in checks::CHECKS {
            assert!(named(check.name), "{}", check.name);
        }
    }

    #[test]
    fn times_have_a_unit_of_their_own_or_the_parameter_s() {
        for (text, unit, expected) in [
            ("10", None, Some(10)),
            ("10s", None, None),
            ("10", Some('d'), Some(864_000)),
            ("10s", Some('d'), Some(10)),
            ("2w", Some('s'), Some(1_209_600)),
            ("2y", Some('s'), None),
            ("2hh", Some('s'), None),
            ("-1", Some('s'), None),
            ("", Some('s'), None),
            ("99999999999999999999", Some('s'), None),
            ("9999999999999999999", Some('w'), None),
        ] {
            assert_eq!(amount(text, unit), expected, "{text} {unit:?}");
        }
    }
}
