//! What an operator is told. Pure.

use serde::{Deserialize, Serialize};

use crate::printable::Printable;
use crate::status::{Concern, ConcernKind};
use crate::user_name::UserName;

/// Whether something begins, lasts or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Raised,
    /// It still lasts; told once a day.
    Lasts,
    Over,
    Test,
}

/// One alert; its JSON is what `ALERT_FORMAT=json` posts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Of [`ConcernKind::word`], `doctor` or `test`.
    pub event: String,
    pub state: State,
    /// What it is about where there can be several, such as a volume.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<String>,
    /// Seconds since 1970.
    pub time: u64,
    /// `RELAY_MYHOSTNAME`: which relay.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub host: String,
    /// A few words without line breaks.
    pub title: String,
    /// What happened, and what to do.
    pub text: String,
}

impl Alert {
    /// A user was suspended just now.
    pub fn suspended(user: &UserName, client: &str, time: u64) -> Self {
        let text = format!(
            "User {user} was suspended for trying to send far too much mail; the password may be \
             stolen. Change it, then run: relay user enable {user}"
        );
        Self {
            user: Some(user.as_str().to_owned()),
            client: Some(client.to_owned()),
            title: format!("user {user} suspended"),
            ..Self::of(ConcernKind::UserSuspended.word(), State::Raised, time, text)
        }
    }

    /// Something that an operator should look at begins, or goes on.
    pub fn concern(concern: &Concern, state: State, time: u64) -> Self {
        // What is in backticks is a command, and not every receiver knows Markdown.
        let text = concern.text.replace('`', "");
        let begun = match state {
            State::Lasts => "still: ",
            State::Raised | State::Over | State::Test => "",
        };
        Self {
            what: concern.what.clone(),
            title: format!("{begun}{}", title(concern.kind, &concern.what)),
            ..Self::of(concern.kind.word(), state, time, text)
        }
    }

    /// It is over.
    pub fn over(kind: ConcernKind, what: &str, since: u64, time: u64) -> Self {
        let title = title(kind, what);
        let lasted = crate::status::words::duration(time.saturating_sub(since));
        Self {
            what: what.to_owned(),
            title: format!("over: {title}"),
            ..Self::of(kind.word(), State::Over, time, format!("Over after {lasted}: {title}."))
        }
    }

    /// The daily run of `relay doctor` found something worse than before.
    pub fn doctor(text: &str, number: usize, time: u64) -> Self {
        let title = match number {
            1 => "relay doctor found 1 thing to mend".to_owned(),
            number => format!("relay doctor found {number} things to mend"),
        };
        Self { title, ..Self::of("doctor", State::Raised, time, text.to_owned()) }
    }

    /// It finds nothing any more.
    pub fn doctor_is_content(time: u64) -> Self {
        let text = "relay doctor finds nothing to mend any more.".to_owned();
        let title = "over: relay doctor found things to mend".to_owned();
        Self { title, ..Self::of("doctor", State::Over, time, text) }
    }

    /// `relay alert test`.
    pub fn test(time: u64) -> Self {
        let text = "This is a test: alerts of this relay arrive here.".to_owned();
        Self { title: "test".to_owned(), ..Self::of("test", State::Test, time, text) }
    }

    fn of(event: &str, state: State, time: u64, text: String) -> Self {
        Self {
            event: event.to_owned(),
            state,
            what: String::new(),
            user: None,
            client: None,
            time,
            host: String::new(),
            title: String::new(),
            text,
        }
    }

    /// The title and which relay it is about, on one line without anything that moves a cursor.
    pub fn subject(&self) -> String {
        let host = if self.host.is_empty() { "relay" } else { &self.host };
        let words = self.title.split(' ').map(|word| Printable(word.as_bytes()).to_string());
        format!("{host}: {}", words.collect::<Vec<_>>().join(" "))
    }
}

fn title(kind: ConcernKind, what: &str) -> String {
    match kind {
        ConcernKind::PostfixSilent => "Postfix is not heard of".to_owned(),
        ConcernKind::CertificateExpired => format!("{what} certificate expired"),
        ConcernKind::VolumeFull => format!("volume of the {what} almost full"),
        ConcernKind::Trouble => "mail is put off because the sidecar is in trouble".to_owned(),
        ConcernKind::LongWait => "mail waits for more than an hour".to_owned(),
        ConcernKind::ManyDeferred => "much mail is put off by its receivers".to_owned(),
        ConcernKind::ManyBounced => "much mail is returned as undeliverable".to_owned(),
        ConcernKind::CertificateEnds => format!("{what} certificate ends soon"),
        ConcernKind::CertificateNotRenewed => format!("{what} certificate could not be renewed"),
        ConcernKind::UserSuspended => "a user is suspended".to_owned(),
        ConcernKind::Guessing => "passwords are being guessed".to_owned(),
        ConcernKind::HashingBusy => "logins wait for a hashing thread".to_owned(),
        ConcernKind::FleetAway => "the fleet's engine is away".to_owned(),
        ConcernKind::FleetTrouble => "something is wrong in the fleet".to_owned(),
    }
}
