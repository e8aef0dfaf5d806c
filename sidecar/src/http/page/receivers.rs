//! What receivers said lately, and what it means. Pure.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::html::Text;
use crate::answers::{Explanation, explain};
use crate::history::{Entry, Event};
use crate::status::words::number;

/// Explanations that are shown.
const MOST: usize = 3;

/// The most frequent answers that can be explained, of deliveries that failed. It names nobody but receivers.
pub fn said(entries: &[Entry]) -> String {
    let failed = entries
        .iter()
        .filter(|entry| matches!(entry.event, Event::Deferred | Event::Bounced | Event::Expired));
    let mut counts: HashMap<&'static str, (Explanation, u64)> = HashMap::new();
    for explanation in failed.filter_map(|entry| explain(&entry.answer)) {
        counts.entry(explanation.meaning).or_insert((explanation, 0)).1 += 1;
    }
    let mut counts: Vec<(Explanation, u64)> = counts.into_values().collect();
    counts.sort_by_key(|(explanation, count)| (std::cmp::Reverse(*count), explanation.meaning));
    if counts.is_empty() {
        return String::new();
    }
    let mut text = "<table><caption>What receivers meant lately</caption><tbody>".to_owned();
    for (explanation, count) in counts.into_iter().take(MOST) {
        let (count, words) = (number(count), explanation.to_string());
        // Writing to a String cannot fail.
        write!(text, "<tr><td class=\"number\">{count}</td><td>{}</td></tr>", Text(&words)).ok();
    }
    text + "</tbody></table>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_answers_are_explained_and_nobody_is_named() {
        let entry = |event, answer: &str| Entry {
            recipients: "bob@example.net".to_owned(),
            answer: answer.to_owned(),
            ..Entry::new(1, event)
        };
        let google = "host gmail-smtp-in.l.google.com[192.0.2.1] said: 550-5.7.26 Your email has been \
                      blocked because the sender is unauthenticated. gsmtp";
        let entries = [
            entry(Event::Bounced, google),
            entry(Event::Deferred, google),
            entry(Event::Deferred, "<script> nobody knows this <script>"),
            entry(Event::Sent, google),
        ];
        let text = said(&entries);
        assert!(
            text.contains("<td class=\"number\">2</td><td>Google: Neither SPF nor DKIM"),
            "{text}"
        );
        assert!(!text.contains("script") && !text.contains("bob@"), "{text}");
        assert_eq!(said(&[]), "");
    }
}
