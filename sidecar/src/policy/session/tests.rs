use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::access::Rules;
use crate::access::networks::{self, Networks};
use crate::alerts::Alerts;
use crate::decision::metrics::{Asker, DecisionMetrics};
use crate::gateways::Gateways;
use crate::history::Redaction;
use crate::ledger::Ledger;
use crate::limits::limit::DefaultLimits;
use crate::metrics::Registry;
use crate::recorder::Recorder;
use crate::store::UserStore;
use crate::user_name::UserName;
use crate::users::{NewHash, User};

struct Lab {
    decider: Arc<Decider>,
    registry: Registry,
    store: UserStore,
}

impl Lab {
    fn new(folder: &Path, limits: DefaultLimits) -> Self {
        let networks = Networks::new(networks::parse("192.0.2.0/24").unwrap());
        let store = UserStore::open(folder).unwrap();
        let registry = Registry::default();
        let decider = Decider {
            gateways: Gateways::new(false, &networks),
            rules: Rules { networks, login_enabled: true, network_senders: Vec::new() },
            ledger: Arc::new(Ledger::new(store.clone(), limits, Duration::from_secs(1))),
            alerts: Alerts::none(),
            history: Recorder::new(Redaction::None).unwrap(),
            store: store.clone(),
            metrics: DecisionMetrics::register(&registry, 5).unwrap(),
        };
        Self { decider: Arc::new(decider), registry, store }
    }

    fn add(&self, name: &str) -> UserName {
        let name = UserName::parse(name).unwrap();
        let hash = NewHash { hash: "unused".into(), unguessable: false };
        self.store.add(&name, &User::new(hash, 0)).unwrap();
        name
    }

    async fn ask(&self, text: &str) -> (String, Result<(), SessionError>) {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let decider = Arc::clone(&self.decider);
        let session = tokio::spawn(serve(theirs, decider, CancellationToken::new()));
        ours.write_all(text.as_bytes()).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        (answer, session.await.unwrap())
    }

    /// A message that is accepted, as the milter asks about it.
    async fn accept(&self, user: Option<&UserName>, recipients: u32) -> Verdict {
        let question = crate::decision::Question {
            client: "192.0.2.9".parse().ok(),
            user: user.map(|user| user.as_str().as_bytes()),
            tls: true,
            sender: crate::access::senders::ToldSender::Milter(b"<>"),
            authors: &crate::access::header_from::NOT_SENT,
            stage: Stage::Message { recipients },
        };
        self.decider.answer(Asker::Milter, question).await.unwrap()
    }
}

fn request(client: &str, user: &str) -> String {
    request_at("RCPT", client, user, "a")
}

fn request_at(stage: &str, client: &str, user: &str, instance: &str) -> String {
    format!(
        "request=smtpd_access_policy\nprotocol_state={stage}\nclient_address={client}\n\
         sasl_username={user}\nencryption_protocol=TLSv1.3\ninstance={instance}\n\n"
    )
}

fn actions(answer: &str) -> Vec<&str> {
    let actions = answer.split("\n\n").filter(|action| !action.is_empty());
    let codes = actions.map(|action| action.strip_prefix("action=").unwrap());
    codes.map(|code| code.get(..9).unwrap_or(code)).collect()
}

#[tokio::test]
async fn many_requests_on_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::new(folder.path(), DefaultLimits::default());
    lab.add("alice");
    let text = request("192.0.2.9", "")
        + &request("203.0.113.9", "")
        + &request("203.0.113.9", "alice")
        + &request("203.0.113.9", "bob");
    let (answer, end) = lab.ask(&text).await;
    assert_eq!(actions(&answer), ["DUNNO", "554 5.7.1", "DUNNO", "554 5.7.1"]);
    assert!(end.is_ok());
}

#[tokio::test]
async fn trouble_closes_the_connection_without_an_answer() {
    let damaged = request("203.0.113.9", "alice");
    let too_long = "x".repeat(protocol::MAX_REQUEST + 1);
    for text in [damaged.as_str(), "request=junk\n\n", "junk\n\n", &too_long] {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::new(folder.path(), DefaultLimits::default());
        let alice = lab.add("alice");
        lab.store.damage(&alice);
        let (answer, end) = lab.ask(text).await;
        assert_eq!(answer, "", "{text:.40}");
        assert!(end.is_err(), "{text:.40}");
    }
}

#[tokio::test]
async fn recipients_are_refused_when_accepted_messages_have_reached_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let user = "2/hour".parse().unwrap();
    let lab = Lab::new(folder.path(), DefaultLimits { user, ..Default::default() });
    let alice = lab.add("alice");
    let text: String =
        ["a", "b", "c"].iter().map(|id| request_at("RCPT", "203.0.113.9", "alice", id)).collect();
    let (answer, _) = lab.ask(&text).await;
    assert_eq!(actions(&answer), ["DUNNO"; 3], "nothing was accepted yet");
    assert_eq!(lab.accept(Some(&alice), 1).await.action, Action::Permit);
    assert_eq!(lab.accept(Some(&alice), 1).await.action, Action::Permit);
    assert!(matches!(lab.accept(Some(&alice), 1).await.action, Action::Refuse(_)));
    let (answer, _) = lab.ask(&(text + &request("192.0.2.9", ""))).await;
    let over = "450 4.7.1";
    assert_eq!(actions(&answer), [over, over, over, "DUNNO"]);
}

#[tokio::test]
async fn a_message_to_more_recipients_than_there_is_room_for_is_cut_at_rcpt() {
    let folder = tempfile::tempdir().unwrap();
    let network = "2/hour".parse().unwrap();
    let lab = Lab::new(folder.path(), DefaultLimits { network, ..Default::default() });
    let rcpt = |instance: &str| request_at("RCPT", "192.0.2.9", "", instance);
    let (answer, _) = lab.ask(&(rcpt("a").repeat(4) + &rcpt("b"))).await;
    let over = "450 4.7.1";
    assert_eq!(actions(&answer), ["DUNNO", "DUNNO", over, over, "DUNNO"]);
}

#[tokio::test]
async fn a_user_who_goes_over_the_ceiling_is_suspended() {
    let folder = tempfile::tempdir().unwrap();
    let limits = DefaultLimits {
        user: "1/hour".parse().unwrap(),
        ceiling: "3x".parse().unwrap(),
        ..Default::default()
    };
    let lab = Lab::new(folder.path(), limits);
    let alice = lab.add("alice");
    assert_eq!(lab.accept(Some(&alice), 1).await.action, Action::Permit);
    let (answer, _) = lab.ask(&request("203.0.113.9", "alice").repeat(5)).await;
    let (over, suspended) = ("450 4.7.1", "554 5.7.1");
    assert_eq!(actions(&answer), [over, over, suspended, suspended, suspended]);
    assert!(lab.store.user(&alice).unwrap().unwrap().suspended.is_some());
    let text = String::from_utf8(lab.registry.text().unwrap()).unwrap();
    assert!(text.contains("relay_users_suspended_total 1"), "{text}");
}
