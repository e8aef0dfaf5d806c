use super::*;
use crate::labels::Label;

fn rules(login_enabled: bool) -> Rules {
    Rules {
        networks: Networks::new(networks::parse("192.0.2.0/24 2001:db8::/32").unwrap()),
        login_enabled,
        network_senders: Vec::new(),
    }
}

fn facts(client: &str, login: Option<Standing>, tls: bool) -> Facts<'static> {
    Facts {
        client: client.parse().ok(),
        client_is_gateway: client == "192.0.2.1",
        login: login.map(|standing| Login { user: "alice".into(), standing, senders: Vec::new() }),
        tls,
        sender: ToldSender::Policy(b""),
        authors: &header_from::NOT_SENT,
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
    let foreign: &[&str] = &["boss@victim.test"];
    let own: &[&str] = &["Alice <alice@example.org>"];
    let both: &[&str] = &["alice@example.org, boss@victim.test"];
    let ambiguous: &[&str] = &["alice@example.org", "alice@example.org"];
    let cases = [
        ("alice@example.org", &[][..], None),
        ("alice@example.org", own, None),
        ("x@example.net", own, None),
        ("", own, None),
        ("", foreign, Some((Reason::AuthorNotAllowed, "<boss@victim.test> in the header"))),
        ("boss@victim.test", &[], Some((Reason::SenderNotAllowed, "<boss@victim.test>: "))),
        ("nobody", &[], Some((Reason::SenderNotAllowed, "<nobody>: "))),
        ("alice@example.org", foreign, Some((Reason::AuthorNotAllowed, "<boss@victim.test> in"))),
        ("alice@example.org", both, Some((Reason::AuthorNotAllowed, "<boss@victim.test> in"))),
        ("alice@example.org", ambiguous, Some((Reason::AuthorAmbiguous, "more than one From"))),
    ];
    let senders: Vec<SenderPattern> =
        vec!["alice@example.org".parse().unwrap(), "*@example.net".parse().unwrap()];
    for (sender, from, refused) in cases {
        let mut authors = AuthorFields::default();
        from.iter().for_each(|value| authors.add(b"From", value.as_bytes()));
        let mut facts = facts("203.0.113.9", Some(Standing::Enabled), true);
        facts.sender = ToldSender::Policy(sender.as_bytes());
        facts.authors = &authors;
        // Without senders of their own both may send as anybody.
        assert_eq!(decide(&rules(true), &facts).action, Action::Permit);
        let of_network = Facts { login: None, client: "192.0.2.7".parse().ok(), ..facts.clone() };
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
