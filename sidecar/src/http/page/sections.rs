//! The parts of the status page, in the order of an operator's questions. Pure.

use std::fmt::Write as _;

use super::html::{Text, sentence};
use super::plot::{bar, curve};
use crate::history::{Entry, Event};
use crate::status::words::{bytes, duration, number, reason};
use crate::status::{Count, Flow, Sender, Status};

/// Does mail flow?
pub fn flow(status: &Status) -> String {
    let (class, title) = match status.flow {
        Flow::Flows => ("flows", "Mail flows"),
        Flow::Troubled => ("troubled", "Mail flows, with trouble"),
        Flow::Stopped => ("stopped", "Mail does not flow"),
        Flow::Unknown => ("unknown", "Not known yet"),
    };
    let mut text = format!("<header class=\"{class}\"><h1>{title}</h1>");
    match status.flow {
        Flow::Unknown => text.push_str(
            "<p>Postfix has not been heard of since the sidecar started. It reports every ten seconds.</p>",
        ),
        Flow::Flows => {
            let last = &status.last_hour;
            let sent = last.sent.unwrap_or_default();
            let (accepted, sent) = (number(last.accepted), number(sent));
            // Writing to a String cannot fail.
            write!(text, "<p>{accepted} accepted and {sent} delivered in {}.</p>", span(last.seconds)).ok();
        }
        Flow::Troubled | Flow::Stopped => {}
    }
    if !status.concerns.is_empty() {
        text.push_str("<ul>");
        for concern in &status.concerns {
            write!(text, "<li>{}</li>", sentence(&concern.text)).ok();
        }
        text.push_str("</ul>");
    }
    text + "</header>"
}

/// `the last hour`, or less after a start.
fn span(seconds: u64) -> String {
    match seconds {
        3_540..=3_720 => "the last hour".to_owned(),
        86_000..=87_060 => "the last day".to_owned(),
        _ => format!("the last {}", duration(seconds)),
    }
}

/// What waits, and since when?
pub fn waiting(status: &Status) -> String {
    let mut text = "<section><h2>Waiting</h2>".to_owned();
    if status.queues.is_empty() {
        text.push_str("<p class=\"none\">The queue is not known: Postfix has not reported it.</p>");
        return text + "</section>";
    }
    text.push_str(
        "<table><thead><tr><th>Queue</th><th class=\"number\">Messages</th><th class=\"number wide\">Size</th>\
         <th class=\"number\">Oldest</th></tr></thead><tbody>",
    );
    for queue in &status.queues {
        let size = queue.bytes.map_or_else(|| "?".to_owned(), bytes);
        let oldest = queue.oldest.map_or_else(|| "–".to_owned(), duration);
        write!(
            text,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number wide\">{size}</td>\
             <td class=\"number\">{oldest}</td></tr>",
            Text(&queue.name),
            number(queue.messages)
        )
        .ok();
    }
    text.push_str("</tbody></table>");
    text.push_str(&age(status));
    text + &figure(status, "queued", "Messages in the queue") + "</section>"
}

/// How old that is which Postfix's container told, when it is not of now.
fn age(status: &Status) -> String {
    let age = status.postfix.age.filter(|age| *age > 30);
    age.map_or_else(String::new, |age| {
        format!("<p class=\"small faint\">As Postfix reported it {} ago.</p>", duration(age))
    })
}

/// What went out; `answers` says what receivers meant.
pub fn delivered(status: &Status, answers: &str) -> String {
    let (hour, day) = (&status.last_hour, &status.last_day);
    let mut text = "<section><h2>Delivered</h2>".to_owned();
    write!(
        text,
        "<table><thead><tr><td></td><th class=\"number\">{}</th><th class=\"number\">{}</th></tr></thead><tbody>",
        span(hour.seconds),
        span(day.seconds)
    )
    .ok();
    let row = |name: &str, hour: &str, day: &str| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"number\">{hour}</td><td class=\"number\">{day}</td></tr>"
        )
    };
    text.push_str(&row("accepted", &number(hour.accepted), &number(day.accepted)));
    // The sidecar counts what it accepts; of deliveries it knows what Postfix's container tells.
    let told = |figure: Option<u64>| figure.map_or_else(|| "not known".to_owned(), number);
    for (name, hour, day) in [
        ("sent", hour.sent, day.sent),
        ("put off", hour.deferred, day.deferred),
        ("bounced", hour.returned(), day.returned()),
    ] {
        text.push_str(&row(name, &told(hour), &told(day)));
    }
    text.push_str("</tbody></table>");
    text.push_str(&age(status));
    if let Some(why) = hour.deferrals.first() {
        let why = reason(&why.what);
        write!(text, "<p class=\"small faint\">Put off mostly because of: {}.</p>", Text(why)).ok();
    }
    if status.postfix.uncounted > 0 {
        let missed = number(status.postfix.uncounted);
        write!(text, "<p class=\"small faint\">{missed} deliveries were not counted: the sidecar was away.</p>").ok();
    }
    if hour.sent.is_some() {
        text.push_str(&figure(status, "sent", "Deliveries"));
    }
    text.push_str(answers);
    text + "</section>"
}

