//! Who may relay. This is the one place that knows.
//!
//! Pure: no clock, store, socket or metric. Policy asks at RCPT, the milter asks once more at end
//! of message, and both get the same answer for the same facts.
//!
//! Every refusal stands in [`decide`], with its words.

pub mod gateways;
pub mod networks;

use std::net::IpAddr;

use crate::reply::Reply;
use networks::{Membership, Networks};

/// What is known of a client and its message when the question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The client's address, unmapped; `None` when Postfix did not know it.
    pub client: Option<IpAddr>,
    /// Who logged in, if anybody did.
    pub login: Option<Login>,
    /// Whether this session is encrypted.
    pub tls: bool,
}

/// An identity that Postfix reports, and how it stands in the user database *now*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub standing: Standing,
}

/// How a user stands at the moment of the decision, which may be long after the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Enabled,
    Disabled,
    /// Removed since the login, or a name that is no user name.
    Unknown,
}

/// The rules that do not change while the process runs.
#[derive(Debug, Clone)]
pub struct Rules {
    pub networks: Networks,
    /// `ENABLE_SASL`: whether a login counts at all.
    pub login_enabled: bool,
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
    UserUnknown,
}

impl Reason {
    pub const ALL: [Self; 9] = [
        Self::Network,
        Self::LoggedIn,
        Self::NotAllowed,
        Self::Gateway,
        Self::AddressUnknown,
        Self::LoginOff,
        Self::LoginWithoutTls,
        Self::UserDisabled,
        Self::UserUnknown,
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
            Self::UserUnknown => "user_unknown",
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
        Membership::Allowed => permit(Reason::Network),
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
    match login.standing {
        Standing::Enabled => permit(Reason::LoggedIn),
        Standing::Disabled => {
            refuse(Reason::UserDisabled, "Relay access denied: this account may not send")
        }
        Standing::Unknown => {
            refuse(Reason::UserUnknown, "Relay access denied: this account may not send")
        }
    }
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
        }
    }

    fn facts(client: &str, login: Option<Standing>, tls: bool) -> Facts {
        Facts {
            client: client.parse().ok(),
            login: login.map(|standing| Login { user: "alice".into(), standing }),
            tls,
        }
    }

    #[test]
    fn the_table_of_who_may_relay() {
        use Standing::{Disabled, Enabled, Unknown};
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
    fn labels_are_distinct() {
        let mut labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::ALL.len());
    }
}
