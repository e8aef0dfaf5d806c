//! What is asked on the control socket, and answered: `{"v":1,"ask":"status"}`, `{"v":1,"answer":{"status":…}}`. Pure,
//! bounded.

use serde::{Deserialize, Serialize};

use crate::history::{Excerpt, Filter};
use crate::limits::usage::Usage;
use crate::status::Status;

/// Version of the protocol, the member `v` of both.
const VERSION: u32 = 1;
/// Bytes of a question.
pub const MAX_QUESTION: usize = 8 << 10;
/// Bytes of an answer that a command reads: all of the history with every field as long as it may be.
pub const MAX_ANSWER: u64 = 32 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    Status,
    /// A test to everywhere that alerts go.
    AlertTest,
    /// What a user used by way of other relays of the fleet.
    UsedElsewhere {
        user: String,
    },
    History {
        #[serde(default)]
        filter: Filter,
        /// Messages; the newest are answered.
        most: usize,
        /// Only entries from this second since 1970 on are answered, of messages that match as a whole.
        #[serde(default)]
        since: u64,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status(Box<Status>),
    History(Excerpt),
    /// A sentence for each channel, and whether it worked.
    AlertTest(Vec<(String, bool)>),
    /// The name of each other relay, and what was used by way of it.
    UsedElsewhere(Vec<(String, Usage)>),
    Error(String),
}

/// A question on its way.
#[derive(Serialize, Deserialize)]
struct Asked<T> {
    v: u32,
    #[serde(flatten)]
    question: T,
}

/// An answer on its way.
#[derive(Serialize, Deserialize)]
struct Answered<T> {
    v: u32,
    answer: T,
}

/// What can be read of any version.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// A question as a line.
pub fn question(question: &Question) -> Vec<u8> {
    line(&Asked { v: VERSION, question })
}

/// An answer as a line.
pub fn answer(answer: &Answer) -> Vec<u8> {
    line(&Answered { v: VERSION, answer })
}

/// A value as a line of JSON.
pub fn line(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys other than strings can fail, and there is none.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads a question.
///
/// # Errors
///
/// A sentence that says what is wrong with it.
pub fn decode(line: &[u8]) -> Result<Question, String> {
    if line.len() > MAX_QUESTION {
        return Err(format!("a question has at most {MAX_QUESTION} bytes"));
    }
    read::<Asked<Question>>(line).map(|asked| asked.question)
}

/// Reads an answer.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_answer(line: &[u8]) -> Result<Answer, String> {
    read::<Answered<Answer>>(line).map(|answered| answered.answer)
}

fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    let advice = "is relay serve another version than this command? Restart the container";
    match serde_json::from_slice::<Versioned>(line) {
        Ok(versioned) if versioned.v == VERSION => serde_json::from_slice(line)
            .map_err(|error| format!("cannot understand the other side ({error}); {advice}")),
        Ok(other) => Err(format!("version {} of the protocol, not {VERSION}; {advice}", other.v)),
        Err(error) => Err(format!("cannot understand the other side ({error}); {advice}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_survive_the_way() {
        let filter = Filter { user: Some("alice".to_owned()), ..Filter::default() };
        for asked in [Question::Status, Question::History { filter, most: 7, since: 9 }] {
            assert_eq!(decode(&question(&asked)), Ok(asked));
        }
        let found = Excerpt { entries: Vec::new(), since: 1, remembered: 0 };
        for given in
            [Answer::Status(Box::default()), Answer::History(found), Answer::Error("no".into())]
        {
            assert_eq!(decode_answer(&answer(&given)), Ok(given));
        }
    }

    #[test]
    fn nonsense_and_other_versions_are_told() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"ask\":\"status\"}",
            "{\"v\":2,\"ask\":\"status\"}",
            "{\"v\":1,\"ask\":\"everything\"}",
            "{\"v\":1,\"ask\":\"history\"}",
        ] {
            assert!(decode(text.as_bytes()).unwrap_err().contains("another version"), "{text}");
            assert!(decode_answer(text.as_bytes()).unwrap_err().contains("another version"));
        }
        assert!(decode(&[b' '; MAX_QUESTION + 1]).unwrap_err().contains("at most 8192"));
    }
}
