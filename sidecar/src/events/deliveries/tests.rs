use super::*;

#[test]
fn delays_are_read_as_far_as_they_go() {
    let read = |text| delays(text).map(|(_, delay)| delay.as_millis()).collect::<Vec<_>>();
    assert_eq!(read("0.1/0.02/2/0.3"), [100, 20, 2_000, 300]);
    assert_eq!(read("0/0/-1/x"), [0, 0]);
    assert_eq!(read("1/2/3/4/5"), [1_000, 2_000, 3_000, 4_000]);
    assert_eq!(read(""), [0; 0]);
    assert_eq!(read("1e300/nan/inf/7"), [7_000]);
}

#[test]
fn what_was_sent_is_counted_with_its_delays() {
    let registry = Registry::default();
    let metrics = DeliveryMetrics::register(&registry).unwrap();
    for status in ["sent", "deferred"] {
        metrics.count(&Delivery {
            status: status.into(),
            dsn: "2.0.0".into(),
            relay: "smtp.google.com[192.0.2.1]:25".into(),
            delays: "0.1/0.02/2/0.3".into(),
            encrypted: true,
            ..Delivery::default()
        });
    }
    let text = String::from_utf8(registry.text().unwrap()).unwrap();
    for expected in [
        "relay_deliveries_total{cause=\"none\",status=\"sent\"} 1\n",
        "relay_deliveries_by_class_total{class=\"2\",status=\"sent\"} 1\n",
        "by_next_hop_total{next_hop=\"gmail\",status=\"sent\",tls=\"yes\"} 1\n",
        "by_next_hop_total{next_hop=\"gmail\",status=\"deferred\",tls=\"yes\"} 1\n",
        "delay_seconds_sum{next_hop=\"gmail\",stage=\"connection\"} 2\n",
        "delay_seconds_count{next_hop=\"gmail\",stage=\"transmission\"} 1\n",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn what_is_remembered_of_a_delivery_may_be_missing_or_anything() {
    let read = |text: &str| serde_json::from_str::<Delivery<'_>>(text).unwrap().entry(7);
    let entry = read(
        r#"{"status":"deferred","dsn":"4.4.1","relay":"none","queue_id":"4hLkX53kNtzjk",
            "to":"\"b\\\"o\"@c","reason":"refused","delay":0.5,"new":[]}"#,
    );
    let expected = Entry {
        queue_id: "4hLkX53kNtzjk".to_owned(),
        recipients: r#""b\"o"@c"#.to_owned(),
        next_hop: "none".to_owned(),
        answer: "refused".to_owned(),
        ..Entry::new(7, Event::Deferred)
    };
    assert_eq!(entry, Some(expected));
    for text in [
        r#"{"status":"sent"}"#,
        r#"{"status":"sent","to":7,"reason":{"a":[1]},"queue_id":null,"from":[true]}"#,
    ] {
        assert_eq!(read(text), Some(Entry::new(7, Event::Sent)), "{text}");
    }
    assert_eq!(read(r#"{"status":"undeliverable"}"#), None, "an address probe");
}
