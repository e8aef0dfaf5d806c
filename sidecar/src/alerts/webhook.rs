//! An alert on its way to the operator's webhook.

use std::time::Duration;

use zeroize::Zeroizing;

use super::alert::Alert;
use super::format::Format;

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

/// Where alerts are posted, and in which words.
#[derive(Debug)]
pub struct Webhook {
    url: WebhookUrl,
    format: Format,
    agent: ureq::Agent,
}

impl Webhook {
    pub fn new(url: WebhookUrl, format: Format) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // A redirect could lead into this network, and would turn the POST into a GET.
            .max_redirects(0)
            .build()
            .into();
        Self { url, format, agent }
    }

    /// Tries once.
    ///
    /// # Errors
    ///
    /// Says what went wrong, without the address: it may have a token in it.
    pub fn post(&self, alert: &Alert) -> Result<(), String> {
        let message = self.format.message(alert);
        let mut request = self.agent.post(self.url.0.as_str());
        for (name, value) in &message.headers {
            request = request.header(*name, value);
        }
        let posted = request.send(&message.body);
        let posted = posted.and_then(|answer| match answer.status() {
            status if status.is_redirection() => Err(ureq::Error::StatusCode(status.as_u16())),
            _ => Ok(()),
        });
        posted.map_err(|error| match error {
            ureq::Error::StatusCode(status) => format!("the webhook answered {status}"),
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::HostNotFound => "its host name was not found".to_owned(),
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Rustls(error) => error.to_string(),
            _ => "it cannot be reached".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
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
}
