use super::*;

struct Scene {
    registry: Registry,
    metrics: PostfixMetrics,
    start: Instant,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::default();
        let metrics = PostfixMetrics::register(&registry).unwrap();
        Self { registry, metrics, start: Instant::now() }
    }

    fn report(&self, json: &str) {
        self.metrics.heard(self.start);
        self.metrics.report(serde_json::from_str(json).unwrap());
    }

    /// The series at so many seconds, without comments.
    fn series(&self, second: u64) -> Vec<String> {
        self.metrics.refresh(self.start + Duration::from_secs(second));
        let text = String::from_utf8(self.registry.text().unwrap()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.trim_start_matches("relay_").to_owned()).collect()
    }
}

#[test]
fn nothing_is_shown_before_anything_is_known() {
    assert_eq!(Scene::new().series(60), ["postfix_deliveries_uncounted_total 0"]);
}

#[test]
fn a_report_is_shown_until_there_is_a_newer_one_and_its_age_with_it() {
    let scene = Scene::new();
    scene.report(
        r#"{"version":"3.10.13","lost":2,"certificates":{"server":1795435200,"x":1},"not_renewed":["server"],
            "volume":{"size":100,"free":40,"inodes":9,"inodes_free":8}}"#,
    );
    let mut expected = [
        "certificate_expiry_timestamp_seconds{use=\"server\"} 1795435200",
        "certificate_renewal_failed{use=\"server\"} 1",
        "postfix_deliveries_uncounted_total 2",
        "postfix_events_age_seconds 29",
        "postfix_info{version=\"3.10.13\"} 1",
        "postfix_up 1",
        "queue_volume_free_bytes 40",
        "queue_volume_inodes 9",
        "queue_volume_inodes_free 8",
        "queue_volume_size_bytes 100",
    ];
    assert_eq!(scene.series(29), expected);
    expected[3] = "postfix_events_age_seconds 600";
    expected[5] = "postfix_up 0";
    assert_eq!(scene.series(600), expected);
}

#[test]
fn postfix_is_not_up_before_it_has_started_and_has_one_version_at_a_time() {
    let scene = Scene::new();
    scene.report("{}");
    assert!(scene.series(1).contains(&"postfix_up 0".to_owned()));
    for version in ["3.10.12", "3.10.13", "\\\"} 1", "3.11.0"] {
        scene.report(&format!("{{\"version\":\"{version}\"}}"));
        let series = scene.series(1);
        let shown = series.iter().filter(|line| line.starts_with("postfix_info")).count();
        assert_eq!(shown, usize::from(version.starts_with('3')), "{series:?}");
    }
}

#[test]
fn lost_deliveries_add_up_over_restarts_of_postfix() {
    let scene = Scene::new();
    for (lost, total) in [(3, 3), (3, 3), (5, 5), (1, 6), (0, 6), (2, 8)] {
        scene.report(&format!("{{\"lost\":{lost}}}"));
        let expected = format!("postfix_deliveries_uncounted_total {total}");
        assert!(scene.series(1).contains(&expected), "{expected}");
    }
}

#[test]
fn an_empty_queue_has_no_oldest_message_and_an_unknown_one_nothing() {
    let scene = Scene::new();
    let queues = r#"{"active":{"count":0,"bytes":0},
        "deferred":{"count":2,"bytes":70,"oldest_seconds":9},"strange":{"count":1,"bytes":1}}"#;
    scene.metrics.queues(&serde_json::from_str(queues).unwrap());
    assert_eq!(
        scene.series(0),
        [
            "postfix_deliveries_uncounted_total 0",
            "queue_bytes{queue=\"active\"} 0",
            "queue_bytes{queue=\"deferred\"} 70",
            "queue_messages{queue=\"active\"} 0",
            "queue_messages{queue=\"deferred\"} 2",
            "queue_oldest_age_seconds{queue=\"deferred\"} 9",
        ]
    );
}
