//! What the log and the peer are told of a login that is decided. Pure, but for the log.

use std::time::Duration;

use super::mechanism::Mechanism;
use super::outcome::{AuthResult, Outcome};
use super::protocol::{self, FailCode, Reply};
use crate::history::{Entry, Event};
use crate::labels::Label;
use crate::printable::Printable;

/// The same words for every refusal, so that they do not tell which it was.
const REFUSED: &str = "wrong user name or password";

/// One line for every login that is refused; those that succeed show at debug level. README gives
/// the pattern by which fail2ban finds the client's address in the line: the fields before it hold
/// nothing that a client chose.
pub fn log(mechanism: Option<Mechanism>, client: &str, outcome: &Outcome, took: Duration) {
    let user = outcome.user.as_ref().map(|user| user.as_str()).unwrap_or_default();
    let (result, mechanism) = (outcome.result.label(), mechanism.map_or("other", Mechanism::name));
    let (user, milliseconds) = (Printable(user.as_bytes()), took.as_millis());
    match outcome.result {
        AuthResult::Accepted => {
            tracing::debug!(%result, %client, %mechanism, %user, milliseconds, "login accepted");
        }
        // It did nothing wrong, and has been logged as trouble.
        AuthResult::Trouble => {}
        // Not for fail2ban: the client may well have the right password.
        AuthResult::LimitedUser => {
            tracing::warn!(%result, %client, %mechanism, %user, milliseconds, "login deferred");
        }
        _ => tracing::warn!(%result, %client, %mechanism, %user, milliseconds, "login refused"),
    }
}

/// For the history. People type passwords into the wrong field, so a name that may be nobody's is left out.
pub fn refusal(client: &str, outcome: &Outcome, now: u64) -> Entry {
    let user = match outcome.result {
        AuthResult::UserUnknown | AuthResult::LimitedAddress => None,
        _ => outcome.user.as_ref(),
    };
    Entry {
        user: user.map(|user| user.as_str().to_owned()).unwrap_or_default(),
        client: client.to_owned(),
        reason: outcome.result.label().to_owned(),
        ..Entry::new(now, Event::LoginRefused)
    }
}

/// The reply for an outcome. Wrong password, unknown user and disabled user read the same; `user=`
/// is for Postfix's log, and absent where the name cannot be anybody's.
pub fn final_reply(id: u32, outcome: &Outcome) -> String {
    let user = outcome.user.as_ref().map(|user| user.as_str());
    let (code, reason) = match (outcome.result, user) {
        (AuthResult::Accepted, Some(user)) => return protocol::encode(&Reply::Ok { id, user }),
        (AuthResult::NotSecured, _) => (None, "encryption required: use STARTTLS or port 465"),
        (AuthResult::LoginOff, _) => (None, "login is switched off"),
        (AuthResult::UnsupportedMechanism, _) => {
            (None, "mechanism not supported: use PLAIN or LOGIN")
        }
        (AuthResult::Malformed, _) => (Some(FailCode::InvalidBase64), "malformed response"),
        (AuthResult::Trouble | AuthResult::LimitedAddress | AuthResult::LimitedUser, _) => {
            (Some(FailCode::TempFail), "Temporary authentication failure")
        }
        (
            AuthResult::Accepted
            | AuthResult::OtherIdentity
            | AuthResult::WrongPassword
            | AuthResult::UserUnknown
            | AuthResult::UserDisabled
            | AuthResult::UserSuspended
            | AuthResult::Expired
            | AuthResult::OtherNetwork,
            _,
        ) => (None, REFUSED),
    };
    protocol::encode(&Reply::Fail { id, user, code, reason })
}
