//! How the relay is, on a terminal. Pure, but for the look at what the terminal can do.

use std::fmt::Write as _;

use crate::printable::Printable;
use crate::status::words::{bytes, duration, number, reason};
use crate::status::{Flow, Sender, Status};

/// Columns of a terminal that has not said how wide it is.
pub const WIDTH: usize = 100;
/// Columns of a limit's bar.
const BAR: usize = 20;

/// The escape sequences (ECMA-48) of a terminal with colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    bold: &'static str,
    good: &'static str,
    bad: &'static str,
    faint: &'static str,
    end: &'static str,
}

impl Style {
    pub const PLAIN: Self = Self { bold: "", good: "", bad: "", faint: "", end: "" };
    pub const COLOURED: Self = Self {
        bold: "\x1b[1m",
        good: "\x1b[1;32m",
        bad: "\x1b[1;31m",
        faint: "\x1b[2m",
        end: "\x1b[0m",
    };

    /// Colours for a person who wants them.
    pub fn of_terminal() -> Self {
        if super::wants_colours() { Self::COLOURED } else { Self::PLAIN }
    }
}

/// The answers in the order of the questions, as lines of at most `width` columns where they hold names.
pub fn render(status: &Status, style: &Style, width: usize) -> String {
    let mut text = String::new();
    flow(&mut text, status, style);
    waiting(&mut text, status, style);
    delivered(&mut text, status, style);
    senders(&mut text, status, style, width);
    refused(&mut text, status, style);
    checkup(&mut text, status, style);
    machine(&mut text, status, style);
    text
}

fn flow(text: &mut String, status: &Status, style: &Style) {
    let (colour, words) = match status.flow {
        Flow::Flows => (style.good, "Mail flows"),
        Flow::Troubled => (style.bad, "Mail flows, with trouble"),
        Flow::Stopped => (style.bad, "Mail does not flow"),
        Flow::Unknown => (style.bold, "Not known: Postfix has not been heard of yet"),
    };
    // Writing to a String cannot fail, here and below.
    writeln!(text, "{colour}{words}{}", style.end).ok();
    for concern in &status.concerns {
        writeln!(text, "  {}", concern.text).ok();
    }
}

fn head(text: &mut String, style: &Style, words: &str) {
    writeln!(text, "\n{}{words}{}", style.bold, style.end).ok();
}

fn waiting(text: &mut String, status: &Status, style: &Style) {
    head(text, style, "Waiting");
    if status.queues.is_empty() {
        writeln!(text, "  not known: Postfix has not reported its queue").ok();
    }
    for queue in &status.queues {
        let oldest =
            queue.oldest.map_or_else(String::new, |age| format!("  oldest {}", duration(age)));
        let size = queue.bytes.map_or_else(String::new, bytes);
        let line = format!("{:<10}{:>9}{size:>10}{oldest}", queue.name, number(queue.messages));
        writeln!(text, "  {}", line.trim_end()).ok();
    }
    if let Some(age) = status.postfix.age.filter(|age| *age > 30) {
        writeln!(text, "  {}as it was {} ago{}", style.faint, duration(age), style.end).ok();
    }
}

fn delivered(text: &mut String, status: &Status, style: &Style) {
    let (hour, day) = (&status.last_hour, &status.last_day);
    head(text, style, "Delivered");
    let (last, longer) = (duration(hour.seconds), duration(day.seconds));
    writeln!(text, "  {}{:<10}{last:>9}{longer:>10}{}", style.faint, "", style.end).ok();
    for (name, hour, day) in [
        ("accepted", Some(hour.accepted), Some(day.accepted)),
        ("sent", hour.sent, day.sent),
        ("put off", hour.deferred, day.deferred),
        ("bounced", hour.returned(), day.returned()),
    ] {
        let told = |figure: Option<u64>| figure.map_or_else(|| "?".to_owned(), number);
        writeln!(text, "  {name:<10}{:>9}{:>10}", told(hour), told(day)).ok();
    }
}

fn senders(text: &mut String, status: &Status, style: &Style, width: usize) {
    head(text, style, "Senders");
    if status.senders.is_empty() {
        writeln!(text, "  no user has sent anything in the last day").ok();
    }
    for sender in &status.senders {
        writeln!(text, "  {}", sender_line(sender, style, width.saturating_sub(2))).ok();
    }
    if let Some(suspended) = status.suspended.filter(|number| *number > 0) {
        let names: Vec<_> = status
            .suspended_users
            .iter()
            .map(|name| Printable(name.as_bytes()).to_string())
            .collect();
        let names = names.join(" ");
        writeln!(text, "  {}{suspended} suspended: {names}{}", style.bad, style.end).ok();
    }
}

