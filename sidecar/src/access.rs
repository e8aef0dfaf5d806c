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
mod tests {
    use super::*;

    fn rules(login_enabled: bool) -> Rules {
        Rules {
            networks: Networks::new(
                networks::parse("192.0.2.0/24 2001:db8::/32").unwrap(),
                vec!["192.0.2.1".parse().unwrap()],
            ),
            login_enabled,
            network_senders: Vec::new(),
        }
    }

    fn facts(client: &str, login: Option<Standing>, tls: bool) -> Facts {
        Facts {
            client: client.parse().ok(),
            login: login.map(|standing| Login {
                user: "alice".into(),
                standing,
                senders: Vec::new(),
            }),
            tls,
            sender: EnvelopeSender::Null,
            authors: Ok(Vec::new()),
        }
    }

    #[test]
    fn the_table_of_who_may_relay() {
        use Standing::{Disabled, Enabled, Expired, Suspended, Unknown};
        let outside = "203.0.113.9";
        let cases = [
            // client, login, TLS, login enabled, expected reason, relayed
            ("192.0.2.7", None, false, true, Reason::Network, true),
            ("192.0.2.7", None, true, false, Reason::Network, true),
            ("2001:db8::7", None, false, true, Reason::Network, true),
            ("192.0.2.1", None, false, true, Reason::Gateway, false),
            (outside, None, true, true, Reason::NotAllowed, false),
            (outside, None, true, false, Reason::NotAllowed, false),
            ("unknown", None, true, true, Reason::AddressUnknown, false),
            (outside, Some(Enabled), true, true, Reason::LoggedIn, true),
            ("192.0.2.1", Some(Enabled), true, true, Reason::LoggedIn, true),
            ("unknown", Some(Enabled), true, true, Reason::LoggedIn, true),
            (outside, Some(Enabled), false, true, Reason::LoginWithoutTls, false),
            (outside, Some(Enabled), true, false, Reason::LoginOff, false),
            (outside, Some(Disabled), true, true, Reason::UserDisabled, false),
            (outside, Some(Suspended), true, true, Reason::UserSuspended, false),
            (outside, Some(Expired), true, true, Reason::UserExpired, false),
            (outside, Some(Unknown), true, true, Reason::UserUnknown, false),
            // Known by network, but logged in as somebody who may not send.
            ("192.0.2.7", Some(Disabled), true, true, Reason::UserDisabled, false),
        ];
        for (client, login, tls, login_enabled, reason, relayed) in cases {
            let verdict = decide(&rules(login_enabled), &facts(client, login, tls));
            assert_eq!(verdict.reason, reason, "{client} {login:?} tls={tls}");
            assert_eq!(verdict.action == Action::Permit, relayed, "{client} {login:?} tls={tls}");
        }
    }

    #[test]
    fn every_refusal_is_a_554_whose_classes_agree() {
        let verdict = decide(&rules(true), &facts("203.0.113.9", None, true));
        let Action::Refuse(reply) = verdict.action else { panic!("not refused") };
        assert!(reply.to_string().starts_with("554 5.7.1 Relay access denied: 203.0.113.9"));
    }

    #[test]
    fn the_table_of_who_may_send_as_whom() {
        let address = |text: &str| Address::parse(text).unwrap();
        let foreign: Result<Vec<Address>, Ambiguous> = Ok(vec![address("boss@victim.test")]);
        let own: Result<Vec<Address>, Ambiguous> = Ok(vec![address("alice@example.org")]);
        let both = Ok(vec![address("alice@example.org"), address("boss@victim.test")]);
        let ambiguous = Err(Ambiguous::Repeated("From"));
        let cases = [
            ("alice@example.org", Ok(vec![]), None),
            ("alice@example.org", own.clone(), None),
            ("x@example.net", own.clone(), None),
            ("", own, None),
            (
                "",
                foreign.clone(),
                Some((Reason::AuthorNotAllowed, "<boss@victim.test> in the header")),
            ),
            (
                "boss@victim.test",
                Ok(vec![]),
                Some((Reason::SenderNotAllowed, "<boss@victim.test>: ")),
            ),
            ("nobody", Ok(vec![]), Some((Reason::SenderNotAllowed, "<nobody>: "))),
            (
                "alice@example.org",
                foreign,
                Some((Reason::AuthorNotAllowed, "<boss@victim.test> in")),
            ),
            ("alice@example.org", both, Some((Reason::AuthorNotAllowed, "<boss@victim.test> in"))),
            ("alice@example.org", ambiguous, Some((Reason::AuthorAmbiguous, "more than one From"))),
        ];
        let senders: Vec<SenderPattern> =
            vec!["alice@example.org".parse().unwrap(), "*@example.net".parse().unwrap()];
        for (sender, authors, refused) in cases {
            let mut facts = facts("203.0.113.9", Some(Standing::Enabled), true);
            facts.sender = EnvelopeSender::from_policy(sender.as_bytes());
            facts.authors = authors;
            // Without senders of their own both may send as anybody.
            assert_eq!(decide(&rules(true), &facts).action, Action::Permit);
            let of_network =
                Facts { login: None, client: "192.0.2.7".parse().ok(), ..facts.clone() };
            let network_rules = Rules { network_senders: senders.clone(), ..rules(true) };
            facts.login.as_mut().unwrap().senders.clone_from(&senders);
            for verdict in [decide(&rules(true), &facts), decide(&network_rules, &of_network)] {
                match (&verdict.action, &refused) {
                    (Action::Permit, None) => {}
                    (Action::Refuse(reply), Some((reason, text))) => {
                        assert_eq!(verdict.reason, *reason, "{sender}");
                        let expected = format!("553 5.7.1 {text}");
                        assert!(reply.to_string().starts_with(&expected), "{reply}");
                    }
                    unexpected => panic!("{sender}: {unexpected:?}"),
                }
            }
        }
    }

    #[test]
    fn labels_are_distinct() {
        let mut labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::ALL.len());
    }
}
