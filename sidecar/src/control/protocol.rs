//! What is asked on the control socket, and answered. Pure, bounded.

use serde::{Deserialize, Serialize};

use crate::history::{Excerpt, Filter};
use crate::status::Status;

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
    History {
        #[serde(default)]
        filter: Filter,
        /// Entries; the newest are answered.
        most: usize,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status(Box<Status>),
    History(Excerpt),
    /// A sentence for each channel, and whether it worked.
    AlertTest(Vec<(String, bool)>),
    Error(String),
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
    serde_json::from_slice(line).map_err(|error| {
        format!("the daemon does not understand the question, is it another version? ({error})")
    })
}

/// A question or an answer as a line.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys other than strings can fail, and there is none.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_survive_the_way_and_nonsense_is_told() {
        let filter = Filter { user: Some("alice".to_owned()), ..Filter::default() };
        for question in [Question::Status, Question::History { filter, most: 7 }] {
            assert_eq!(decode(&encode(&question)), Ok(question));
        }
        for text in ["", "{}", "{\"ask\":\"everything\"}", "[]", "{\"ask\":\"history\"}"] {
            assert!(decode(text.as_bytes()).unwrap_err().contains("another version"), "{text}");
        }
        assert!(decode(&[b' '; MAX_QUESTION + 1]).unwrap_err().contains("at most 8192"));
    }
}
