//! Tells an operator's webhook what needs a human: a user was suspended.
//!
//! A thread of its own sends, so that mail never waits for it. An alert that cannot be delivered
//! within about ten minutes is given up with a line in the log, which had the event first.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::user_name::UserName;

/// Waiting alerts; more than these at once are a single event to a human.
const MAX_WAITING: usize = 100;
/// The waits between the tries of one alert.
const WAITS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
];
/// One try, from the name lookup to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The webhook's address. It often has a token in it, so it prints as nothing.
#[derive(Clone)]
pub struct WebhookUrl(Zeroizing<String>);

impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookUrl(…)")
    }
}

impl WebhookUrl {
    /// Takes an `http://` or `https://` address.
    pub fn parse(text: Zeroizing<String>) -> Option<Self> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let host_is_there = rest.split('/').next().is_some_and(|host| !host.is_empty());
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        (host_is_there && printable).then_some(Self(text))
    }
}

/// A handle for raising alerts; without a webhook they go nowhere.
#[derive(Debug, Clone)]
pub struct Alerts {
    queue: Option<SyncSender<serde_json::Value>>,
}

impl Alerts {
    /// Starts the thread that sends, when there is somewhere to send to.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(webhook: Option<WebhookUrl>) -> std::io::Result<Self> {
        let Some(webhook) = webhook else { return Ok(Self { queue: None }) };
        let (queue, waiting) = sync_channel(MAX_WAITING);
        thread::Builder::new().name("alerts".to_owned()).spawn(move || send(&webhook, &waiting))?;
        Ok(Self { queue: Some(queue) })
    }

    /// Reports a suspended user. Returns at once.
    pub fn suspended(&self, user: &UserName, client: &str, time: u64) {
        let text = format!(
            "User {user} was suspended for trying to send far too much mail; the password may be \
             stolen. Change it, then run: relay user enable {user}"
        );
        self.post(serde_json::json!({
            "event": "user_suspended",
            "user": user.as_str(),
            "client": client,
            "time": time,
            "text": text,
        }));
    }

    fn post(&self, alert: serde_json::Value) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(alert) {
            Ok(()) => {}
            Err(TrySendError::Full(alert) | TrySendError::Disconnected(alert)) => {
                tracing::error!(%alert, "alert dropped: {MAX_WAITING} others are waiting to be sent");
            }
        }
    }
}

fn send(webhook: &WebhookUrl, waiting: &Receiver<serde_json::Value>) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        // A redirect could lead into this network, and would turn the POST into a GET.
        .max_redirects(0)
        .build()
        .into();
    while let Ok(alert) = waiting.recv() {
        let mut waits = WAITS.iter();
        loop {
            let posted = agent
                .post(webhook.0.as_str())
                .header("content-type", "application/json")
                .send(alert.to_string());
            let posted = posted.and_then(|answer| match answer.status() {
                status if status.is_redirection() => Err(ureq::Error::StatusCode(status.as_u16())),
                _ => Ok(()),
            });
            let Err(error) = posted else { break };
            // The error may quote the address with its token.
            let error = match error {
                ureq::Error::StatusCode(status) => format!("the webhook answered {status}"),
                ureq::Error::Timeout(_) => "no answer in time".to_owned(),
                ureq::Error::HostNotFound => "its host name was not found".to_owned(),
                ureq::Error::Io(error) => error.to_string(),
                ureq::Error::Rustls(error) => error.to_string(),
                _ => "it cannot be reached".to_owned(),
            };
            let Some(wait) = waits.next() else {
                tracing::error!(%alert, error, "alert not delivered, giving up");
                break;
            };
            tracing::warn!(error, seconds = wait.as_secs(), "alert not delivered, retrying");
            thread::sleep(*wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn webhooks_that_are_none() {
        for (url, expected) in [
            ("https://ntfy.example.org/relay", true),
            ("http://127.0.0.1:8080", true),
            ("ftp://x", false),
            ("https://", false),
            ("https:///x", false),
            ("https://a b", false),
            ("ntfy.example.org", false),
        ] {
            assert_eq!(WebhookUrl::parse(url.to_owned().into()).is_some(), expected, "{url}");
        }
        let url = WebhookUrl::parse("https://x/token".to_owned().into()).unwrap();
        assert!(!format!("{url:?}").contains("token"));
    }

    /// Answers one request with this status and returns its body.
    fn answer(listener: &TcpListener, status: &str) -> serde_json::Value {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        reader.get_mut().write_all(reply.as_bytes()).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn an_alert_is_sent_again_until_the_webhook_takes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let alerts = Alerts::start(WebhookUrl::parse(url.into())).unwrap();
        alerts.suspended(&UserName::parse("alice").unwrap(), "192.0.2.7", 5);
        let first = answer(&listener, "503 Service Unavailable");
        let second = answer(&listener, "302 Found\r\nlocation: /elsewhere");
        let third = answer(&listener, "200 OK");
        assert_eq!(first, second);
        assert_eq!(first, third);
        assert_eq!((&first["event"], &first["user"]), (&"user_suspended".into(), &"alice".into()));
        assert_eq!((&first["client"], &first["time"]), (&"192.0.2.7".into(), &5.into()));
    }
}
