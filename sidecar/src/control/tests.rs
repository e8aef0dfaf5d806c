use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

use super::*;
use crate::decision::metrics::DecisionMetrics;
use crate::history::{Filter, Redaction};
use crate::ledger::Ledger;
use crate::limits::limit::DefaultLimits;
use crate::metrics::Registry;
use crate::recorder::Recorder;
use crate::store::UserStore;

fn desk(folder: &Path) -> Desk {
    let (store, registry) = (UserStore::open(folder).unwrap(), Registry::default());
    let ledger = Ledger::new(store.clone(), DefaultLimits::default(), Duration::from_secs(1));
    let decisions = DecisionMetrics::register(&registry, 5).unwrap();
    let history = Recorder::new(Redaction::None).unwrap();
    let overview = Overview::new(registry, store, Arc::new(ledger), decisions, history);
    Desk { overview, alerts: Alerts::none() }
}

async fn ask(path: &Path, question: &[u8]) -> Answer {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(question).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    protocol::decode_answer(&answer).unwrap()
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_only_its_owner_may_connect() {
    let folder = tempfile::tempdir().unwrap();
    // What a process left that was killed between two steps.
    std::fs::create_dir(folder.path().join(format!("{SOCKET}.{}", std::process::id()))).unwrap();
    drop(bind(folder.path()).unwrap());
    let path = folder.path().join(SOCKET);
    let refused = UnixStream::connect(&path).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let _listener = bind(folder.path()).unwrap();
    assert!(UnixStream::connect(&path).await.is_ok());
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
}

#[tokio::test]
async fn questions_are_answered_while_others_neither_ask_nor_read() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path());
    let (listener, stopping) = (bind(folder.path()).unwrap(), CancellationToken::new());
    let serving = tokio::spawn(serve(listener, desk, stopping.clone()));
    let path = folder.path().join(SOCKET);
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS - 1 {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    let started = Instant::now();
    let question = protocol::question(&Question::Status);
    assert!(matches!(ask(&path, &question).await, Answer::Status(_)));
    let question = Question::History { filter: Filter::default(), most: 9, since: 0 };
    assert!(matches!(ask(&path, &protocol::question(&question)).await, Answer::History(_)));
    for nonsense in [&b"nonsense\n"[..], b"", &vec![b' '; MAX_QUESTION + 1]] {
        assert!(matches!(ask(&path, nonsense).await, Answer::Error(_)));
    }
    assert!(started.elapsed() < TIMEOUT, "somebody was waited for");
    // With all places taken one waits until the first is given up.
    idle.push(UnixStream::connect(&path).await.unwrap());
    let question = protocol::question(&Question::Status);
    assert!(matches!(ask(&path, &question).await, Answer::Status(_)));
    stopping.cancel();
    serving.await.unwrap();
}
