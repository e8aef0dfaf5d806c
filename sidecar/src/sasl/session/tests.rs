//! The session over an in-memory connection: scripts of what goes in and what comes out.

use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::super::authenticator::tests::{add, dependencies};
use super::super::authenticator::{Authenticator, Dependencies};
use super::*;
use crate::history::Redaction;
use crate::metrics::Registry;
use crate::recorder::Recorder;
use crate::store::UserStore;
use crate::user_name::UserName;

/// Short, so that the tests are.
const REFUSED_AFTER: Duration = Duration::from_millis(100);
/// NUL alice NUL secret
const GOOD: &str = "AGFsaWNlAHNlY3JldA==";
/// NUL alice NUL wrong
const WRONG: &str = "AGFsaWNlAHdyb25n";

struct Peer {
    stream: BufReader<DuplexStream>,
    session: tokio::task::JoinHandle<Result<(), SessionError>>,
    stopping: CancellationToken,
    store: UserStore,
}

impl Peer {
    async fn connect(folder: &Path, enabled: bool) -> Self {
        let with = Dependencies { enabled, ..dependencies(folder) };
        let (store, metrics) = (with.store.clone(), with.metrics.clone());
        add(&store, "alice", "secret");
        let authenticator = Authenticator::new(with).unwrap();
        let services = ServiceMetrics::register(&Registry::default()).unwrap();
        let service = SaslService::new(
            authenticator,
            metrics,
            services,
            Recorder::new(Redaction::None).unwrap(),
            REFUSED_AFTER,
        );
        let service = Arc::new(service);
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let stopping = CancellationToken::new();
        let session = tokio::spawn(serve(theirs, service, stopping.clone()));
        let mut peer = Self { stream: BufReader::new(ours), session, stopping, store };
        while peer.line().await != "DONE" {}
        peer
    }

    async fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line, or "closed".
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        let read = tokio::time::timeout(Duration::from_secs(5), read).await.expect("no answer");
        if read.unwrap() == 0 { "closed".into() } else { line.trim_end_matches('\n').into() }
    }

    async fn ask(&mut self, text: &str) -> String {
        self.say(text).await;
        self.line().await
    }
}

fn auth(id: u32, mechanism: &str, rest: &str) -> String {
    format!(
        "AUTH\t{id}\t{mechanism}\tservice=smtp\tnologin\tlip=::1\trip=192.0.2.9\tsecured{rest}\n"
    )
}

#[tokio::test]
async fn plain_with_and_without_initial_response() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    peer.say("VERSION\t1\t0\nCPID\t77\n").await;
    let ok = "OK\t3\tuser=alice";
    assert_eq!(peer.ask(&auth(3, "PLAIN", &format!("\tresp={GOOD}"))).await, ok);
    assert_eq!(peer.ask(&auth(4, "plain", "")).await, "CONT\t4\t");
    assert_eq!(peer.ask(&format!("CONT\t4\t{GOOD}\n")).await, "OK\t4\tuser=alice");
}

#[tokio::test]
async fn login_asks_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    assert_eq!(peer.ask(&auth(1, "LOGIN", "")).await, "CONT\t1\tVXNlcm5hbWU6");
    assert_eq!(peer.ask("CONT\t1\tYWxpY2U=\n").await, "CONT\t1\tUGFzc3dvcmQ6");
    assert_eq!(peer.ask("CONT\t1\tc2VjcmV0\n").await, "OK\t1\tuser=alice");
    assert_eq!(peer.ask(&auth(2, "LOGIN", "\tresp=QWxpY2U=")).await, "CONT\t2\tUGFzc3dvcmQ6");
    assert_eq!(peer.ask("CONT\t2\tc2VjcmV0\n").await, "OK\t2\tuser=alice");
}

#[tokio::test]
async fn every_refusal_is_one_fail_and_the_connection_lives() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    // NUL bob NUL secret; bob is nobody.
    let nobody = "AGJvYgBzZWNyZXQ=";
    let refused = "reason=wrong user name or password";
    let cases = [
        (auth(1, "PLAIN", &format!("\tresp={WRONG}")), format!("FAIL\t1\tuser=alice\t{refused}")),
        (auth(2, "PLAIN", &format!("\tresp={nobody}")), format!("FAIL\t2\tuser=bob\t{refused}")),
        (
            auth(3, "PLAIN", "\tresp=***"),
            "FAIL\t3\tcode=invalid_base64\treason=malformed response".into(),
        ),
        (
            auth(4, "PLAIN", "\tresp=YQ=="),
            "FAIL\t4\tcode=invalid_base64\treason=malformed response".into(),
        ),
        (
            auth(5, "CRAM-MD5", ""),
            "FAIL\t5\treason=mechanism not supported: use PLAIN or LOGIN".into(),
        ),
        (
            format!("AUTH\t6\tPLAIN\tservice=smtp\tresp={GOOD}\n"),
            "FAIL\t6\treason=encryption required: use STARTTLS or port 465".into(),
        ),
        ("CONT\t99\tYQ==\n".into(), "FAIL\t99\treason=Authentication request timed out".into()),
        (auth(7, "PLAIN", &format!("\tresp={GOOD}")), "OK\t7\tuser=alice".into()),
        ("CONT\t7\tYQ==\n".into(), "FAIL\t7\treason=Authentication request timed out".into()),
    ];
    for (line, expected) in cases {
        assert_eq!(peer.ask(&line).await, expected, "{line}");
    }
}

