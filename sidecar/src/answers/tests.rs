use super::*;

const ORDINARY: &str = include_str!("../../../data/ordinary_answers.txt");

fn lines() -> impl Iterator<Item = (usize, Vec<&'static str>)> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.split('\t').collect()).enumerate()
}

#[test]
fn the_table_is_whole() {
    assert!(ROWS.len() >= 60);
    assert_eq!(ROWS.len(), lines().count(), "a row that cannot be read");
    for (_, fields) in lines() {
        assert_eq!(fields.len(), 6, "{fields:?}");
        assert!(fields.iter().all(|field| field.trim() == *field && !field.is_empty()));
        assert_eq!(fields[2], fields[2].to_ascii_lowercase(), "answers are compared in lower case");
        let sentence = |text: &str| text.ends_with('.') || text.ends_with(')');
        assert!(sentence(fields[3]) && sentence(fields[4]), "{fields:?}");
    }
}

#[test]
fn each_row_explains_its_own_example() {
    for (at, fields) in lines() {
        let answer = Answer::read(fields[5]);
        let first = ROWS.iter().position(|row| row.fits(&answer));
        let by = first.map(|first| ROWS[first].words.join(" & "));
        assert_eq!(first, Some(at), "{fields:?} is explained by {by:?}");
    }
}

#[test]
fn what_says_nothing_special_is_not_explained() {
    for answer in ORDINARY.lines() {
        assert_eq!(explain(answer), None, "{answer}");
    }
}

#[test]
fn an_explanation_names_the_receiver_if_there_is_one() {
    let said = |answer| explain(answer).unwrap().to_string();
    let google = "550-5.7.26 This mail has been blocked because the sender is 550-5.7.26 \
                  unauthenticated. - gsmtp";
    assert!(said(google).starts_with("Google: Neither SPF nor DKIM passed"), "{}", said(google));
    assert!(said("452 4.2.2 Mailbox full").starts_with("The recipient's mailbox is full. Tell"));
}

#[test]
fn only_the_start_of_an_answer_is_looked_at() {
    let padded = |length| format!("{} greylisted", "ä".repeat(length));
    assert!(explain(&padded(100)).is_some());
    assert!(explain(&padded(10 << 20)).is_none());
    // Codes without end, and numbers that are none.
    let codes: String = (0..100_000).map(|n| format!("5.7.{n} 5.{n}.99999999999 550- ")).collect();
    assert!(explain(&codes).is_none());
}
