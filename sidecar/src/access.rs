//! Who may relay. This is the one place that knows.
//!
//! Pure: no clock, store, socket or metric. Policy asks at RCPT, the milter asks again at end of
//! message, and both get the same answer for the same facts.
//!
//! Every refusal is in [`decide`] and below it, with its words.

pub mod gateways;
pub mod header_from;
pub mod networks;
pub mod senders;

use std::fmt;
use std::net::IpAddr;

use crate::labels::label_enum;
use crate::limits::limit::Limit;
use crate::reply::Reply;
use header_from::AuthorFields;
use networks::Networks;
use senders::{EnvelopeSender, SenderPattern, ToldSender, may_send_as};

/// What is known of a client and its message when the question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The client's address, unmapped; `None` when Postfix does not know it.
    pub client: Option<IpAddr>,
    /// Who logged in, if anybody did.
    pub login: Option<Login>,
    /// Whether that address is one that strangers can appear under: the container's gateway, or
    /// an address of its own.
    pub client_is_gateway: bool,
    /// Whether this session is encrypted.
    pub tls: bool,
    pub sender: ToldSender<'a>,
    /// Who the header says the message is from.
    pub authors: &'a AuthorFields,
}

/// An identity that Postfix reports, and its standing in the user database *now*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub standing: Standing,
    /// Who the user may send as; empty means anybody.
    pub senders: Vec<SenderPattern>,
}

/// A user's standing at the moment of the decision, which may be long after the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Enabled,
    Disabled,
    /// By us, for trying to send far too much.
    Suspended,
    Expired,
    /// The user may log in from certain networks only, and the client is in none of them.
    OtherNetwork,
    /// Password or rights were changed since this client logged in.
    LoginOutdated,
    /// Removed since the login, or not a user name at all.
    Unknown,
}

/// The rules that do not change while the process runs.
#[derive(Debug, Clone)]
pub struct Rules {
    pub networks: Networks,
    /// `ENABLE_SASL`: whether a login counts at all.
    pub login_enabled: bool,
    /// `ALLOWED_SENDER_DOMAINS`: who clients without a login may send as; empty means anybody.
    pub network_senders: Vec<SenderPattern>,
}

/// The answer, and why.
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

label_enum! {
    /// Why a client may relay, or may not. The same word in the log, the metrics and the
    /// documentation.
    pub enum Reason("reason") {
        Network = "network",
        LoggedIn = "logged_in",
        NotAllowed = "not_allowed",
        Gateway = "gateway",
        AddressUnknown = "address_unknown",
        LoginOff = "login_off",
        LoginWithoutTls = "login_without_tls",
        UserDisabled = "user_disabled",
        UserSuspended = "user_suspended",
        UserExpired = "user_expired",
        UserUnknown = "user_unknown",
        OtherNetwork = "other_network",
        LoginOutdated = "login_outdated",
        SenderNotAllowed = "sender_not_allowed",
        AuthorNotAllowed = "author_not_allowed",
        AuthorAmbiguous = "author_ambiguous",
        RateLimit = "rate_limit",
    }
}

impl Reason {
    /// The action that goes with it: `permit` or `refuse`.
    pub fn action(self) -> &'static str {
        match self {
            Self::Network | Self::LoggedIn => "permit",
            _ => "refuse",
        }
    }
}

/// Decides whether this client may relay this message.
///
/// A login is judged before the network: whoever says who they are is held to that user's rights,
/// wherever they connect from.
pub fn decide(rules: &Rules, facts: &Facts<'_>) -> Verdict {
    if let Some(login) = &facts.login {
        return decide_login(rules, facts, login);
    }
    let Some(client) = facts.client else {
        return refuse(Reason::AddressUnknown, "Relay access denied: client address unknown");
    };
    if !rules.networks.contains(client) {
        let hint = if rules.login_enabled { "; log in first" } else { "" };
        let text = format!("Relay access denied: {client} is not in an allowed network{hint}");
        return refuse(Reason::NotAllowed, &text);
    }
    if facts.client_is_gateway {
        let text = format!(
            "Relay access denied: {client} is the container's gateway, and anybody may be behind \
             it; log in"
        );
        return refuse(Reason::Gateway, &text);
    }
    decide_sender(facts, Reason::Network, &client, &rules.network_senders)
}

