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

/// Everything, redacted or not.
fn history(redactor: &Redactor) -> History {
    let mut history = History::new(0);
    for entry in [
        message(1),
        delivery(1, Event::Sent),
        message(2),
        delivery(2, Event::Deferred),
        delivery(2, Event::Sent),
        refusal(),
    ] {
        history.add(entry.kept(redactor));
    }
    history
}

fn filter(fields: &[(&str, &str)]) -> Filter {
    let fields: serde_json::Map<_, _> =
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).into())).collect();
    serde_json::from_value(fields.into()).unwrap()
}

fn all(history: &History) -> Excerpt {
    history.snapshot().find(&Filter::default(), usize::MAX)
}

#[test]
fn a_message_is_found_by_what_any_of_its_entries_says() {
    let redactors = [Redaction::None, Redaction::Mask, Redaction::Hash];
    for redactor in redactors.map(|redaction| Redactor::new(redaction).unwrap()) {
        for (fields, expected) in [
            (&[("user", "Alice")][..], 5),
            (&[("user", "alic")], 0),
            (&[("sender", "alice@example.org")], 5),
            (&[("sender", "@example.org")], 5),
            (&[("sender", "eve@example.com")], 1),
            (&[("recipient", "bob@EXAMPLE.net")], 6),
            (&[("queue_id", "Q2")], 3),
            (&[("queue_id", "Q")], 0),
            (&[("reason", "not_allowed")], 1),
            (&[("reason", "logged_in")], 5),
            (&[("reason", "deferred")], 3),
            (&[("text", "mx.example.net")], 5),
            (&[("text", "deferred")], 3),
            (&[("text", "198.51.100.7")], 1),
            (&[("user", "alice"), ("reason", "deferred")], 3),
            (&[("user", "alice"), ("sender", "eve@example.com")], 0),
        ] {
            let filter = filter(fields).redacted(&redactor);
            let found = history(&redactor).snapshot().find(&filter, 100).entries.len();
            assert_eq!(found, expected, "{fields:?} {redactor:?}");
        }
    }
}

#[test]
fn whole_messages_are_answered_and_the_newest_of_them() {
    let history = history(&Redactor::Off);
    let newest = |most| history.snapshot().find(&Filter::default(), most).entries;
    assert_eq!(newest(1), [refusal()]);
    assert_eq!(newest(0), []);
    let two = newest(2);
    assert_eq!(two.len(), 4);
    assert_eq!(two[0], message(2));
}

#[test]
fn the_memory_is_bounded_in_entries_and_bytes_and_says_how_far_back_it_goes() {
    let mut history = History::new(0);
    for number in 0..MAX_ENTRIES {
        history.add(message(number));
    }
    assert_eq!(all(&history).since, 0);
    let long = "é".repeat(10_000);
    for number in 0..500 {
        let answer = long.clone();
        let entry = Entry { user: long.clone(), answer, ..message(2_000 + number) };
        history.add(entry.kept(&Redactor::Off));
    }
    let found = all(&history);
    assert_eq!((found.entries.len(), found.remembered, found.since), (1_000, 1_000, 500));
    for _ in 0..5_000 {
        history.add(refusal());
    }
    let found = all(&history);
    assert_eq!(found.remembered, 2_000, "strangers push out nobody's mail");
    let last = found.entries.iter().rfind(|entry| entry.event == Event::Accepted).unwrap();
    assert!(last.user.len() <= MAX_FIELD && last.user.ends_with('…'));
    assert!(last.answer.len() <= MAX_ANSWER);
}

#[test]
fn strangers_push_out_no_refusal_of_a_user() {
    let mut history = History::new(0);
    history.add(Entry { user: "alice".to_owned(), ..refusal() });
    (0..5_000).for_each(|_| history.add(refusal()));
    let found = history.snapshot().find(&filter(&[("user", "alice")]), 9);
    assert_eq!(found.entries.len(), 1);
}

#[test]
fn redacted_entries_name_nobody() {
    for redaction in [Redaction::Mask, Redaction::Hash] {
        let found = all(&history(&Redactor::new(redaction).unwrap()));
        let text = serde_json::to_string(&found).unwrap();
        assert!(text.contains("@example.org") && text.contains("@example.net"), "{text}");
        assert!(!text.contains("alice@") && !text.contains("bob@"), "{text}");
    }
}

#[test]
fn the_next_try_belongs_to_the_attempt_before_it() {
    let next_tries = |history: &History| {
        let found = history.snapshot().find(&filter(&[("queue_id", "Q2")]), 9);
        found.entries.iter().map(|entry| entry.next_try).collect::<Vec<_>>()
    };
    let mut history = History::new(0);
    history.add(message(2));
    history.add(delivery(2, Event::Deferred));
    history.retries(&HashMap::from([("Q2", 900), ("Q1", 901)]));
    assert_eq!(next_tries(&history), [None, Some(900)]);
    history.add(Entry { time: 950, ..delivery(2, Event::Deferred) });
    // Of before that attempt.
    history.retries(&HashMap::from([("Q2", 900)]));
    assert_eq!(next_tries(&history), [None, Some(900), None]);
    history.retries(&HashMap::from([("Q2", 1_800)]));
    assert_eq!(next_tries(&history), [None, Some(900), Some(1_800)]);
}
