use super::*;
use crate::history::Event;
use crate::status::{Count, Period, Postfix, Sender};

const HOSTILE: &str = "<script>alert(1)</script>\"'\u{202e}";

/// Everything that a stranger can name, with markup in it.
fn hostile() -> (Status, Vec<Entry>) {
    let sender = |user: &str| Sender {
        user: user.to_owned(),
        messages_hour: 1,
        messages_day: 2,
        recipients_day: 3,
        limits: vec![],
    };
    let mut status = Status { senders: vec![sender(HOSTILE)], users: Some(1), ..Status::default() };
    status.suspended_users = vec![HOSTILE.to_owned()];
    status.last_hour.refused = vec![Count { what: HOSTILE.to_owned(), number: 1 }];
    let text = HOSTILE.to_owned();
    let entry = Entry {
        user: text.clone(),
        client: text.clone(),
        reason: text,
        ..Entry::new(1, Event::Refused)
    };
    (status, vec![entry])
}

#[test]
fn nothing_that_others_name_becomes_markup() {
    let (status, entries) = hostile();
    let page = render(&status, &entries, true);
    assert_eq!(page.matches("<script>").count(), 1, "{page}");
    assert_eq!(page.matches("&lt;script&gt;").count(), 6);
    assert!(!page.contains('\u{202e}'));
}

#[test]
fn the_questions_are_answered_in_their_order() {
    let page = render(&Status::default(), &[], false);
    let headings = ["<h1>", "Waiting", "Delivered", "Senders", "Refused", "This relay"];
    let places: Vec<_> = headings.iter().map(|text| page.find(text).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    for absent in ["http://", "https://", "style=", " src=", "onclick"] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn deliveries_that_nobody_reported_are_not_known_and_old_ones_show_their_age() {
    let delivered = |postfix: Postfix| {
        let told = postfix.up.map(|_| 0);
        let period = Period {
            sent: told,
            deferred: told,
            bounced: told,
            expired: told,
            ..Period::default()
        };
        let (last_hour, last_day) = (period.clone(), period);
        sections::delivered(&Status { postfix, last_hour, last_day, ..Status::default() }, "")
    };
    let sent = |figure| {
        format!(
            "<th scope=\"row\">sent</th><td class=\"number\">{figure}</td><td class=\"number\">{figure}</td>"
        )
    };
    for (up, age, figure, old) in [
        (None, None, "not known", false),
        (Some(true), Some(3), "0", false),
        (Some(false), Some(90), "0", true),
    ] {
        let text = delivered(Postfix { up, age, ..Postfix::default() });
        assert!(text.contains(&sent(figure)), "{up:?}: {text}");
        assert_eq!(text.contains("As Postfix reported it"), old, "{up:?}: {text}");
    }
}

#[test]
fn without_names_nobody_is_shown() {
    let (status, mut entries) = hostile();
    entries[0].reason = "not_allowed".to_owned();
    let page = render(&status.without_names(), &entries, false);
    assert_eq!(page.matches("alert(1)").count(), 1, "only the label of the reason: {page}");
    assert!(page.contains("user 1") && page.contains("METRICS_TOKEN"));
    let latest = page.split_once("The latest").unwrap().1.split_once("</table>").unwrap().0;
    assert_eq!(latest.matches("<td").count(), 2, "when and why: {latest}");
    assert!(latest.contains("no login, and not from an allowed network"), "{latest}");
}

#[test]
fn the_policy_names_the_style_and_the_script_by_their_hashes() {
    assert!(SECURITY_POLICY.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!SECURITY_POLICY.contains("unsafe"));
}
