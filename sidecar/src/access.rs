//! Who may relay. This is the one place that knows.
//!
//! Pure: no clock, store, socket or metric. Policy asks at RCPT, the milter asks once more at end
//! of message, and both get the same answer for the same facts.
//!
//! Every refusal stands in [`decide`], with its words.

pub mod gateways;
pub mod header_from;
pub mod networks;
pub mod senders;

use std::net::IpAddr;

use crate::limits::rate::Limit;
use crate::reply::Reply;
use header_from::Ambiguous;
use networks::{Membership, Networks};
use senders::{Address, EnvelopeSender, SenderPattern, may_send_as};

/// What is known of a client and its message when the question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The client's address, unmapped; `None` when Postfix did not know it.
    pub client: Option<IpAddr>,
    /// Who logged in, if anybody did.
    pub login: Option<Login>,
    /// Whether this session is encrypted.
    pub tls: bool,
    pub sender: EnvelopeSender,
    /// Who the message's header says it is from; nobody before the header is known.
    pub authors: Result<Vec<Address>, Ambiguous>,
}

/// An identity that Postfix reports, and how it stands in the user database *now*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub standing: Standing,
    /// Who the user may send as; empty is anybody.
    pub senders: Vec<SenderPattern>,
}

/// How a user stands at the moment of the decision, which may be long after the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Enabled,
    Disabled,
    /// By us, for having tried to send far too much.
    Suspended,
    Expired,
    /// Removed since the login, or a name that is no user name.
    Unknown,
}

/// The rules that do not change while the process runs.
#[derive(Debug, Clone)]
pub struct Rules {
    pub networks: Networks,
    /// `ENABLE_SASL`: whether a login counts at all.
    pub login_enabled: bool,
    /// `ALLOWED_SENDER_DOMAINS`: who a client may send as that is known by its network.
    pub network_senders: Vec<SenderPattern>,
}

/// The answer, and why. The reason is the same word in the log, the metric and the documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub action: Action,
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Permit,
    Refuse(Reply),
}

impl Action {
    /// The label value of metrics and the word in the log.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Refuse(_) => "refuse",
        }
    }
}

/// Why a client may relay, or may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Network,
    LoggedIn,
    NotAllowed,
    Gateway,
    AddressUnknown,
    LoginOff,
    LoginWithoutTls,
    UserDisabled,
    UserSuspended,
    UserExpired,
    UserUnknown,
    SenderNotAllowed,
    AuthorNotAllowed,
    AuthorAmbiguous,
    RateLimit,
}

impl Reason {
    pub const ALL: [Self; 15] = [
        Self::Network,
        Self::LoggedIn,
        Self::NotAllowed,
        Self::Gateway,
        Self::AddressUnknown,
        Self::LoginOff,
        Self::LoginWithoutTls,
        Self::UserDisabled,
        Self::UserSuspended,
        Self::UserExpired,
        Self::UserUnknown,
        Self::SenderNotAllowed,
        Self::AuthorNotAllowed,
        Self::AuthorAmbiguous,
        Self::RateLimit,
    ];

    /// Whether this is a reason to relay.
    pub fn permits(self) -> bool {
        matches!(self, Self::Network | Self::LoggedIn)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::LoggedIn => "logged_in",
            Self::NotAllowed => "not_allowed",
            Self::Gateway => "gateway",
            Self::AddressUnknown => "address_unknown",
            Self::LoginOff => "login_off",
            Self::LoginWithoutTls => "login_without_tls",
            Self::UserDisabled => "user_disabled",
            Self::UserSuspended => "user_suspended",
            Self::UserExpired => "user_expired",
            Self::UserUnknown => "user_unknown",
            Self::SenderNotAllowed => "sender_not_allowed",
            Self::AuthorNotAllowed => "author_not_allowed",
            Self::AuthorAmbiguous => "author_ambiguous",
            Self::RateLimit => "rate_limit",
        }
    }
}

