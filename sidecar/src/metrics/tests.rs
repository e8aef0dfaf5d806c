use super::*;
use crate::access::Action;

#[test]
fn what_was_counted_is_shown() {
    let metrics = Metrics::new().unwrap();
    metrics.auth(Some(Mechanism::Plain), AuthResult::Accepted, Duration::from_millis(30));
    let permitted = Verdict { action: Action::Permit, reason: Reason::Network };
    metrics.decision(Service::Policy, &permitted);
    let text = String::from_utf8(metrics.text(Some(3)).unwrap()).unwrap();
    for line in [
        "relay_auth_attempts_total{mechanism=\"PLAIN\",result=\"accepted\"} 1",
        "relay_auth_attempts_total{mechanism=\"LOGIN\",result=\"wrong_password\"} 0",
        "relay_decisions_total{action=\"permit\",reason=\"network\",service=\"policy\"} 1",
        "relay_decisions_total{action=\"refuse\",reason=\"gateway\",service=\"milter\"} 0",
        "relay_connections{service=\"sasl\"} 0",
        "relay_users 3",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}
