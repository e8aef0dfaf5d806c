use super::*;
use crate::access::networks::{self, Networks};
use crate::ledger::DefaultLimits;
use crate::users::User;

async fn ask(service: PolicyService, text: &str) -> (String, Result<(), SessionError>) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let session = tokio::spawn(serve(theirs, Arc::new(service), CancellationToken::new()));
    ours.write_all(text.as_bytes()).await.unwrap();
    ours.shutdown().await.unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).await.unwrap();
    (answer, session.await.unwrap())
}

fn service(folder: &std::path::Path) -> PolicyService {
    service_with(folder, DefaultLimits::default())
}

fn service_with(folder: &std::path::Path, limits: DefaultLimits) -> PolicyService {
    let networks = Networks::new(networks::parse("192.0.2.0/24").unwrap(), Vec::new());
    let store = UserStore::open(folder).unwrap();
    let ledger = Ledger::open(store.clone(), limits, Duration::from_secs(1)).unwrap();
    PolicyService {
        rules: Arc::new(Rules { networks, login_enabled: true, network_senders: Vec::new() }),
        ledger: Arc::new(ledger),
        alerts: Alerts::start(None).unwrap(),
        store,
        metrics: Metrics::new().unwrap(),
    }
}

fn request(client: &str, user: &str) -> String {
    request_at("RCPT", client, user)
}

fn request_at(stage: &str, client: &str, user: &str) -> String {
    format!(
        "request=smtpd_access_policy\nprotocol_state={stage}\nclient_address={client}\n\
         sasl_username={user}\nencryption_protocol=TLSv1.3\nrecipient_count=1\n\n"
    )
}

#[tokio::test]
async fn many_requests_on_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let alice = UserName::parse("alice").unwrap();
    service.store.add(&alice, &User::new("unused".into(), 0, None)).unwrap();
    let text = request("192.0.2.9", "")
        + &request("203.0.113.9", "")
        + &request("203.0.113.9", "alice")
        + &request("203.0.113.9", "bob");
    let (answer, end) = ask(service, &text).await;
    let actions: Vec<_> =
        answer.split("\n\n").map(|action| action.get(..12).unwrap_or(action)).collect();
    assert_eq!(actions, ["action=DUNNO", "action=554 5", "action=DUNNO", "action=554 5", ""]);
    assert!(end.is_ok());
}

#[tokio::test]
async fn trouble_closes_the_connection_without_an_answer() {
    let damaged = request("203.0.113.9", "alice");
    let too_long = "x".repeat(protocol::MAX_REQUEST + 1);
    for text in [damaged.as_str(), "request=junk\n\n", "junk\n\n", &too_long] {
        let folder = tempfile::tempdir().unwrap();
        let service = service(folder.path());
        let alice = UserName::parse("alice").unwrap();
        service.store.add(&alice, &User::new("unused".into(), 0, None)).unwrap();
        service.store.damage(&alice);
        let (answer, end) = ask(service, text).await;
        assert_eq!(answer, "", "{text:.40}");
        assert!(end.is_err(), "{text:.40}");
    }
}

fn actions(answer: &str) -> Vec<&str> {
    let actions = answer.split("\n\n").filter(|action| !action.is_empty());
    let codes = actions.map(|action| action.strip_prefix("action=").unwrap());
    codes.map(|code| code.get(..9).unwrap_or(code)).collect()
}

#[tokio::test]
async fn messages_are_counted_at_data_and_refused_at_rcpt_when_the_limit_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let user = "2/hour".parse().unwrap();
    let service = service_with(folder.path(), DefaultLimits { user, ..Default::default() });
    let alice = UserName::parse("alice").unwrap();
    service.store.add(&alice, &User::new("unused".into(), 0, None)).unwrap();
    let ask_about = |stage: &str, instance: &str| {
        let request = request_at(stage, "203.0.113.9", "alice");
        request.replace("\n\n", &format!("\ninstance={instance}\n\n"))
    };
    let dialog = [
        ("RCPT", "a", "DUNNO"),
        ("RCPT", "b", "DUNNO"),
        ("RCPT", "c", "DUNNO"),
        ("DATA", "a", "DUNNO"),
        ("DATA", "b", "DUNNO"),
        ("DATA", "c", "450 4.7.1"),
        ("RCPT", "d", "450 4.7.1"),
    ];
    let text: String =
        dialog.iter().map(|(stage, instance, _)| ask_about(stage, instance)).collect();
    let (answer, _) = ask(service, &(text + &request("192.0.2.9", ""))).await;
    let expected: Vec<&str> = dialog.iter().map(|(_, _, action)| *action).collect();
    assert_eq!(actions(&answer), [expected.as_slice(), &["DUNNO"]].concat());
}

#[tokio::test]
async fn a_message_to_more_recipients_than_there_is_room_for_is_cut_at_rcpt() {
    let folder = tempfile::tempdir().unwrap();
    let network = "2/hour".parse().unwrap();
    let service = service_with(folder.path(), DefaultLimits { network, ..Default::default() });
    let rcpt = |instance: &str| {
        request("192.0.2.9", "").replace("\n\n", &format!("\ninstance={instance}\n\n"))
    };
    let text = rcpt("a").repeat(4) + &rcpt("b");
    let (answer, _) = ask(service, &text).await;
    let over = "450 4.7.1";
    assert_eq!(actions(&answer), ["DUNNO", "DUNNO", over, over, "DUNNO"]);
}

#[tokio::test]
async fn a_user_who_passes_the_ceiling_is_suspended() {
    let folder = tempfile::tempdir().unwrap();
    let limits = DefaultLimits {
        user: "1/hour".parse().unwrap(),
        ceiling: "3x".parse().unwrap(),
        ..Default::default()
    };
    let service = service_with(folder.path(), limits);
    let (store, metrics) = (service.store.clone(), service.metrics.clone());
    let alice = UserName::parse("alice").unwrap();
    store.add(&alice, &User::new("unused".into(), 0, None)).unwrap();
    let data = request_at("DATA", "203.0.113.9", "alice");
    let (answer, _) = ask(service, &data.repeat(6)).await;
    let (over, suspended) = ("450 4.7.1", "554 5.7.1");
    assert_eq!(actions(&answer), ["DUNNO", over, over, suspended, suspended, suspended]);
    assert!(store.get(&alice).unwrap().unwrap().suspended.is_some());
    let text = String::from_utf8(metrics.text(None).unwrap()).unwrap();
    assert!(text.contains("relay_users_suspended_total 1"), "{text}");
}