fn decide_login(rules: &Rules, facts: &Facts<'_>, login: &Login) -> Verdict {
    if !rules.login_enabled {
        return refuse(Reason::LoginOff, "Relay access denied: login is switched off");
    }
    // Postfix offers AUTH under TLS only, so a login without it means a misconfigured Postfix.
    if !facts.tls {
        return refuse(Reason::LoginWithoutTls, "Relay access denied: login without encryption");
    }
    let may_not = "Relay access denied: this account may not send";
    match login.standing {
        Standing::Enabled => decide_sender(facts, Reason::LoggedIn, &login.user, &login.senders),
        Standing::Disabled => refuse(Reason::UserDisabled, may_not),
        Standing::Suspended => suspended(),
        Standing::Expired => refuse(Reason::UserExpired, may_not),
        Standing::OtherNetwork => refuse(
            Reason::OtherNetwork,
            "Relay access denied: this account may not send from this address",
        ),
        Standing::LoginOutdated => log_in_again(),
        Standing::Unknown => refuse(Reason::UserUnknown, may_not),
    }
}

/// Whether somebody who may relay may do so under these names. The null sender is free, since a
/// bounce forges nobody; but its header has an author like any other.
fn decide_sender(
    facts: &Facts<'_>,
    reason: Reason,
    who: &dyn fmt::Display,
    allowed: &[SenderPattern],
) -> Verdict {
    if allowed.is_empty() {
        return permit(reason);
    }
    let sender = facts.sender.read();
    let sender_allowed = match &sender {
        EnvelopeSender::Null => true,
        EnvelopeSender::Address(address) => may_send_as(allowed, address),
        EnvelopeSender::Unreadable(_) => false,
    };
    if !sender_allowed {
        let text = format!("{sender}: {who} may not send as this address");
        return sender_refused(Reason::SenderNotAllowed, &text);
    }
    match facts.authors.authors() {
        Ok(authors) => match authors.iter().find(|author| !may_send_as(allowed, author)) {
            None => permit(reason),
            Some(author) => {
                let text = format!("<{author}> in the header: {who} may not send as this address");
                sender_refused(Reason::AuthorNotAllowed, &text)
            }
        },
        Err(why) => sender_refused(Reason::AuthorAmbiguous, &why.to_string()),
    }
}

/// 553 is "mailbox name not allowed" (RFC 5321 section 4.2.2).
fn sender_refused(reason: Reason, text: &str) -> Verdict {
    Verdict { action: Action::Refuse(Reply::permanent(53, "7.1", text)), reason }
}

/// The answer to a client that has used up a limit. It is temporary, so that the mail stays in the
/// client's queue.
pub fn over_limit(limit: &Limit) -> Verdict {
    let text = format!("Sending limit of {limit} reached, please try again later");
    Verdict {
        action: Action::Refuse(Reply::temporary(50, "7.1", &text)),
        reason: Reason::RateLimit,
    }
}

/// The answer to a user who tried to send far too much.
pub fn suspended() -> Verdict {
    refuse(
        Reason::UserSuspended,
        "Relay access denied: account suspended for sending too much; contact the operator of this \
         relay",
    )
}

/// The answer to a session that outlived the password it was opened with. It is temporary: whoever
/// has the new password is back at once.
fn log_in_again() -> Verdict {
    let text = "Password or rights of this account have changed, please log in again";
    let reply = Reply::temporary(50, "7.1", text);
    Verdict { action: Action::Refuse(reply), reason: Reason::LoginOutdated }
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
