use std::time::Duration;

use super::super::entry::Recipient;
use super::*;

fn recipient(address: &str, reason: Option<&str>) -> Recipient {
    Recipient { address: address.to_owned(), reason: reason.map(str::to_owned) }
}

fn entries() -> Vec<Entry> {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let entry = Entry {
        id: "4jXvlj465Sz1Sm1P".to_owned(),
        queue: "deferred".to_owned(),
        arrival: at(0),
        size: 1561,
        sender: "alice@example.org".to_owned(),
        user: Some("alice".to_owned()),
        recipients: vec![
            recipient("bob@example.net", Some("refused")),
            recipient("carol@example.com", Some("refused")),
            recipient("dave@example.com", Some("no\x1b[31m route")),
        ],
    };
    let bounce = Entry {
        id: "4C5F2A8D01".to_owned(),
        queue: "hold".to_owned(),
        arrival: at(86_400),
        size: 12 << 20,
        sender: String::new(),
        user: None,
        recipients: vec![recipient("a@b", None)],
    };
    vec![entry, bounce]
}

#[test]
fn the_table_shows_each_message_with_its_reasons() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(90_000);
    assert_eq!(
        render(&entries(), now),
        "\
ID                QUEUE     AGE  SIZE  USER   SENDER             RECIPIENT
4jXvlj465Sz1Sm1P  deferred   1d    2K  alice  alice@example.org  bob@example.net (+2)
    2 of 3: refused
    1 of 3: no\\u{1b}[31m route
4C5F2A8D01        hold       1h   12M  -      <>                 a@b
2 messages, 13M
"
    );
    assert_eq!(render(&[], now), "no messages\n");
    assert_eq!(
        deletion_warning(&entries(), now),
        "2 messages, 13M, the oldest 1d old, will be deleted permanently."
    );
}

#[test]
fn a_known_answer_is_explained_below_it() {
    let mut entry = entries().remove(0);
    let answer = "host mx[192.0.2.25] said: 450 4.2.0 <bob@example.net>: Greylisted, see http://a/";
    entry.recipients = vec![recipient("bob@example.net", Some(answer))];
    let explanation = "Greylisting: an unknown sender has to try again after some minutes. Nothing: it \
                       is tried again.\n";
    let now = SystemTime::UNIX_EPOCH;
    let shown = details(&entry, now);
    assert!(
        shown.ends_with(&format!("           {answer}\n             {explanation}")),
        "{shown}"
    );
    let shown = render(&[entry], now);
    assert!(shown.contains(&format!("    {answer}\n      {explanation}")), "{shown}");
}

#[test]
fn details_list_each_recipient() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(59);
    let entry = &entries()[0];
    assert_eq!(
        details(entry, now),
        "\
id         4jXvlj465Sz1Sm1P
queue      deferred
arrived    1970-01-01T00:00:00Z (59s ago)
size       2K
user       alice
sender     alice@example.org
recipient  bob@example.net
           refused
recipient  carol@example.com
           refused
recipient  dave@example.com
           no\\u{1b}[31m route
"
    );
}

#[test]
fn a_result_counts_the_messages() {
    assert_eq!(result("deleted", 1, 1), "1 message deleted");
    assert_eq!(
        result("held", 2, 3),
        "2 messages held; 1 had left the queue or moved to another one"
    );
}
