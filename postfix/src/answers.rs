//! What the answers of the big receivers mean, and what to do about them. Pure.
//!
//! The table is data, `data/answers.tsv`, which the sidecar includes, too. An answer is a stranger's
//! text: an explanation never repeats it.

use std::fmt;
use std::sync::LazyLock;

const TABLE: &str = include_str!("../../data/answers.tsv");
/// Bytes of an answer that are looked at. RFC 5321 4.5.3.1.5 allows 512 a line, and the longest answers
/// that mean something have five.
const LONGEST_ANSWER: usize = 4096;

static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect());

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Who answers like this; empty when many do.
    pub receiver: &'static str,
    pub meaning: &'static str,
    pub remedy: &'static str,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.receiver.is_empty() {
            write!(f, "{}: ", self.receiver)?;
        }
        write!(f, "{} {}", self.meaning, self.remedy)
    }
}

/// Explains an answer of a receiver, or Postfix's own reason for a delay, as the log and the queue have
/// them: lines joined by blanks.
pub fn explain(answer: &str) -> Option<Explanation> {
    let answer = Answer::read(answer);
    ROWS.iter().find(|row| row.fits(&answer)).map(|row| row.explanation)
}

struct Row {
    code: Option<Code>,
    words: Vec<&'static str>,
    explanation: Explanation,
}

/// Enhanced codes (RFC 3463) that a row is about.
struct Code {
    /// `None` for any class.
    class: Option<u16>,
    subject: u16,
    details: std::ops::RangeInclusive<u16>,
}

/// An answer, ready to be compared.
struct Answer {
    codes: Vec<[u16; 3]>,
    /// In lower case, without codes, with one blank between words: a receiver repeats its code in every
    /// line, in the middle of a sentence.
    text: String,
}

fn row(line: &'static str) -> Option<Row> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (receiver, code, words) = (next()?, next()?, next()?);
    let (meaning, remedy) = (next()?, next()?);
    let code = if code == "-" { None } else { Some(code_of_row(code)?) };
    let receiver = if matches!(receiver, "any" | "here") { "" } else { receiver };
    let explanation = Explanation { receiver, meaning, remedy };
    Some(Row { code, words: words.split(" & ").collect(), explanation })
}

fn code_of_row(text: &str) -> Option<Code> {
    let mut parts = text.split('.');
    let class = match parts.next()? {
        "*" => None,
        class => Some(class.parse().ok()?),
    };
    let subject = parts.next()?.parse().ok()?;
    let details = parts.next()?;
    let (first, last) = details.split_once('-').unwrap_or((details, details));
    Some(Code { class, subject, details: first.parse().ok()?..=last.parse().ok()? })
}

impl Row {
    fn fits(&self, answer: &Answer) -> bool {
        let code = self.code.as_ref();
        code.is_none_or(|code| answer.codes.iter().any(|&of_answer| code.covers(of_answer)))
            && self.words.iter().all(|words| answer.text.contains(words))
    }
}

impl Code {
    fn covers(&self, [class, subject, detail]: [u16; 3]) -> bool {
        self.class.is_none_or(|wanted| wanted == class)
            && self.subject == subject
            && self.details.contains(&detail)
    }
}

impl Answer {
    fn read(answer: &str) -> Self {
        let start = answer.get(..answer.floor_char_boundary(LONGEST_ANSWER)).unwrap_or_default();
        let mut codes = Vec::new();
        let mut text = String::with_capacity(start.len());
        for word in start.split_whitespace() {
            if let Some(code) = enhanced_code(word) {
                if !codes.contains(&code) {
                    codes.push(code);
                }
            } else if !is_reply_code(word) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(&continued(word).to_ascii_lowercase());
            }
        }
        Self { codes, text }
    }
}

/// `550-Text` is a line that others follow.
fn continued(word: &str) -> &str {
    match word.split_once('-') {
        Some((code, rest)) if is_reply_code(code) => rest,
        _ => word,
    }
}

fn is_reply_code(word: &str) -> bool {
    word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|b| b.is_ascii_digit())
}

fn enhanced_code(word: &str) -> Option<[u16; 3]> {
    let mut parts = continued(word).split('.');
    let mut next = || parts.next()?.parse().ok();
    let code: [u16; 3] = [next()?, next()?, next()?];
    (parts.next().is_none() && matches!(code, [4 | 5, ..])).then_some(code)
}

#[cfg(test)]
mod tests;
