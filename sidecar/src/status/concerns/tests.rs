use super::super::*;
use super::*;
use crate::fleet::standing::Standing;

/// Postfix is well, and some mail went through.
fn healthy() -> Status {
    let period = |seconds, sent| Period {
        seconds,
        sent: Some(sent),
        deferred: Some(0),
        bounced: Some(0),
        expired: Some(0),
        ..Period::default()
    };
    let status = Status {
        time: 1_800_000_000,
        postfix: Postfix { up: Some(true), age: Some(3), ..Postfix::default() },
        queues: vec![Queue { name: "deferred".into(), messages: 1, bytes: None, oldest: Some(60) }],
        last_hour: period(HOUR, 100),
        last_day: period(DAY, 2_000),
        suspended: Some(0),
        certificates: vec![certificate("server", 60 * DAY)],
        volumes: vec![volume("queue", 50)],
        hashing: Hashing { threads: 2, busy: 2, waiting: 3 },
        ..Status::default()
    };
    judged(status)
}

fn certificate(role: &str, left: u64) -> Certificate {
    Certificate { role: role.into(), expires: 1_800_000_000 + left, renewal_failed: false }
}

fn volume(name: &str, free: u64) -> Volume {
    Volume { name: name.into(), size: 100, free, inodes: Some(1_000), inodes_free: Some(900) }
}

fn judged(mut status: Status) -> Status {
    status.concerns = of(&status);
    status.flow = flow(&status);
    status
}

fn counts(what: &str, number: u64) -> Vec<Count> {
    vec![Count { what: what.into(), number }]
}

#[test]
fn a_relay_that_is_well_has_no_concern() {
    let status = healthy();
    assert_eq!((status.flow, status.concerns), (Flow::Flows, vec![]));
    assert_eq!(judged(Status::default()).flow, Flow::Unknown);
}

