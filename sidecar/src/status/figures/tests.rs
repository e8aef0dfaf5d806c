use super::*;
use crate::metrics::Registry;
use crate::status::Flow;

/// The metrics of a relay, and what was counted in them.
struct Scene {
    registry: Registry,
    ring: Option<Ring>,
}

impl Scene {
    fn new() -> Self {
        Self { registry: Registry::default(), ring: None }
    }

    fn counter(&self, name: &str, labels: &[(&str, &str)], number: u64) -> &Self {
        let [(label, word)] = labels else { panic!("one label") };
        let family = self.registry.named_counters(name, "Counter", label).unwrap();
        family.with_label_values(&[word]).inc_by(number);
        self
    }

    fn gauge(&self, name: &str, value: u64) -> &Self {
        self.registry.known_gauges::<()>(name, "Gauge").unwrap().set((), Some(value));
        self
    }

    fn status(&self, now: u64, known: Known) -> Status {
        let reading = self.registry.read();
        let empty = Ring::new(Sample::default());
        status(&reading, self.ring.as_ref().unwrap_or(&empty), known, now)
    }
}

#[test]
fn nothing_is_known_at_the_start_and_nothing_is_shown_as_zero() {
    let status = Scene::new().status(100, Known { started: 40, ..Known::default() });
    assert_eq!((status.flow, status.uptime), (Flow::Unknown, 60));
    assert_eq!((status.postfix.up, status.users, status.suspended), (None, None, None));
    assert_eq!((status.last_hour.sent, status.last_hour.returned()), (None, None));
    assert!(
        status.queues.is_empty() && status.volumes.is_empty() && status.certificates.is_empty()
    );
    let queued = status.plots.iter().find(|plot| plot.name == "queued").unwrap();
    assert!(queued.points.is_empty());
}

#[test]
fn what_was_counted_since_the_sample_of_an_hour_ago_is_the_last_hour() {
    let mut scene = Scene::new();
    let sent = scene.registry.named_counters("relay_deliveries_total", "D", "status").unwrap();
    let mail = scene.registry.named_counters("relay_messages_total", "M", "client").unwrap();
    let users = scene.registry.named_counters("relay_user_messages_total", "U", "user").unwrap();
    let count = |messages| {
        sent.with_label_values(&["sent"]).inc_by(messages);
        mail.with_label_values(&["user"]).inc_by(messages);
        users.with_label_values(&["alice"]).inc_by(messages);
    };
    count(5);
    scene.gauge("relay_postfix_events_age_seconds", 4);
    let mut ring = Ring::new(Sample::of(&scene.registry.read(), 0));
    count(7);
    ring.add(Sample::of(&scene.registry.read(), 80_000));
    count(2);
    scene.ring = Some(ring);
    let limit = LimitUse { limit: "10/day".into(), used: 9, most: 10 };
    let limits = BTreeMap::from([("alice".to_owned(), vec![limit.clone()])]);
    let status = scene.status(83_000, Known { limits, ..Known::default() });
    assert_eq!((status.last_day.seconds, status.last_day.accepted), (83_000, 9));
    assert_eq!((status.last_day.sent, status.last_day.deferred), (Some(9), Some(0)));
    assert_eq!(status.senders[0].messages_day, 9);
    assert_eq!(status.senders[0].limits, [limit]);
    let accepted = &status.plots[0];
    assert_eq!(
        (accepted.name.as_str(), &accepted.points[..]),
        ("accepted", &[(80_000, 7), (83_000, 2)][..])
    );
}

#[test]
fn senders_are_the_most_active_and_can_be_shown_without_their_names() {
    let scene = Scene::new();
    let users = scene.registry.named_counters("relay_user_messages_total", "U", "user").unwrap();
    for number in 0..30_u64 {
        users.with_label_values(&[&format!("user-{number}")]).inc_by(number);
    }
    let status = scene.status(5, Known::default());
    let names: Vec<_> = status.senders.iter().map(|sender| sender.user.as_str()).collect();
    assert_eq!((names.len(), names[0], names[19]), (20, "user-29", "user-10"));
    let hidden = serde_json::to_string(&status.without_names()).unwrap();
    assert!(hidden.contains("\"user 1\"") && !hidden.contains("user-29"), "{hidden}");
}

#[test]
fn volumes_and_versions_come_from_the_registry() {
    let scene = Scene::new();
    scene
        .gauge("relay_queue_volume_size_bytes", 100)
        .gauge("relay_queue_volume_free_bytes", 5)
        .gauge("relay_postfix_up", 1)
        .gauge("relay_postfix_events_age_seconds", 4)
        .counter("relay_trouble_total", &[("service", "policy")], 0);
    let status = scene.status(5, Known::default());
    let volume =
        Volume { name: "queue".into(), size: 100, free: 5, inodes: None, inodes_free: None };
    assert_eq!((status.volumes, status.postfix.up), (vec![volume], Some(true)));
    assert_eq!(status.concerns[0].what, "queue");
}
