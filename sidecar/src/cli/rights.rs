//! What a user may do, as the options of the command line say. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::RightsOptions;
use super::failure::{Exit, Failure};
use crate::access::networks;
use crate::access::senders::SenderPattern;
use crate::limits::limit::Limits;
use crate::users::User;

/// Checked options; `None` leaves what the user has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rights {
    senders: Option<Vec<SenderPattern>>,
    limits: Option<Option<Limits>>,
    login_networks: Option<Vec<ipnet::IpNet>>,
    expires: Option<Option<u64>>,
    note: Option<Option<String>>,
}

impl Rights {
    /// Checks the options. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Names all values that are wrong.
    pub fn parse(options: &RightsOptions, now: u64) -> Result<Self, Failure> {
        let mut mistakes = Vec::new();
        let senders = keyword_or_list(&options.senders, "any", |texts| {
            texts.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()
        });
        let login_networks = keyword_or_list(&options.networks, "any", |texts| {
            networks::parse(&texts.join(" ")).map_err(|mistakes| mistakes.join("; "))
        });
        let limits = options.limits.as_deref().map(|text| match text {
            "default" => Ok(None),
            text => text.parse().map(Some),
        });
        let expires = options.expires.as_deref().map(|text| match text {
            "never" => Ok(None),
            text => parse_time(text, now).map(Some),
        });
        let rights = Self {
            senders: collect(senders, "--sender", &mut mistakes),
            limits: collect(limits, "--limit", &mut mistakes),
            login_networks: collect(login_networks, "--network", &mut mistakes),
            expires: collect(expires, "--expires", &mut mistakes),
            note: options.note.clone().map(|note| Some(note).filter(|note| !note.is_empty())),
        };
        if mistakes.is_empty() {
            Ok(rights)
        } else {
            Err(Failure::new(Exit::BadInput, mistakes.join("\n")))
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes a user. Sessions from networks that are no longer allowed end. `now` is in seconds
    /// since 1970.
    pub fn apply(self, user: &mut User, now: u64) {
        if let Some(senders) = self.senders {
            user.senders = senders;
        }
        if let Some(limits) = self.limits {
            user.limits = limits;
        }
        if let Some(networks) = self.login_networks {
            user.login_networks = networks;
            user.sessions_since = now;
        }
        if let Some(expires) = self.expires {
            user.expires = expires;
        }
        if let Some(note) = self.note {
            user.note = note;
        }
    }
}

/// An option that may be repeated: absent, the keyword alone for an empty list, or the list.
fn keyword_or_list<T>(
    texts: &[String],
    keyword: &str,
    parse: impl FnOnce(&[String]) -> Result<Vec<T>, String>,
) -> Option<Result<Vec<T>, String>> {
    match texts {
        [] => None,
        [only] if only == keyword => Some(Ok(Vec::new())),
        texts if texts.iter().any(|text| text == keyword) => {
            Some(Err(format!("{keyword} removes the restriction, so it cannot be combined")))
        }
        texts => Some(parse(texts)),
    }
}

fn collect<T>(
    parsed: Option<Result<T, String>>,
    option: &str,
    mistakes: &mut Vec<String>,
) -> Option<T> {
    parsed?.map_err(|mistake| mistakes.push(format!("{option}: {mistake}"))).ok()
}

/// Reads a date (its start in UTC), a date with a time (RFC 3339), or a time from now.
///
/// # Errors
///
/// Says what would be right; a time in the past is a mistake, too.
pub fn parse_time(text: &str, now: u64) -> Result<u64, String> {
    let expected = format!(
        "{text:?} is not a time: write 2027-01-31, 2027-01-31T12:00:00Z, or 30d (from now)"
    );
    let date = humantime::parse_rfc3339_weak(text)
        .or_else(|_| humantime::parse_rfc3339_weak(&format!("{text}T00:00:00Z")));
    let seconds = match date {
        Ok(date) => seconds_since_1970(date),
        Err(_) => {
            let from_now = humantime::parse_duration(text).map_err(|_| expected)?;
            now.saturating_add(from_now.as_secs())
        }
    };
    if seconds > now { Ok(seconds) } else { Err(format!("{text:?} is in the past")) }
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time as people read it.
pub fn timestamp(seconds: u64) -> String {
    // The library shows years up to 9999, and panics beyond.
    let last = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(last));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn user() -> User {
        User::new(crate::users::NewHash { hash: "x".into(), unguessable: false }, 0)
    }

    fn options() -> RightsOptions {
        RightsOptions {
            senders: Vec::new(),
            limits: None,
            networks: Vec::new(),
            expires: None,
            note: None,
        }
    }

    #[test]
    fn what_is_not_named_stays_and_keywords_take_away() {
        let mut user = User { note: Some("old".into()), ..user() };
        let all = RightsOptions {
            senders: vec!["*@example.org".into(), "a@example.net".into()],
            limits: Some("500/day".into()),
            networks: vec!["192.0.2.0/24".into(), "::1".into()],
            expires: Some("30d".into()),
            note: None,
        };
        Rights::parse(&all, NOW).unwrap().apply(&mut user, NOW);
        assert_eq!((user.senders.len(), user.login_networks.len()), (2, 2));
        assert_eq!(user.expires, Some(NOW + 30 * 86_400));
        assert_eq!(user.note.as_deref(), Some("old"));
        let before = user.clone();
        assert!(Rights::parse(&options(), NOW).unwrap().is_empty());
        Rights::parse(&options(), NOW).unwrap().apply(&mut user, NOW);
        assert_eq!(user, before);
        let none = RightsOptions {
            senders: vec!["any".into()],
            limits: Some("default".into()),
            networks: vec!["any".into()],
            expires: Some("never".into()),
            note: Some(String::new()),
        };
        Rights::parse(&none, NOW).unwrap().apply(&mut user, NOW);
        assert_eq!(user, User { sessions_since: NOW, ..self::user() });
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let wrong = RightsOptions {
            senders: vec!["alice".into()],
            limits: Some("lots".into()),
            networks: vec!["any".into(), "10.0.0.0/8".into()],
            expires: Some("2001-01-01".into()),
            note: None,
        };
        let failure = Rights::parse(&wrong, NOW).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        for expected in [
            "--sender: \"alice\" is not a sender",
            "--limit: \"lots\"",
            "--network: any removes the restriction",
            "--expires: \"2001-01-01\" is in the past",
        ] {
            assert!(failure.text.contains(expected), "{expected}: {}", failure.text);
        }
    }

    #[test]
    fn times_are_dates_or_from_now() {
        assert_eq!(parse_time("2027-02-01", NOW), Ok(1_801_440_000));
        assert_eq!(parse_time("2027-02-01T00:00:01Z", NOW), Ok(1_801_440_001));
        assert_eq!(parse_time("2 days", NOW), Ok(NOW + 2 * 86_400));
        for wrong in ["", "soon", "2027-13-01", "0s"] {
            assert!(parse_time(wrong, NOW).is_err(), "{wrong}");
        }
        assert_eq!(timestamp(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
