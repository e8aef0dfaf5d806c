//! What follows from a decision about a message, besides the reply: one log line, and one entry of the history.

use super::session::{Message, Session};
use crate::access::{Action, Verdict};
use crate::clock::now;
use crate::history::{Entry, Event};
use crate::labels::Label;
use crate::printable::Printable;
use crate::recorder::Recorder;
use crate::reply::Reply;

/// A message was accepted or refused.
pub fn decided(
    history: &Recorder,
    session: &Session,
    queue_id: &str,
    verdict: &Verdict,
    dkim: Option<&str>,
) {
    let (event, answer) = match &verdict.action {
        Action::Permit => (Event::Accepted, String::new()),
        Action::Refuse(reply) => (Event::Refused, reply.text().to_owned()),
    };
    let reason = verdict.reason.label().to_owned();
    let entry = Entry { reason, answer, ..Entry::new(now(), event) };
    let entry = about(&session.message, queue_id, entry);
    log(&session.message, &entry.client, queue_id, verdict, dkim);
    history.add(entry);
}

/// A message had to be signed and could not be; it is logged where that is found.
pub fn not_signed(history: &Recorder, session: &Session, queue_id: &str, reply: &Reply) {
    let (reason, answer) = ("not_signed".to_owned(), reply.text().to_owned());
    let entry = Entry { reason, answer, ..Entry::new(now(), Event::Refused) };
    history.add(about(&session.message, queue_id, entry));
}

fn about(message: &Message, queue_id: &str, entry: Entry) -> Entry {
    let mut recipients = String::new();
    for (position, recipient) in message.named_recipients.iter().enumerate() {
        recipients.push_str(if position > 0 { "," } else { "" });
        recipients.push_str(&text(path(recipient)));
    }
    if message.recipients as usize > message.named_recipients.len() {
        recipients.push_str(",…");
    }
    // The null sender is one, too, and shows as such.
    let sender = match path(&message.sender) {
        b"" => "<>".to_owned(),
        sender => text(sender),
    };
    Entry {
        queue_id: queue_id.to_owned(),
        user: text(message.user.as_deref().unwrap_or_default()),
        client: message.client.map(|client| client.to_string()).unwrap_or_default(),
        sender,
        recipients,
        ..entry
    }
}

/// An address without the angle brackets of SMTP.
fn path(address: &[u8]) -> &[u8] {
    let inner = address.strip_prefix(b"<").and_then(|inner| inner.strip_suffix(b">"));
    inner.unwrap_or(address)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one line of a message, whether it is accepted or refused.
fn log(message: &Message, client: &str, queue_id: &str, verdict: &Verdict, dkim: Option<&str>) {
    let client = if client.is_empty() { "unknown" } else { client };
    let named = message.named_recipients.iter().map(|to| Printable(to).to_string());
    let mut to = named.collect::<Vec<_>>().join(",");
    if message.recipients as usize > message.named_recipients.len() {
        to.push_str(",…");
    }
    tracing::info!(
        action = %verdict.reason.action(),
        reason = %verdict.reason.label(),
        %client,
        port = %message.server_port,
        tls = message.tls,
        user = %Printable(message.user.as_deref().unwrap_or_default()),
        sender = %Printable(&message.sender),
        recipients = message.recipients,
        %to,
        dkim = dkim.map(tracing::field::display),
        %queue_id,
        "milter"
    );
}
