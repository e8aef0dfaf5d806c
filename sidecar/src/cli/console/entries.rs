//! The history on a terminal: each message with its deliveries below it. Pure.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::answers::explain;
use crate::history::{Entry, Event, Excerpt};
use crate::printable::Printable;
use crate::status::words;

/// All entries in words, and how far back the memory goes.
pub fn render(found: &Excerpt) -> String {
    let mut text = String::new();
    let mut shown = HashSet::new();
    for entry in &found.entries {
        if entry.queue_id.is_empty() {
            text.push_str(&line(entry));
        } else if shown.insert(&entry.queue_id) {
            let same = found.entries.iter().filter(|other| other.queue_id == entry.queue_id);
            same.for_each(|entry| text.push_str(&line(entry)));
        }
    }
    let (since, all) = (time(found.since), words::number(found.remembered as u64));
    // Writing to a String cannot fail.
    match found.entries.len() {
        0 => writeln!(text, "nothing matches among {all} entries; none is missing since {since}"),
        found => {
            let found = words::number(found as u64);
            writeln!(text, "{found} of {all} entries; none is missing since {since}")
        }
    }
    .ok();
    text
}

/// One entry, and below it what the receiver's answer means, if it is a well-known one.
pub fn line(entry: &Entry) -> String {
    let mut text = String::new();
    let is_delivery =
        matches!(entry.event, Event::Sent | Event::Deferred | Event::Bounced | Event::Expired);
    let indent = if is_delivery { "  " } else { "" };
    write!(text, "{}  {indent}{}", time(entry.time), entry.event.words()).ok();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            write!(text, " {name}{}", Printable(value.as_bytes())).ok();
        }
    };
    add("", &entry.queue_id);
    add("user=", &entry.user);
    add("client=", &entry.client);
    add("from=", &entry.sender);
    add("to=", &entry.recipients);
    add("via=", &entry.next_hop);
    if !entry.reason.is_empty() {
        write!(text, " ({})", Printable(entry.reason.as_bytes())).ok();
    }
    if !entry.answer.is_empty() {
        // Words with blanks between them, each safe by itself.
        let words = entry.answer.split(' ').map(|word| Printable(word.as_bytes()).to_string());
        write!(text, ": {}", words.collect::<Vec<_>>().join(" ")).ok();
    }
    if let Some(next_try) = entry.next_try {
        write!(text, "; next try after {}", time(next_try)).ok();
    }
    text.push('\n');
    let has_failed = is_delivery && entry.event != Event::Sent;
    if let Some(explanation) = explain(&entry.answer).filter(|_| has_failed) {
        writeln!(text, "      {explanation}").ok();
    }
    text
}

fn time(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_stand_below_their_message_and_nothing_moves_the_cursor() {
        let entry = |time, event, queue_id: &str| Entry {
            queue_id: queue_id.to_owned(),
            ..Entry::new(time, event)
        };
        let accepted = |time, id| Entry {
            user: "alice".to_owned(),
            client: "203.0.113.5".to_owned(),
            sender: "<a@example.org>".to_owned(),
            recipients: "<b@example.net>".to_owned(),
            reason: "logged_in".to_owned(),
            ..entry(time, Event::Accepted, id)
        };
        let deferred = Entry {
            recipients: "b@example.net".to_owned(),
            next_hop: "mx[192.0.2.1]:25".to_owned(),
            answer: "host said: 451 \u{1b}[2J later".to_owned(),
            next_try: Some(400),
            ..entry(90, Event::Deferred, "Q1")
        };
        let entries = vec![
            accepted(60, "Q1"),
            accepted(70, "Q2"),
            Entry { reason: "not_allowed".to_owned(), ..Entry::new(80, Event::Refused) },
            deferred,
        ];
        let text = render(&Excerpt { entries, since: 0, remembered: 1_234 });
        assert_eq!(
            text,
            "1970-01-01T00:01:00Z  accepted Q1 user=alice client=203.0.113.5 from=<a@example.org> \
             to=<b@example.net> (logged_in)\n\
             1970-01-01T00:01:30Z    deferred Q1 to=b@example.net via=mx[192.0.2.1]:25: host said: \
             451 \\u{1b}[2J later; next try after 1970-01-01T00:06:40Z\n\
             1970-01-01T00:01:10Z  accepted Q2 user=alice client=203.0.113.5 from=<a@example.org> \
             to=<b@example.net> (logged_in)\n\
             1970-01-01T00:01:20Z  refused (not_allowed)\n\
             4 of 1,234 entries; none is missing since 1970-01-01T00:00:00Z\n"
        );
        let none = render(&Excerpt { entries: vec![], since: 0, remembered: 2 });
        assert!(none.starts_with("nothing matches among 2 entries"), "{none}");
    }
}
