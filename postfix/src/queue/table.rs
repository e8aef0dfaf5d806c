//! The queue as text for a terminal. Pure.

use std::time::SystemTime;

use super::entry::Entry;
use crate::answers::explain;
use crate::log;
use crate::printable;

/// A table with columns as wide as needed, and below each message why it is waiting and, where
/// the receiver's answer is a known one, what to do.
pub fn render(entries: &[Entry], now: SystemTime) -> String {
    if entries.is_empty() {
        return "no messages\n".to_owned();
    }
    let head = ["ID", "QUEUE", "AGE", "SIZE", "USER", "SENDER", "RECIPIENT"].map(str::to_owned);
    let rows: Vec<_> = entries.iter().map(|entry| row(entry, now)).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&head).chain(&rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = line(&head, &widths);
    for (entry, row) in entries.iter().zip(&rows) {
        text.push_str(&line(row, &widths));
        for (reason, counted) in reasons(entry) {
            text.push_str(&format!("    {}\n", printable::line(&counted)));
            text.push_str(&explained("      ", reason));
        }
    }
    text.push_str(&format!("{}\n", summary(entries)));
    text
}

/// Everything known about one message.
pub fn details(entry: &Entry, now: SystemTime) -> String {
    let arrival = humantime::format_rfc3339_seconds(entry.arrival);
    let mut text = format!(
        "id         {}\nqueue      {}\narrived    {arrival} ({} ago)\nsize       {}\nuser       \
         {}\nsender     {}\n",
        entry.id,
        entry.queue,
        age(entry, now),
        size(entry.size),
        printable::line(entry.user.as_deref().unwrap_or("-")),
        printable::line(&sender(entry)),
    );
    for recipient in &entry.recipients {
        text.push_str(&format!("recipient  {}\n", printable::line(&recipient.address)));
        if let Some(reason) = &recipient.reason {
            text.push_str(&format!("           {}\n", printable::line(reason)));
            text.push_str(&explained("             ", reason));
        }
    }
    text
}

/// What is about to be deleted, for the operator to confirm.
pub fn deletion_warning(entries: &[Entry], now: SystemTime) -> String {
    let oldest = entries.iter().min_by_key(|entry| entry.arrival);
    let oldest = oldest.map(|entry| age(entry, now)).unwrap_or_default();
    format!("{}, the oldest {oldest} old, will be deleted permanently.", summary(entries))
}

/// The outcome of an action that took effect for `count` of `total` messages.
pub fn result(past_tense: &str, count: usize, total: usize) -> String {
    let rest = match total - count {
        0 => String::new(),
        rest => format!("; {rest} had left the queue or moved to another one"),
    };
    format!("{} {past_tense}{rest}", messages(count))
}

fn row(entry: &Entry, now: SystemTime) -> [String; 7] {
    let mut recipient = match entry.recipients.first() {
        Some(first) => first.address.clone(),
        None => "-".to_owned(),
    };
    if let Some(more @ 1..) = entry.recipients.len().checked_sub(1) {
        recipient.push_str(&format!(" (+{more})"));
    }
    let user = entry.user.clone().unwrap_or_else(|| "-".to_owned());
    let cells = [
        entry.id.clone(),
        entry.queue.clone(),
        age(entry, now),
        size(entry.size),
        user,
        sender(entry),
        recipient,
    ];
    cells.map(|cell| printable::line(&cell))
}

fn line(cells: &[String; 7], widths: &[usize]) -> String {
    let mut text = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // Ages and sizes are right-aligned.
        match at {
            2 | 3 => text.push_str(&format!("{cell:>width$}  ")),
            _ => text.push_str(&format!("{cell:<width$}  ")),
        }
    }
    format!("{}\n", text.trim_end())
}

/// A line of its own, or nothing for an answer that is not in the table.
fn explained(indent: &str, reason: &str) -> String {
    explain(reason).map_or_else(String::new, |explanation| format!("{indent}{explanation}\n"))
}

/// Each distinct reason once, alone and with the number of recipients it applies to unless that is all.
fn reasons(entry: &Entry) -> Vec<(&str, String)> {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for reason in entry.recipients.iter().filter_map(|recipient| recipient.reason.as_deref()) {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    let of = entry.recipients.len();
    reasons
        .into_iter()
        .map(|(reason, count)| match count == of {
            true => (reason, reason.to_owned()),
            false => (reason, format!("{count} of {of}: {reason}")),
        })
        .collect()
}

fn sender(entry: &Entry) -> String {
    if entry.sender.is_empty() { "<>".to_owned() } else { entry.sender.clone() }
}

fn summary(entries: &[Entry]) -> String {
    let bytes = entries.iter().map(|entry| entry.size).sum();
    format!("{}, {}", messages(entries.len()), size(bytes))
}

fn messages(count: usize) -> String {
    log::counted(count, "message", "messages")
}

fn age(entry: &Entry, now: SystemTime) -> String {
    let seconds = now.duration_since(entry.arrival).unwrap_or_default().as_secs();
    let (minute, hour, day) = (60, 3600, 24 * 3600);
    if seconds < minute {
        format!("{seconds}s")
    } else if seconds < hour {
        format!("{}m", seconds / minute)
    } else if seconds < day {
        format!("{}h", seconds / hour)
    } else {
        format!("{}d", seconds / day)
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 10 {
        format!("{bytes}")
    } else if bytes < 10 << 20 {
        format!("{}K", bytes.div_ceil(1 << 10))
    } else {
        format!("{}M", bytes.div_ceil(1 << 20))
    }
}

#[cfg(test)]
mod tests;
