//! What became of mail lately, for those who may see names. Pure.

use std::fmt::Write as _;

use super::html::Text;
use crate::history::{Entry, Event};
use crate::status::words::duration;

/// Entries that are shown.
const MOST: usize = 10;

/// The latest accepted messages and deliveries, the newest first; nothing when there are none.
pub fn mail(entries: &[Entry], now: u64) -> String {
    let is_mail = |entry: &&Entry| !matches!(entry.event, Event::Refused | Event::LoginRefused);
    let latest: Vec<&Entry> = entries.iter().rev().filter(is_mail).take(MOST).collect();
    if latest.is_empty() {
        return String::new();
    }
    let mut text = "<section><h2>Latest mail</h2><table><tbody>".to_owned();
    for entry in latest {
        let ago = duration(now.saturating_sub(entry.time));
        let what = match entry.event {
            Event::Accepted => {
                format!("{} to {}", Text(&entry.sender), Text(&entry.recipients))
            }
            _ => format!(
                "{} <span class=\"faint\">{}</span>",
                Text(&entry.recipients),
                Text(&entry.answer)
            ),
        };
        // Writing to a String cannot fail.
        write!(
            text,
            "<tr><td class=\"number\">{ago}</td><td>{}</td><td>{what}</td></tr>",
            entry.event.words()
        )
        .ok();
    }
    text.push_str(
        "</tbody></table><p class=\"small faint\">All of it: <code>docker compose exec sidecar relay history</code>.</p>",
    );
    text + "</section>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ten_are_shown_and_what_peers_say_stays_text() {
        let entry = |time, event| Entry {
            recipients: "<b@example.net>".to_owned(),
            answer: "<b>250</b>".to_owned(),
            ..Entry::new(time, event)
        };
        let mut entries: Vec<Entry> = (0..20).map(|time| entry(time, Event::Accepted)).collect();
        entries.push(entry(21, Event::Refused));
        entries.push(entry(22, Event::Sent));
        let text = mail(&entries, 22);
        assert_eq!(text.matches("<tr>").count(), MOST);
        assert!(text.contains("<td class=\"number\">0 s</td><td>sent</td>"), "{text}");
        assert!(!text.contains("<b>") && !text.contains("refused"), "{text}");
        assert_eq!(mail(&entries[20..21], 22), "");
    }
}
