//! Every figure that is shown, from a reading of the registry, the last 24 hours, and what stands in the user
//! database. Pure; time is an argument.

use std::collections::BTreeMap;

use super::ring::{Kind, Ring, Sample};
use super::{
    ALL_OTHERS, Certificate, Count, Hashing, LimitUse, Period, Plot, Postfix, Queue, Sender,
    Status, Volume, concerns,
};
use crate::fleet::standing::Standing;
use crate::metrics::Reading;

/// What the registry does not have.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The limits of those users whose messages are counted by name.
    pub limits: BTreeMap<String, Vec<LimitUse>>,
    pub suspended_users: Vec<String>,
    pub fleet: Option<Standing>,
    /// When the sidecar started, in seconds since 1970.
    pub started: u64,
    pub version: String,
}

/// The metrics' label value for users who are not counted by name.
const OTHERS: &str = "other";
/// Users that are shown.
const MAX_SENDERS: usize = 20;
/// The names of Postfix's queues in the order of a message's way.
const QUEUES: [&str; 5] = ["incoming", "active", "deferred", "hold", "corrupt"];

/// Puts it all together.
pub fn status(reading: &Reading, ring: &Ring, known: Known, now: u64) -> Status {
    let sample = Sample::of(reading, now);
    let is_told = reading.value("relay_postfix_events_age_seconds").is_some();
    let mut status = Status {
        time: now,
        uptime: now.saturating_sub(known.started),
        postfix: postfix(reading),
        queues: queues(reading),
        last_hour: period(&sample, ring.hour_ago(), is_told),
        last_day: period(&sample, ring.day_ago(), is_told),
        senders: senders(&sample, ring, &known),
        users: reading.value("relay_users"),
        suspended: reading.value("relay_suspended_users"),
        suspended_users: known.suspended_users,
        blocked_addresses: reading.value("relay_blocked_addresses").unwrap_or_default(),
        certificates: certificates(reading),
        volumes: volumes(reading),
        hashing: Hashing {
            threads: reading.value("relay_hashing_threads").unwrap_or_default(),
            busy: reading.value("relay_hashing_threads_busy").unwrap_or_default(),
            waiting: reading.value("relay_hashing_queue_length").unwrap_or_default(),
        },
        fleet: known.fleet,
        version: known.version,
        plots: plots(&sample, ring),
        ..Status::default()
    };
    status.concerns = concerns::of(&status);
    status.flow = concerns::flow(&status);
    status
}

fn postfix(reading: &Reading) -> Postfix {
    let version = reading.series("relay_postfix_info").first();
    Postfix {
        up: reading.value("relay_postfix_up").map(|up| up == 1),
        age: reading.value("relay_postfix_events_age_seconds"),
        version: version.map(|info| info.label("version").to_owned()),
        uncounted: reading.value("relay_postfix_deliveries_uncounted_total").unwrap_or_default(),
    }
}

fn queues(reading: &Reading) -> Vec<Queue> {
    let queue = |name: &&str| {
        let figure = |metric| reading.value_of(metric, "queue", name);
        Some(Queue {
            name: (*name).to_owned(),
            messages: figure("relay_queue_messages")?,
            bytes: figure("relay_queue_bytes"),
            oldest: figure("relay_queue_oldest_age_seconds"),
        })
    };
    QUEUES.iter().filter_map(queue).collect()
}

/// `is_told` says whether anybody told of deliveries.
fn period(now: &Sample, since: Option<&Sample>, is_told: bool) -> Period {
    let Some(since) = since else { return Period::default() };
    let delivered = |status| {
        let grown = now.grown(since, Kind::Delivery).find(|(word, _)| *word == status);
        is_told.then(|| grown.map_or(0, |(_, number)| number))
    };
    Period {
        seconds: now.time.saturating_sub(since.time),
        accepted: now.total_grown(since, Kind::Accepted),
        recipients: now.total_grown(since, Kind::Recipients),
        sent: delivered("sent"),
        deferred: delivered("deferred"),
        bounced: delivered("bounced"),
        expired: delivered("expired"),
        trouble: now.total_grown(since, Kind::Trouble),
        refused: counts(now, since, Kind::Refusal),
        logins_refused: counts(now, since, Kind::LoginRefusal),
        deferrals: counts(now, since, Kind::Deferral),
    }
}

