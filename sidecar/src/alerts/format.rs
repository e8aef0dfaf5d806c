//! The words and the form in which a webhook wants an alert. Pure.

use std::str::FromStr;

use serde_json::json;

use super::alert::{Alert, State};

/// `ALERT_FORMAT`: whose webhook it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own JSON.
    Json,
    /// ntfy.sh, or one's own: the address is that of a topic (docs.ntfy.sh/publish).
    Ntfy,
    /// An incoming webhook of Slack, or of Mattermost and Rocket.Chat, which take the same.
    Slack,
    /// A channel's webhook of Discord.
    Discord,
    /// matrix-hookshot's generic webhook.
    Matrix,
    /// `https://gotify.example.org/message?token=…`.
    Gotify,
}

/// What Discord takes at most in `content`, in characters.
const DISCORD_LONGEST: usize = 2_000;

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "json" => Self::Json,
            "ntfy" => Self::Ntfy,
            "slack" => Self::Slack,
            "discord" => Self::Discord,
            "matrix" => Self::Matrix,
            "gotify" => Self::Gotify,
            _ => return Err("expected json, ntfy, slack, discord, matrix or gotify".to_owned()),
        })
    }
}

/// What is posted.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Format {
    pub fn message(self, alert: &Alert) -> Message {
        let subject = alert.subject();
        let is_urgent = matches!(alert.state, State::Raised | State::Lasts);
        let json = |body: serde_json::Value| Message {
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        };
        match self {
            // Of strings, numbers and enums only, which cannot fail.
            Self::Json => json(serde_json::to_value(alert).unwrap_or_default()),
            Self::Ntfy => Message {
                headers: vec![
                    ("content-type", "text/plain; charset=utf-8".to_owned()),
                    ("title", ascii(&subject)),
                    ("priority", if is_urgent { "high" } else { "default" }.to_owned()),
                    ("tags", tag(alert.state).to_owned()),
                ],
                body: alert.text.clone(),
            },
            Self::Slack => {
                let escape = |text: &str| {
                    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
                };
                json(json!({ "text": format!("*{}*\n{}", escape(&subject), escape(&alert.text)) }))
            }
            Self::Discord => {
                let text = format!("**{}**\n{}", markdown(&subject), markdown(&alert.text));
                let text: String = text.chars().take(DISCORD_LONGEST).collect();
                // Whatever somebody is called, nobody is mentioned by it.
                json(json!({ "content": text, "allowed_mentions": { "parse": [] } }))
            }
            Self::Matrix => json(json!({
                "text": format!("**{}**\n\n{}", markdown(&subject), markdown(&alert.text)),
                "html": format!("<strong>{}</strong><br>{}", html(&subject), html(&alert.text)),
                "username": "relay",
            })),
            Self::Gotify => json(json!({
                "title": subject,
                "message": alert.text,
                "priority": if is_urgent { 8 } else { 4 },
            })),
        }
    }
}

/// The emoji shortcodes of ntfy.
fn tag(state: State) -> &'static str {
    match state {
        State::Raised | State::Lasts => "warning",
        State::Over => "white_check_mark",
        State::Test => "bell",
    }
}

/// A header has ASCII only.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect()
}

fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '~' | '|' | '>' | '<' | '[' | ']' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