/// Who sent how much?
pub fn senders(status: &Status) -> String {
    let mut text = "<section><h2>Senders</h2>".to_owned();
    if status.senders.is_empty() {
        text.push_str("<p class=\"none\">No user has sent anything in the last day.</p>");
    } else {
        text.push_str(
            "<table class=\"senders\"><thead><tr><th>User</th><th class=\"number wide\">Last hour</th>\
             <th class=\"number\">Last day</th><th>Limit</th></tr></thead><tbody>",
        );
        status.senders.iter().for_each(|one| text.push_str(&sender(one)));
        text.push_str("</tbody></table>");
    }
    if let Some(users) = status.users {
        let suspended = status.suspended.filter(|number| *number > 0);
        let suspended =
            suspended.map_or_else(String::new, |number| format!(", {number} suspended"));
        let names = status.suspended_users.join(", ");
        let names = if names.is_empty() { names } else { format!(": {names}") };
        write!(
            text,
            "<p class=\"small faint\">{} users{suspended}{}.</p>",
            number(users),
            Text(&names)
        )
        .ok();
    }
    text + &figure(status, "accepted", "Accepted messages") + "</section>"
}

fn sender(sender: &Sender) -> String {
    let limits = sender.limits.iter().map(|limit| {
        let used = format!("{} of {}", number(limit.used), Text(&limit.limit));
        format!("{}<span class=\"small faint\">{used}</span>", bar(limit.used, limit.most))
    });
    let limits: String = limits.collect();
    let limits = if limits.is_empty() {
        "<span class=\"small faint\">none</span>".to_owned()
    } else {
        limits
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"number wide\">{}</td><td class=\"number\">{}</td>\
         <td>{limits}</td></tr>",
        Text(&sender.user),
        number(sender.messages_hour),
        number(sender.messages_day)
    )
}

/// What was refused, and why?
pub fn refused(status: &Status, entries: &[Entry], names: bool) -> String {
    let hour = &status.last_hour;
    let mut text = "<section><h2>Refused</h2>".to_owned();
    if hour.refusals() == 0 {
        write!(text, "<p class=\"none\">Nothing in {}.</p>", span(hour.seconds)).ok();
    } else {
        let head = span(hour.seconds);
        write!(
            text,
            "<table><thead><tr><th>Why</th><th class=\"number\">{head}</th></tr></thead><tbody>"
        )
        .ok();
        text.push_str(&reasons("mail: ", &hour.refused));
        text.push_str(&reasons("login: ", &hour.logins_refused));
        text.push_str("</tbody></table>");
    }
    let blocked = status.blocked_addresses;
    if blocked > 0 {
        write!(
            text,
            "<p class=\"small faint\">{} addresses have to wait for guessing.</p>",
            number(blocked)
        )
        .ok();
    }
    text.push_str(&figure(status, "refused", "Refusals"));
    let refusals: Vec<&Entry> =
        entries.iter().rev().filter(|entry| is_refusal(entry)).take(5).collect();
    if !refusals.is_empty() {
        text.push_str("<table><caption>The latest</caption><tbody>");
        for entry in refusals {
            let ago = duration(status.time.saturating_sub(entry.time));
            let why = Text(reason(&entry.reason));
            write!(text, "<tr><td class=\"number\">{ago}</td><td>{why}</td>").ok();
            if names {
                let who = if entry.user.is_empty() { &entry.sender } else { &entry.user };
                let (who, client) = (Text(who), Text(&entry.client));
                write!(text, "<td>{who} <span class=\"faint\">{client}</span></td>").ok();
            }
            text.push_str("</tr>");
        }
        text.push_str("</tbody></table>");
    }
    text + "</section>"
}

fn is_refusal(entry: &Entry) -> bool {
    matches!(entry.event, Event::Refused | Event::LoginRefused)
}

fn reasons(what: &str, counts: &[Count]) -> String {
    let row = |count: &Count| {
        let why = Text(reason(&count.what));
        format!("<tr><td>{what}{why}</td><td class=\"number\">{}</td></tr>", number(count.number))
    };
    counts.iter().map(row).collect()
}

/// Certificate, versions, uptime, room.
pub fn machine(status: &Status) -> String {
    let mut text = "<section><h2>This relay</h2><dl class=\"figures\">".to_owned();
    let mut add = |name: &str, value: String| {
        write!(text, "<div><dd>{}</dd><dt>{}</dt></div>", Text(&value), Text(name)).ok();
    };
    for certificate in &status.certificates {
        let left = certificate.expires.saturating_sub(status.time);
        let name = match certificate.role.as_str() {
            "client" => "left of the client certificate",
            _ => "left of the certificate",
        };
        add(name, if left == 0 { "expired".to_owned() } else { duration(left) });
    }
    for volume in &status.volumes {
        add(&format!("free for the {}", volume.name), bytes(volume.free));
    }
    add("up", duration(status.uptime));
    add("Postfix", status.postfix.version.clone().unwrap_or_else(|| "not known".to_owned()));
    add("relay", status.version.clone());
    text + "</dl></section>"
}

fn figure(status: &Status, name: &str, title: &str) -> String {
    let Some(plot) = status.plots.iter().find(|plot| plot.name == name) else {
        return String::new();
    };
    if plot.points.len() < 2 {
        return format!(
            "<p class=\"small faint\">{title}: a curve is drawn after ten minutes.</p>"
        );
    }
    let most = plot.points.iter().map(|(_, value)| *value).max();
    let most = most
        .map_or_else(|| "not measured yet".to_owned(), |most| format!("at most {}", number(most)));
    let what = if name == "queued" { "" } else { " in ten minutes" };
    let description = format!("{title} in the last 24 hours, {most}{what}");
    format!(
        "<figure><figcaption><span>{title}, 24 hours</span><span>{most}{what}</span></figcaption>{}</figure>",
        curve(plot, status.time, &description)
    )
}
