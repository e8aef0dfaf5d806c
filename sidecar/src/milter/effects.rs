//! What follows from the decision about a message: one line in the log, one entry in the history.

use super::session::Message;
use crate::access::{Action, Verdict};
use crate::clock::now;
use crate::history::{Entry, Event};
use crate::labels::Label;
use crate::printable::Printable;
use crate::recorder::Recorder;

/// What is remembered and logged of a message, whether it is accepted or refused.
pub fn decided(
    history: &Recorder,
    message: &Message,
    queue_id: &str,
    verdict: &Verdict,
    dkim: Option<&str>,
) {
    let client = message.client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
    let named = message.named_recipients.iter().map(|to| Printable(to).to_string());
    let mut to = named.collect::<Vec<_>>().join(",");
    if message.recipients as usize > message.named_recipients.len() {
        to.push_str(",…");
    }
    log_decision(message, (queue_id, &client, &to), verdict, dkim);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let event = match verdict.action {
        Action::Permit => Event::Accepted,
        Action::Refuse(_) => Event::Refused,
    };
    history.add(Entry {
        queue_id: queue_id.to_owned(),
        user: text(message.user.as_deref().unwrap_or_default()),
        client,
        sender: text(&message.sender),
        recipients: to,
        reason: verdict.reason.label().to_owned(),
        ..Entry::new(now(), event)
    });
}

/// The one line of a message.
fn log_decision(
    message: &Message,
    (queue_id, client, to): (&str, &str, &str),
    verdict: &Verdict,
    dkim: Option<&str>,
) {
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