/// What is changed in a healthy relay, and the concerns that follow.
type Case = (fn(&mut Status), &'static [ConcernKind], Flow);

const CASES: [Case; 30] = {
    use ConcernKind as Kind;
    [
        (
            // relay-init is there, and Postfix starts.
            |s| s.postfix = Postfix { up: Some(false), age: Some(3), ..Postfix::default() },
            &[],
            Flow::Unknown,
        ),
        (
            |s| s.postfix = Postfix { up: Some(false), age: Some(90), ..Postfix::default() },
            &[Kind::PostfixSilent],
            Flow::Stopped,
        ),
        (|s| s.certificates[0].expires = s.time, &[Kind::CertificateExpired], Flow::Stopped),
        (
            |s| s.certificates[0].expires = s.time + 13 * DAY,
            &[Kind::CertificateEnds],
            Flow::Troubled,
        ),
        (|s| s.certificates[0].expires = s.time + 15 * DAY, &[], Flow::Flows),
        (
            |s| s.certificates[0].renewal_failed = true,
            &[Kind::CertificateNotRenewed],
            Flow::Troubled,
        ),
        (
            |s| {
                s.postfix = Postfix::default();
                s.uptime = 301;
            },
            &[Kind::PostfixSilent],
            Flow::Stopped,
        ),
        (|s| s.volumes[0].free = 9, &[Kind::VolumeFull], Flow::Troubled),
        (|s| s.volumes[0].free = 10, &[], Flow::Flows),
        (|s| s.last_hour.trouble = 1, &[Kind::Trouble], Flow::Troubled),
        (|s| s.queues[0].oldest = Some(HOUR + 1), &[Kind::LongWait], Flow::Troubled),
        (
            |s| {
                s.queues[0] =
                    Queue { name: "hold".into(), messages: 1, bytes: None, oldest: Some(DAY) }
            },
            &[],
            Flow::Flows,
        ),
        // Old news of a Postfix that is away is not news.
        (
            |s| {
                s.queues[0].oldest = Some(DAY);
                s.postfix.up = Some(false);
                s.postfix.age = Some(90);
            },
            &[Kind::PostfixSilent],
            Flow::Stopped,
        ),
        (|s| s.last_hour.deferred = Some(40), &[], Flow::Flows),
        (|s| s.last_hour.deferred = Some(110), &[Kind::ManyDeferred], Flow::Troubled),
        // Half of the mail is usually put off here, by greylisting.
        (
            |s| {
                s.last_hour.deferred = Some(110);
                s.last_day.deferred = Some(2_000);
            },
            &[],
            Flow::Flows,
        ),
        (
            |s| {
                s.last_hour.sent = Some(5);
                s.last_hour.deferred = Some(10);
            },
            &[],
            Flow::Flows,
        ),
        (|s| s.last_hour.bounced = Some(30), &[Kind::ManyBounced], Flow::Troubled),
        (|s| s.last_hour.expired = Some(30), &[Kind::ManyBounced], Flow::Troubled),
        (|s| s.last_hour.bounced = Some(11), &[], Flow::Flows),
        (|s| s.suspended = Some(2), &[Kind::UserSuspended], Flow::Troubled),
        (|s| s.suspended = None, &[], Flow::Flows),
        (
            |s| s.last_hour.logins_refused = counts("wrong_password", 501),
            &[Kind::Guessing],
            Flow::Troubled,
        ),
        (|s| s.last_hour.logins_refused = counts("malformed", 500), &[], Flow::Flows),
        (|s| s.blocked_addresses = 51, &[Kind::Guessing], Flow::Troubled),
        (|s| s.hashing.waiting = 21, &[Kind::HashingBusy], Flow::Troubled),
        (|s| s.fleet = Some(in_fleet(|_| ())), &[], Flow::Flows),
        (
            |s| s.fleet = Some(in_fleet(|fleet| fleet.connected = false)),
            &[Kind::FleetAway],
            Flow::Troubled,
        ),
        (
            |s| s.fleet = Some(in_fleet(|fleet| fleet.damaged = ["alice".to_owned()].into())),
            &[Kind::FleetTrouble],
            Flow::Troubled,
        ),
        (
            |s| s.fleet = Some(in_fleet(|fleet| fleet.has_double = true)),
            &[Kind::FleetTrouble],
            Flow::Troubled,
        ),
    ]
};

fn in_fleet(change: fn(&mut Standing)) -> Standing {
    let mut fleet = Standing { connected: true, ..Standing::default() };
    change(&mut fleet);
    fleet
}

#[test]
fn each_fault_is_seen_and_says_whether_mail_stops() {
    for (number, (change, expected, flow)) in CASES.into_iter().enumerate() {
        let mut status = healthy();
        change(&mut status);
        let status = judged(status);
        let kinds: Vec<_> = status.concerns.iter().map(|concern| concern.kind).collect();
        assert_eq!((kinds.as_slice(), status.flow), (expected, flow), "case {number}");
    }
}

#[test]
fn the_worst_comes_first_and_each_volume_and_certificate_by_itself() {
    let mut status = healthy();
    status.suspended = Some(1);
    status.volumes = vec![volume("queue", 1), volume("users", 2)];
    status.certificates = vec![certificate("server", 0), certificate("client", DAY)];
    let status = judged(status);
    let found: Vec<_> = status
        .concerns
        .iter()
        .map(|concern| (concern.kind.word(), concern.what.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("certificate_expired", "server"),
            ("volume_full", "queue"),
            ("volume_full", "users"),
            ("certificate_ends", "client"),
            ("user_suspended", ""),
        ]
    );
}

#[test]
fn kinds_are_listed_the_worst_first() {
    assert!(ConcernKind::ALL.is_sorted());
}

#[test]
fn a_volume_without_room_for_files_is_full_too() {
    let full = Volume { inodes_free: Some(99), ..volume("queue", 90) };
    let status = Status { volumes: vec![full, volume("users", 90)], ..Status::default() };
    let found: Vec<_> = volumes(&status).collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].text.contains("room for 99 more files only (inodes), of 1000"), "{found:?}");
}
