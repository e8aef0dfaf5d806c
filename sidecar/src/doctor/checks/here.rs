//! This machine: the running relay, its queue and volumes, clock, resolver and settings. Pure.

use std::collections::BTreeMap;

use crate::answers::explain;
use crate::doctor::facts::{Facts, HereFacts};
use crate::doctor::finding::{Check, Finding};
use crate::history::Entry;
use crate::printable::{Printable, on_a_terminal};
use crate::status::Status;
use crate::status::words::{bytes, duration, number};

/// Seconds; a receiver that sees a Date more wrong than this thinks less of the message, and TLS fails at days.
const CLOCK_DRIFT: f64 = 60.0;

pub fn check(facts: &Facts) -> Vec<Finding> {
    let Some(here) = &facts.here else { return Vec::new() };
    let mut findings = Vec::new();
    match &here.status {
        Some(Ok(status)) => findings.extend(running(status)),
        Some(Err(error)) => findings.push(Finding::fail(
            Check::Here,
            "relay serve",
            error,
            "docker compose up -d, then docker compose logs sidecar",
        )),
        None => {}
    }
    findings.extend(causes(&here.troubled));
    findings.extend(clock(here));
    findings.extend(resolver(here));
    findings.extend(facts.settings.dangerous.iter().map(|(setting, what)| {
        Finding::warn(Check::Here, setting, what, format!("take {setting} out of .env"))
    }));
    let remedy = "docs/settings.md says what is usual";
    let warnings = facts.settings.warnings.iter();
    findings.extend(warnings.map(|text| Finding::warn(Check::Here, "settings", text, remedy)));
    findings
}

fn running(status: &Status) -> Vec<Finding> {
    let mut findings: Vec<Finding> = status
        .concerns
        .iter()
        .map(|concern| {
            let subject = match concern.what.as_str() {
                "" => concern.kind.word(),
                what => what,
            };
            let (text, remedy) = (&concern.text, "relay status has the figures");
            match concern.kind.stops_mail() {
                true => Finding::fail(Check::Here, subject, text, remedy),
                false => Finding::warn(Check::Here, subject, text, remedy),
            }
        })
        .collect();
    let waiting: u64 = status.queues.iter().map(|queue| queue.messages).sum();
    if findings.is_empty() && status.postfix.up == Some(true) {
        findings.push(Finding::ok(
            Check::Here,
            "queue",
            format!("{} messages wait", number(waiting)),
        ));
    }
    for certificate in &status.certificates {
        let left = duration(certificate.expires.saturating_sub(status.time));
        let subject = format!("{} certificate", certificate.role);
        findings.push(Finding::ok(Check::Here, subject, format!("{left} left")));
    }
    for volume in &status.volumes {
        let text = match volume.inodes_free {
            Some(files) => format!("{} and {} files free", bytes(volume.free), number(files)),
            None => format!("{} free", bytes(volume.free)),
        };
        findings.push(Finding::ok(Check::Here, format!("volume {}", volume.name), text));
    }
    findings.extend(gateway(status));
    let postfix = status.postfix.version.as_deref().unwrap_or("not known yet");
    let versions = format!("Postfix {}, relay {}", Printable(postfix.as_bytes()), status.version);
    findings.push(Finding::ok(Check::Here, "versions", versions));
    findings
}

/// Docker can make clients from anywhere arrive as its own bridge. Then networks, guesses and limits are judged wrongly.
fn gateway(status: &Status) -> Option<Finding> {
    let refused = status.last_day.refused.iter().find(|count| count.what == "gateway")?;
    (refused.number > 0).then(|| {
        Finding::warn(
            Check::Here,
            "gateway",
            format!(
                "{} requests in the last day came from the container's gateway, under which Docker hides clients",
                number(refused.number)
            ),
            "Docker: set \"userland-proxy\": false in daemon.json; clients over IPv6: enable IPv6 for the network, too; \
             rootless Docker and Podman: use their slirp4netns or pasta port driver, which keep addresses",
        )
    })
}

/// Why mail was put off or came back lately, each cause once.
fn causes(troubled: &[Entry]) -> Vec<Finding> {
    let mut causes: BTreeMap<String, (usize, String, String)> = BTreeMap::new();
    for entry in troubled {
        let explained = explain(&entry.answer);
        let meaning = match explained {
            Some(explanation) if explanation.receiver.is_empty() => explanation.meaning.to_owned(),
            Some(explanation) => format!("{}: {}", explanation.receiver, explanation.meaning),
            None => on_a_terminal(&entry.answer),
        };
        let remedy = explained.map_or_else(String::new, |found| found.remedy.to_owned());
        let id = Printable(entry.queue_id.as_bytes()).to_string();
        causes.entry(meaning).or_insert((0, remedy, id)).0 += 1;
    }
    let finding = |(meaning, (times, remedy, id)): (String, (usize, String, String))| {
        let found = format!("{times} times in the last day, {id} for one: {meaning}");
        Finding::warn(Check::Here, "deliveries", found, remedy)
    };
    causes.into_iter().map(finding).collect()
}

fn clock(here: &HereFacts) -> Option<Finding> {
    let subject = "clock";
    Some(match here.clock.as_ref()? {
        Err(why) => Finding::skipped(Check::Here, subject, why),
        Ok(ahead) if ahead.abs() < CLOCK_DRIFT => Finding::ok(Check::Here, subject, "right"),
        Ok(ahead) => {
            let way = if *ahead > 0.0 { "ahead" } else { "behind" };
            let found = format!("{:.0} seconds {way}", ahead.abs());
            let remedy = "run a time service on the host: apt install systemd-timesyncd";
            Finding::fail(Check::Here, subject, found, remedy)
        }
    })
}

fn resolver(here: &HereFacts) -> Option<Finding> {
    let subject = "resolver";
    Some(match here.resolver.as_ref()? {
        Ok(true) => Finding::ok(Check::Here, subject, "answers, and checks DNSSEC"),
        Ok(false) => Finding::ok(
            Check::Here,
            subject,
            "answers; it does not check DNSSEC, which DANE would need",
        ),
        Err(error) => {
            let remedy = "look at /etc/resolv.conf of the host; a resolver of your own (unbound) serves best";
            Finding::fail(Check::Here, subject, format!("does not answer: {error}"), remedy)
        }
    })
}