#[tokio::test]
async fn refusals_take_the_same_time_and_a_good_login_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    // NUL bob NUL secret; bob is nobody.
    for (id, response) in [(1, WRONG), (2, WRONG), (3, "AGJvYgBzZWNyZXQ=")] {
        let started = Instant::now();
        peer.ask(&auth(id, "PLAIN", &format!("\tresp={response}"))).await;
        assert!(started.elapsed() >= REFUSED_AFTER, "{response}");
    }
    peer.ask(&auth(4, "PLAIN", &format!("\tresp={GOOD}"))).await;
    let started = Instant::now();
    peer.ask(&auth(5, "PLAIN", &format!("\tresp={GOOD}"))).await;
    assert!(started.elapsed() < REFUSED_AFTER, "cached: {:?}", started.elapsed());
}

#[tokio::test]
async fn an_empty_initial_response_depends_on_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    assert_eq!(peer.ask(&auth(1, "LOGIN", "\tresp=")).await, "CONT\t1\tVXNlcm5hbWU6");
    peer.say("VERSION\t1\t2\n").await;
    assert!(peer.ask(&auth(2, "LOGIN", "\tresp=")).await.starts_with("FAIL\t2"));
    assert!(peer.ask(&auth(3, "PLAIN", "\tresp==")).await.starts_with("FAIL\t3"));
}

#[tokio::test]
async fn forgotten_exchanges_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    for id in 1..=20 {
        assert_eq!(peer.ask(&auth(id, "PLAIN", "")).await, format!("CONT\t{id}\t"));
    }
    assert!(peer.ask(&format!("CONT\t1\t{GOOD}\n")).await.starts_with("FAIL\t1"));
    assert_eq!(peer.ask(&format!("CONT\t20\t{GOOD}\n")).await, "OK\t20\tuser=alice");
    peer.say("CANCEL\t19\n").await;
    assert!(peer.ask(&format!("CONT\t19\t{GOOD}\n")).await.starts_with("FAIL\t19"));
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_cut_off() {
    for line in [
        "VERSION\t2\t0\n".to_owned(),
        "AUTH\tx\tPLAIN\tservice=smtp\n".to_owned(),
        "x".repeat(protocol::MAX_LINE + 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut peer = Peer::connect(folder.path(), true).await;
        assert_eq!(peer.ask(&line).await, "closed", "{:.40}", line);
        assert!(matches!(
            peer.session.await.unwrap(),
            Err(SessionError::Connection(ConnectionError::Protocol(_)))
        ));
    }
}

#[tokio::test]
async fn pipelined_lines_are_answered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    // Longer together than the buffer.
    let padding = "\tpadding=".to_owned() + &"x".repeat(9000);
    let mut text = String::new();
    for id in 1..=4 {
        text += &auth(id, "PLAIN", &format!("{padding}\tresp={GOOD}"));
    }
    peer.say(&text).await;
    for id in 1..=4 {
        assert_eq!(peer.line().await, format!("OK\t{id}\tuser=alice"));
    }
}

#[tokio::test]
async fn switched_off_nobody_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), false).await;
    let answer = peer.ask(&auth(1, "PLAIN", &format!("\tresp={GOOD}"))).await;
    assert_eq!(answer, "FAIL\t1\treason=login is switched off");
}

#[tokio::test]
async fn an_idle_session_ends_when_the_process_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    peer.stopping.cancel();
    assert_eq!(peer.line().await, "closed");
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::connect(folder.path(), true).await;
    peer.say(&auth(1, "PLAIN", &format!("\tresp={GOOD}"))).await;
    drop(peer.stream);
    assert!(peer.session.await.unwrap().is_ok());
}

#[tokio::test]
async fn trouble_closes_postfix_connection_and_is_temporary_to_others() {
    for (version, expected) in [
        ("0", "closed"),
        ("2", "FAIL\t1\ttemp\tcode=temp_fail\treason=Temporary authentication failure"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut peer = Peer::connect(folder.path(), true).await;
        // A damaged record is trouble, and never a wrong password.
        peer.store.damage(&UserName::parse("alice").unwrap());
        peer.say(&format!("VERSION\t1\t{version}\n")).await;
        assert_eq!(peer.ask(&auth(1, "PLAIN", &format!("\tresp={GOOD}"))).await, expected);
    }
}