/// Most first.
fn counts(now: &Sample, since: &Sample, kind: Kind) -> Vec<Count> {
    let grown = now.grown(since, kind);
    let mut counts: Vec<Count> =
        grown.map(|(what, number)| Count { what: what.to_owned(), number }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.number));
    counts
}

fn senders(now: &Sample, ring: &Ring, known: &Known) -> Vec<Sender> {
    let grown = |since: Option<&Sample>, kind| -> BTreeMap<String, u64> {
        let Some(since) = since else { return BTreeMap::new() };
        now.grown(since, kind).map(|(user, number)| (user.to_owned(), number)).collect()
    };
    let hour = grown(ring.hour_ago(), Kind::UserMessages);
    let recipients = grown(ring.day_ago(), Kind::UserRecipients);
    let of = |figures: &BTreeMap<String, u64>, user: &str| {
        figures.get(user).copied().unwrap_or_default()
    };
    let mut senders: Vec<Sender> = grown(ring.day_ago(), Kind::UserMessages)
        .into_iter()
        .map(|(user, messages_day)| Sender {
            messages_hour: of(&hour, &user),
            messages_day,
            recipients_day: of(&recipients, &user),
            limits: known.limits.get(&user).cloned().unwrap_or_default(),
            user,
        })
        .collect();
    senders.sort_by_key(|sender| std::cmp::Reverse(sender.messages_day));
    // The metrics' word for all who are not counted by name: it is no user, and comes last.
    let others = senders.iter().position(|sender| sender.user == OTHERS);
    let others = others.map(|place| senders.remove(place));
    senders.truncate(MAX_SENDERS);
    senders.extend(others.map(|others| Sender { user: ALL_OTHERS.to_owned(), ..others }));
    senders
}

fn certificates(reading: &Reading) -> Vec<Certificate> {
    let points = reading.series("relay_certificate_expiry_timestamp_seconds").iter();
    points
        .map(|point| {
            let role = point.label("use").to_owned();
            let failed = reading.value_of("relay_certificate_renewal_failed", "use", &role);
            Certificate { expires: point.count(), renewal_failed: failed == Some(1), role }
        })
        .collect()
}

fn volumes(reading: &Reading) -> Vec<Volume> {
    let volume = |name: &str, metrics: &str| {
        let value = |what: &str| reading.value(&format!("{metrics}_volume_{what}"));
        Some(Volume {
            name: name.to_owned(),
            size: value("size_bytes")?,
            free: value("free_bytes")?,
            inodes: value("inodes"),
            inodes_free: value("inodes_free"),
        })
    };
    let (queue, users) = (volume("queue", "relay_queue"), volume("users", "relay_database"));
    [queue, users].into_iter().flatten().collect()
}

fn plots(now: &Sample, ring: &Ring) -> Vec<Plot> {
    let samples: Vec<&Sample> = ring.steps().chain([now]).collect();
    let rate = |name: &str, figure: &dyn Fn(&Sample, &Sample) -> u64| Plot {
        name: name.to_owned(),
        points: samples
            .windows(2)
            .filter_map(|pair| match pair {
                [before, after] => Some((after.time, figure(after, before))),
                _ => None,
            })
            .collect(),
    };
    let delivered = |status: &'static str| {
        move |after: &Sample, before: &Sample| {
            after.count(Kind::Delivery, status).saturating_sub(before.count(Kind::Delivery, status))
        }
    };
    let queued = samples.iter().filter_map(|sample| Some((sample.time, sample.queued?))).collect();
    vec![
        rate("accepted", &|after, before| after.total_grown(before, Kind::Accepted)),
        rate("sent", &delivered("sent")),
        rate("deferred", &delivered("deferred")),
        rate("refused", &|after, before| {
            after.total_grown(before, Kind::Refusal) + after.total_grown(before, Kind::LoginRefusal)
        }),
        Plot { name: "queued".to_owned(), points: queued },
    ]
}

#[cfg(test)]
mod tests;
