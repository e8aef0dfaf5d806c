use super::*;
use crate::maillog::line::parse;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn received(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 16 << 10];
    socket.set_nonblocking(true).unwrap();
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
}

const HEAD: &str = "Nov 23 05:10:16 relay postfix";
const DELIVERY: &str = "to=<b@c>, relay=none, delay=0.5, delays=0/0/0/0, dsn=4.4.1, \
                        status=deferred (connect: refused)";

#[test]
fn deliveries_are_sent_together_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sock");
    let mut batch = Batch::new(Events::to(path.clone()).unwrap(), Smarthosts::default());
    let delivery = format!("{HEAD}/smtp[7]: 4hLkX53kNtzjk: {DELIVERY}");
    // Nobody listens yet.
    batch.add(&parse(&delivery), NOW);
    batch.send();
    let sidecar = UnixDatagram::bind(&path).unwrap();
    batch.add(&parse(&delivery), NOW);
    batch.add(&parse(&format!("{HEAD}/master[1]: daemon started")), NOW);
    batch.add(&parse(&format!("{HEAD}/smtp[7]: warning: no")), NOW);
    batch.add(&parse(&delivery), NOW);
    batch.send();
    batch.send();
    let event = "{\"v\":2,\"event\":\"delivery\",\"time\":\"1970-01-01T00:00:00.000Z\",\
         \"level\":\"info\",\"service\":\"smtp\",\"pid\":7,\"queue_id\":\"4hLkX53kNtzjk\",\
         \"to\":\"b@c\",\"relay\":\"none\",\"delays\":\"0/0/0/0\",\"dsn\":\"4.4.1\",\
         \"status\":\"deferred\",\"reason\":\"connect: refused\",\"delay\":0.5}\n";
    assert_eq!(received(&sidecar).unwrap(), event.repeat(2));
    assert_eq!(received(&sidecar), None);
}

#[test]
fn the_first_delivery_is_told_at_once_and_the_next_ones_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sock");
    let sidecar = UnixDatagram::bind(&path).unwrap();
    let mut batch = Batch::new(Events::to(path).unwrap(), Smarthosts::default());
    let delivery = format!("{HEAD}/smtp[7]: 4hLkX53kNtzjk: {DELIVERY}");
    let started = Instant::now();
    let mut told = Vec::new();
    for milliseconds in (0..300).step_by(10) {
        let now = started + Duration::from_millis(milliseconds);
        assert_eq!(batch.due_in(now).is_none(), batch.datagram.is_empty());
        batch.add(&parse(&delivery), NOW);
        batch.send_if_due(now);
        told.extend(received(&sidecar).map(|text| (milliseconds, text.lines().count())));
    }
    assert_eq!(told, [(0, 1), (100, 10), (200, 10)]);
    // Nothing else comes; the last ones are still told.
    assert_eq!(batch.due_in(started + Duration::from_millis(290)), Some(Duration::from_millis(10)));
    batch.send_if_due(started + Duration::from_millis(300));
    assert_eq!(received(&sidecar).unwrap().lines().count(), 9);
    assert_eq!(batch.due_in(started + Duration::from_millis(300)), None);
}

#[test]
fn a_burst_is_cut_into_datagrams_of_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sock");
    let sidecar = UnixDatagram::bind(&path).unwrap();
    let mut batch = Batch::new(Events::to(path).unwrap(), Smarthosts::default());
    let long = "x".repeat(4000);
    let delivery = format!("{HEAD}/smtp[7]: 4hLkX53kNtzjk: {DELIVERY}").replace("refused", &long);
    (0..10).for_each(|_| batch.add(&parse(&delivery), NOW));
    batch.send();
    let datagrams: Vec<String> = std::iter::from_fn(|| received(&sidecar)).collect();
    assert!(datagrams.iter().all(|datagram| datagram.ends_with("}\n")), "{datagrams:?}");
    assert_eq!(datagrams.concat().lines().count(), 10);
}

#[test]
fn a_sidecar_that_does_not_read_delays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sock");
    let _sidecar = UnixDatagram::bind(&path).unwrap();
    let events = Events::to(path).unwrap();
    let sent = (0..10_000).filter(|_| events.send(b"{}\n")).count();
    assert!(sent < 10_000);
}

/// The events of these lines.
fn events_of(smarthosts: Smarthosts, lines: &[&str]) -> (Events, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sock");
    let sidecar = UnixDatagram::bind(&path).unwrap();
    let events = Events::to(path).unwrap();
    let mut batch = Batch::new(events.clone(), smarthosts);
    for line in lines {
        let text = format!("{HEAD}/{line}");
        assert!(may_matter(&text), "{text}");
        batch.add(&parse(&text), NOW);
    }
    batch.send();
    (events, received(&sidecar).unwrap_or_default())
}

#[test]
fn it_is_told_whether_a_delivery_was_encrypted_and_went_to_a_smarthost() {
    let tls = "smtp[7]: Trusted TLS connection established to Mx.a[192.0.2.1]:25: TLSv1.3";
    let delivery =
        "smtp[7]: 4hLkX53kNtzjk: to=<b@c>, relay=Mx.a[192.0.2.1]:25, dsn=2.0.0, status=sent (ok)";
    let away = "smtp[7]: 4hLkX53kNtzjk: to=<b@c>, relay=none, dsn=4.4.1, status=deferred (no)";
    let hosts = |hosts: &[&str]| Smarthosts {
        all: false,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let all = Smarthosts { all: true, hosts: Vec::new() };
    for (smarthosts, lines, encrypted, smarthost) in [
        (hosts(&["mx.b", "mx.a"]), vec![tls, delivery], true, true),
        (hosts(&["mx.b"]), vec![delivery], false, false),
        (hosts(&["mx.b"]), vec![away], false, false),
        (all, vec![away], false, true),
    ] {
        let (_, event) = events_of(smarthosts, &lines);
        assert_eq!(event.contains("\"encrypted\":true"), encrypted, "{event}");
        assert_eq!(event.contains("\"smarthost\":true"), smarthost, "{event}");
    }
}

#[test]
fn a_message_that_expired_is_an_event_of_its_own() {
    let line = "qmgr[7]: 4hLkX53kNtzjk: from=<a@b>, status=expired, returned to sender";
    let (_, event) = events_of(Smarthosts::default(), &[line]);
    assert!(event.contains("\"event\":\"delivery\""), "{event}");
    assert!(event.contains("\"status\":\"expired\""), "{event}");
}

#[test]
fn deliveries_that_reach_nobody_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::to(folder.path().join("events.sock")).unwrap();
    let mut batch = Batch::new(events.clone(), Smarthosts::default());
    let delivery = format!("{HEAD}/smtp[7]: 4hLkX53kNtzjk: {DELIVERY}");
    (0..3).for_each(|_| batch.add(&parse(&delivery), NOW));
    assert_eq!(events.lost(), 0);
    batch.send();
    batch.send();
    assert_eq!(events.lost(), 3);
}