fn sender_line(sender: &Sender, style: &Style, width: usize) -> String {
    let name: String = Printable(sender.user.as_bytes()).to_string().chars().take(28).collect();
    let (hour, day) = (number(sender.messages_hour), number(sender.messages_day));
    let mut line = format!("{name:<28}{hour:>8}/h{day:>8}/day");
    for limit in &sender.limits {
        let part = limit.used.saturating_mul(BAR as u64) / limit.most.max(1);
        let filled = usize::try_from(part).unwrap_or(BAR).min(BAR);
        let bar = "█".repeat(filled) + &"░".repeat(BAR - filled);
        let words = format!("  {bar} {} of {}", limit.used, limit.limit);
        if line.chars().count() + words.chars().count() > width {
            break;
        }
        line.push_str(&words);
    }
    let colour =
        if sender.limits.iter().any(|limit| limit.used >= limit.most) { style.bad } else { "" };
    let end = if colour.is_empty() { "" } else { style.end };
    format!("{colour}{line}{end}")
}

fn refused(text: &mut String, status: &Status, style: &Style) {
    let hour = &status.last_hour;
    head(text, style, &format!("Refused in the last {}", duration(hour.seconds)));
    if hour.refusals() == 0 {
        writeln!(text, "  nothing").ok();
    }
    for (what, counts) in [("mail", &hour.refused), ("login", &hour.logins_refused)] {
        for count in counts {
            writeln!(text, "  {:>9}  {what}: {}", number(count.number), reason(&count.what)).ok();
        }
    }
    if status.blocked_addresses > 0 {
        writeln!(text, "  {:>9}  addresses have to wait for guessing", status.blocked_addresses)
            .ok();
    }
}

/// What the daily run of `relay doctor` found.
fn checkup(text: &mut String, status: &Status, style: &Style) {
    let Some(checkup) = &status.checkup else { return };
    let ago = duration(status.time.saturating_sub(checkup.time));
    head(text, style, &format!("relay doctor, {ago} ago"));
    if checkup.advice.is_empty() {
        writeln!(text, "  nothing to mend").ok();
    }
    for advice in &checkup.advice {
        let colour = if advice.is_serious { style.bad } else { "" };
        let end = if colour.is_empty() { "" } else { style.end };
        writeln!(text, "  {colour}{}{end}", advice.found).ok();
        if !advice.remedy.is_empty() {
            writeln!(text, "    → {}", advice.remedy).ok();
        }
    }
}

fn machine(text: &mut String, status: &Status, style: &Style) {
    let mut parts = Vec::new();
    for certificate in &status.certificates {
        let left = certificate.expires.saturating_sub(status.time);
        parts.push(match left {
            0 => format!("{} certificate expired", certificate.role),
            left => format!("{} certificate {} left", certificate.role, duration(left)),
        });
    }
    for volume in &status.volumes {
        parts.push(format!("{} {} free", volume.name, bytes(volume.free)));
    }
    parts.push(match &status.postfix.version {
        Some(version) => format!("Postfix {}", Printable(version.as_bytes())),
        None => "Postfix not known".to_owned(),
    });
    parts.push(format!("relay {}", status.version));
    parts.push(format!("up {}", duration(status.uptime)));
    writeln!(text, "\n{}{}{}", style.faint, parts.join(" · "), style.end).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{LimitUse, Queue};

    #[test]
    fn what_matters_comes_first_and_names_move_no_cursor() {
        let limits = vec![
            LimitUse { limit: "10/hour".to_owned(), used: 5, most: 10 },
            LimitUse { limit: "100/day".to_owned(), used: 200, most: 100 },
        ];
        let sender = Sender {
            user: "al\u{1b}[2Jice".to_owned(),
            messages_hour: 5,
            messages_day: 1_200,
            recipients_day: 7,
            limits,
        };
        let queue = Queue {
            name: "deferred".to_owned(),
            messages: 3,
            bytes: Some(2_000),
            oldest: Some(90),
        };
        let empty = Queue { name: "active".to_owned(), messages: 0, bytes: None, oldest: None };
        let queues = vec![empty, queue];
        let status = Status { senders: vec![sender], queues, ..Status::default() };
        let text = render(&status, &Style::PLAIN, 120);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("Not known"), "{text}");
        assert!(text.contains("deferred          3    2.0 kB  oldest 90 s"), "{text}");
        assert!(text.contains("██████████░░░░░░░░░░ 5 of 10/hour"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(lines.iter().all(|line| !line.ends_with(' ')), "{text}");
        assert!(render(&status, &Style::PLAIN, 60).lines().all(|line| line.chars().count() <= 80));
    }
}