/// Decides whether this client may relay this message.
///
/// A login is judged before the network: whoever says who he is, is held to that user's rights,
/// wherever he comes from.
pub fn decide(rules: &Rules, facts: &Facts) -> Verdict {
    if let Some(login) = &facts.login {
        return decide_login(rules, facts, login);
    }
    let Some(client) = facts.client else {
        return refuse(Reason::AddressUnknown, "Relay access denied: client address unknown");
    };
    match rules.networks.membership(client) {
        Membership::Allowed => {
            decide_sender(facts, Reason::Network, &client.to_string(), &rules.network_senders)
        }
        Membership::Gateway => refuse(
            Reason::Gateway,
            &format!(
                "Relay access denied: {client} is the container's gateway, behind which anybody \
                 may be; log in"
            ),
        ),
        Membership::Outside if rules.login_enabled => refuse(
            Reason::NotAllowed,
            &format!("Relay access denied: {client} is not an allowed network; log in first"),
        ),
        Membership::Outside => refuse(
            Reason::NotAllowed,
            &format!("Relay access denied: {client} is not an allowed network"),
        ),
    }
}

fn decide_login(rules: &Rules, facts: &Facts, login: &Login) -> Verdict {
    if !rules.login_enabled {
        return refuse(Reason::LoginOff, "Relay access denied: login is switched off here");
    }
    // Postfix offers AUTH only under TLS; a login without it means that Postfix is misconfigured.
    if !facts.tls {
        return refuse(Reason::LoginWithoutTls, "Relay access denied: login without encryption");
    }
    let may_not = "Relay access denied: this account may not send";
    match login.standing {
        Standing::Enabled => decide_sender(facts, Reason::LoggedIn, &login.user, &login.senders),
        Standing::Disabled => refuse(Reason::UserDisabled, may_not),
        Standing::Suspended => suspended(),
        Standing::Expired => refuse(Reason::UserExpired, may_not),
        Standing::Unknown => refuse(Reason::UserUnknown, may_not),
    }
}

/// Whether somebody who may relay may do so under these names. Nobody forges a bounce, which has
/// no envelope sender, but its header has an author like any other.
fn decide_sender(facts: &Facts, reason: Reason, who: &str, allowed: &[SenderPattern]) -> Verdict {
    if allowed.is_empty() {
        return permit(reason);
    }
    let sender_allowed = match &facts.sender {
        EnvelopeSender::Null => true,
        EnvelopeSender::Address(address) => may_send_as(allowed, address),
        EnvelopeSender::Unreadable(_) => false,
    };
    if !sender_allowed {
        let text = format!("{}: {who} may not send as this address", facts.sender);
        return sender_refused(Reason::SenderNotAllowed, &text);
    }
    match &facts.authors {
        Ok(authors) => match authors.iter().find(|author| !may_send_as(allowed, author)) {
            None => permit(reason),
            Some(author) => {
                let text = format!("<{author}> in the header: {who} may not send as this address");
                sender_refused(Reason::AuthorNotAllowed, &text)
            }
        },
        Err(ambiguous) => sender_refused(Reason::AuthorAmbiguous, &ambiguous.to_string()),
    }
}

/// 553 is "mailbox name not allowed" (RFC 5321 section 4.2.2).
fn sender_refused(reason: Reason, text: &str) -> Verdict {
    Verdict { action: Action::Refuse(Reply::permanent(53, "7.1", text)), reason }
}

/// The answer to who has used up a limit: later there is room again, so the client keeps the mail.
pub fn over_limit(limit: &Limit) -> Verdict {
    let text = format!("Sending limit of {limit} reached, please try again later");
    Verdict {
        action: Action::Refuse(Reply::temporary(50, "7.1", &text)),
        reason: Reason::RateLimit,
    }
}

/// The answer to a user who has tried to send far too much.
pub fn suspended() -> Verdict {
    refuse(
        Reason::UserSuspended,
        "Relay access denied: this account is suspended, it tried to send too much; ask your \
         operator",
    )
}

fn permit(reason: Reason) -> Verdict {
    Verdict { action: Action::Permit, reason }
}

/// 554 5.7.1 is "delivery not authorized, message refused" (RFC 3463 section 3.8).
fn refuse(reason: Reason, text: &str) -> Verdict {
    Verdict { action: Action::Refuse(Reply::permanent(54, "7.1", text)), reason }
}

#[cfg(test)]
mod tests;
