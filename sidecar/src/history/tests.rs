use super::*;

fn message(number: usize) -> Entry {
    Entry {
        queue_id: format!("Q{number}"),
        user: "alice".to_owned(),
        client: "203.0.113.5".to_owned(),
        sender: "alice@example.org".to_owned(),
        recipients: "bob@example.net".to_owned(),
        reason: "logged_in".to_owned(),
        ..Entry::new(number as u64, Event::Accepted)
    }
}

fn delivery(number: usize, event: Event) -> Entry {
    Entry {
        queue_id: format!("Q{number}"),
        recipients: "bob@example.net".to_owned(),
        next_hop: "mx.example.net[192.0.2.1]:25".to_owned(),
        answer: "250 2.0.0 Ok".to_owned(),
        ..Entry::new(number as u64 + 1, event)
    }
}

fn refusal() -> Entry {
    Entry {
        client: "198.51.100.7".to_owned(),
        sender: "eve@example.com".to_owned(),
        recipients: "bob@example.net".to_owned(),
        reason: "not_allowed".to_owned(),
        ..Entry::new(9, Event::Refused)
    }
}

fn history(redacted: bool) -> History {
    let mut history = History::new(0, redacted);
    for entry in [
        message(1),
        delivery(1, Event::Sent),
        message(2),
        delivery(2, Event::Deferred),
        delivery(2, Event::Sent),
        refusal(),
    ] {
        history.add(entry);
    }
    history
}

fn filter(field: &str, value: &str) -> Filter {
    serde_json::from_value(serde_json::json!({ field: value })).unwrap()
}

#[test]
fn a_message_is_found_by_each_field_with_all_its_deliveries() {
    for (field, value, expected) in [
        ("user", "Alice", 5),
        ("user", "bob", 0),
        ("sender", "alice@example.org", 5),
        ("sender", "eve@example.com", 1),
        ("recipient", "bob@EXAMPLE.net", 6),
        ("queue_id", "Q2", 3),
        ("queue_id", "Q", 0),
        ("reason", "not_allowed", 1),
        ("reason", "logged_in", 5),
        ("text", "mx.example.net", 5),
        ("text", "deferred", 3),
        ("text", "198.51.100.7", 1),
    ] {
        for redacted in [false, true] {
            let found = history(redacted).find(&filter(field, value), 100).entries.len();
            assert_eq!(found, expected, "{field} {value}");
        }
    }
    assert!(history(false).find(&Filter::default(), 2).entries.ends_with(&[refusal()]));
}

#[test]
fn the_memory_is_bounded_in_entries_and_bytes_and_says_how_far_back_it_goes() {
    let mut history = History::new(0, false);
    for number in 0..MAX_ENTRIES {
        history.add(message(number));
    }
    assert_eq!(history.find(&Filter::default(), 1).since, 0);
    let long = "é".repeat(10_000);
    for number in 0..500 {
        let answer = long.clone();
        history.add(Entry { user: long.clone(), answer, ..message(2_000 + number) });
    }
    let found = history.find(&Filter::default(), usize::MAX);
    assert_eq!((found.entries.len(), found.remembered, found.since), (1_000, 1_000, 500));
    for _ in 0..5_000 {
        history.add(refusal());
    }
    let found = history.find(&Filter::default(), usize::MAX);
    assert_eq!(found.remembered, 2_000, "strangers push out nobody's mail");
    let last = found.entries.last().unwrap();
    assert!(last.user.len() <= MAX_FIELD && last.user.ends_with('…'));
    assert!(last.answer.len() <= MAX_ANSWER);
}

#[test]
fn redacted_entries_name_nobody() {
    let found = history(true).find(&Filter::default(), 100);
    let text = serde_json::to_string(&found).unwrap();
    assert!(text.contains("a***@example.org") && text.contains("b***@example.net"), "{text}");
    assert!(!text.contains("alice@") && !text.contains("bob@"), "{text}");
}
