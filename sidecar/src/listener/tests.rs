use super::*;
use crate::metrics::Registry;

fn metrics() -> ServiceMetrics {
    ServiceMetrics::register(&Registry::default()).unwrap()
}

#[test]
fn endpoints_are_read_or_refused() {
    assert_eq!(Endpoint::parse("unix:/run/x").unwrap(), Endpoint::Unix("/run/x".into()));
    for text in ["inet:127.0.0.1:9154", "inet:[::1]:9154", "inet:localhost:1"] {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "/run/x",
        "unix:x",
        "inet:9154",
        "inet::9154",
        "inet:h:0",
        "inet:h:99999",
        "inet:::1:5",
        "tcp:h:1",
    ] {
        assert!(Endpoint::parse(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_one_in_use_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::Unix(folder.path().join("x.sock"));
    let metrics = metrics();
    let first = Listener::bind(&endpoint, Service::Sasl, &metrics).await.unwrap();
    let second = Listener::bind(&endpoint, Service::Sasl, &metrics).await;
    assert!(matches!(second, Err(BindError::InUse(_))), "{second:?}");
    drop(first);
    Listener::bind(&endpoint, Service::Sasl, &metrics).await.unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = Endpoint::Inet(other.local_addr().unwrap().to_string());
    let second = Listener::bind(&taken, Service::Http, &metrics).await;
    assert!(matches!(second, Err(BindError::InUse(_))), "{second:?}");
}

#[tokio::test]
async fn the_socket_is_for_the_owner_and_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let endpoint = Endpoint::Unix(path.clone());
    let _listener = Listener::bind(&endpoint, Service::Sasl, &metrics()).await.unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file left");
}

#[test]
fn what_only_this_machine_can_reach() {
    for (endpoint, expected) in [
        ("unix:/run/x", true),
        ("inet:127.0.0.1:1", true),
        ("inet:[::1]:1", true),
        ("inet:localhost:1", true),
        ("inet:0.0.0.0:1", false),
        ("inet:192.0.2.1:1", false),
        ("inet:sidecar:1", false),
    ] {
        assert_eq!(Endpoint::parse(endpoint).unwrap().is_local(), expected, "{endpoint}");
    }
}
