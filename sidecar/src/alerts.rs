//! Tells an operator what needs a human: by webhook, and by mail through the relay itself.
//!
//! Nothing on the way of mail waits for it. A thread posts to the webhook, and tries for about ten minutes; what is
//! to go by mail waits in `outbox` until relay-init asks for it. Everything is in the log first.

pub mod alert;
pub mod format;
pub mod outbox;
pub mod tracker;
pub mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::clock::now;
use crate::user_name::UserName;
use alert::Alert;
use format::Format;
use outbox::Outbox;
use webhook::Webhook;
pub use webhook::WebhookUrl;

/// Alerts that wait for the webhook; more than these at once are a single event to a human.
const MAX_WAITING: usize = 100;
/// The waits between the tries of one alert.
const WAITS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(400),
];

/// Where alerts go.
#[derive(Debug, Clone)]
pub struct Channels {
    pub webhook: Option<WebhookUrl>,
    pub format: Format,
    /// `ALERT_MAIL`: whether relay-init mails alerts. To whom is its own affair.
    pub mail: bool,
    /// `RELAY_MYHOSTNAME`, which every alert names.
    pub host: String,
}

/// A handle for raising alerts. Clones share everything.
#[derive(Debug, Clone)]
pub struct Alerts {
    host: Arc<str>,
    webhook: Option<Arc<Webhook>>,
    queue: Option<SyncSender<Alert>>,
    pub outbox: Option<Outbox>,
    /// Whether this process has told of a suspension.
    told_suspension: Arc<AtomicBool>,
}

impl Alerts {
    /// Starts the thread that posts, when there is a webhook.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(channels: Channels) -> std::io::Result<Self> {
        let Channels { webhook, format, mail, host } = channels;
        let webhook = webhook.map(|url| Arc::new(Webhook::new(url, format)));
        let queue = match &webhook {
            None => None,
            Some(webhook) => {
                let (queue, waiting) = sync_channel(MAX_WAITING);
                let webhook = Arc::clone(webhook);
                thread::Builder::new()
                    .name("alerts".to_owned())
                    .spawn(move || post_all(&webhook, &waiting))?;
                Some(queue)
            }
        };
        let (outbox, told_suspension) = (mail.then(Outbox::default), Arc::default());
        Ok(Self { host: host.into(), webhook, queue, outbox, told_suspension })
    }

    /// Alerts go nowhere.
    pub fn none() -> Self {
        let told_suspension = Arc::default();
        Self { host: "".into(), webhook: None, queue: None, outbox: None, told_suspension }
    }

    /// Reports a suspended user. Returns at once.
    pub fn suspended(&self, user: &UserName, client: &str, time: u64) {
        self.told_suspension.store(true, Ordering::Relaxed);
        self.raise(Alert::suspended(user, client, time));
    }

    /// Whether this process has told of a suspension, with the name, so that nobody needs to hear that there is one.
    pub fn told_a_suspension(&self) -> bool {
        self.told_suspension.load(Ordering::Relaxed)
    }

    /// Sends an alert to everywhere. Returns at once.
    pub fn raise(&self, alert: Alert) {
        let alert = Alert { host: self.host.to_string(), ..alert };
        if let Some(outbox) = &self.outbox {
            outbox.add(&alert);
        }
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(alert) | TrySendError::Disconnected(alert)) =
            queue.try_send(alert)
        {
            tracing::error!(
                event = alert.event,
                text = alert.text,
                "alert dropped: {MAX_WAITING} others are waiting to be sent"
            );
        }
    }

    /// Sends a test to everywhere, and waits for what becomes of it: a sentence for each channel, and whether it
    /// worked. Blocks for as long as a webhook may take.
    pub fn test(&self) -> Vec<(String, bool)> {
        let alert = Alert { host: self.host.to_string(), ..Alert::test(now()) };
        let posted = self.webhook.as_ref().map(|webhook| match webhook.post(&alert) {
            Ok(()) => ("ALERT_WEBHOOK: taken".to_owned(), true),
            Err(error) => (format!("ALERT_WEBHOOK: {error}"), false),
        });
        let mailed = self.outbox.as_ref().map(|outbox| match outbox.add_and_wait(&alert) {
            true => {
                ("ALERT_MAIL: handed to Postfix; see docker compose logs postfix".to_owned(), true)
            }
            false => ("ALERT_MAIL: Postfix's container has not asked for it".to_owned(), false),
        });
        posted.into_iter().chain(mailed).collect()
    }
}

fn post_all(webhook: &Webhook, waiting: &Receiver<Alert>) {
    while let Ok(alert) = waiting.recv() {
        let (event, text) = (&alert.event, &alert.text);
        let mut waits = WAITS.iter();
        while let Err(error) = webhook.post(&alert) {
            let Some(wait) = waits.next() else {
                tracing::error!(event, text, error, "alert not delivered, giving up");
                break;
            };
            tracing::warn!(event, error, seconds = wait.as_secs(), "alert not delivered, retrying");
            thread::sleep(*wait);
        }
    }
}

#[cfg(test)]
mod tests;
