//! Header fields that the relay takes out of a message, or puts in. Pure.

use std::net::IpAddr;

use crate::access::networks::is_private;
use crate::dkim::present::PresentSignatures;

/// What `STRIP_HEADERS` calls `submission`: fields that mail programs and web hosts add, and that
/// tell strangers about the sender's machine. Received is judged by what is in it.
const SUBMISSION: [&str; 12] = [
    "Received",
    "X-Originating-IP",
    "X-Originating-Email",
    "X-Originating-Hostname",
    "User-Agent",
    "X-Mailer",
    "X-PHP-Originating-Script",
    "X-PHP-Script",
    "X-Sender",
    "X-Source",
    "X-Source-Args",
    "X-Source-Dir",
];
/// The name of the preset.
const PRESET: &str = "submission";
/// Fields without which a message is none, or that its way is followed by.
const KEPT: [&str; 4] = ["From", "Date", "DKIM-Signature", "Return-Path"];
/// Fields of one message that are taken out; a message with more has other problems.
const MAX_REMOVED: usize = 200;

/// `STRIP_HEADERS`, `STRIP_HEADERS_FOR` and `ADD_HEADERS`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HeaderRules {
    strip: Vec<String>,
    /// Whether fields are taken out of the mail of networks, too.
    pub of_all: bool,
    add: Vec<Template>,
}

/// A field to add: its name, and a value in which `%u` is the user's name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    name: String,
    value: String,
}

impl HeaderRules {
    /// # Errors
    ///
    /// One sentence for each entry that cannot be taken out.
    pub fn parse(strip: &[&str], add: &str, of_all: bool) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut names = Vec::new();
        for entry in strip {
            if *entry == PRESET {
                names.extend(SUBMISSION.map(str::to_owned));
            } else if !is_field_name(entry) {
                mistakes.push(format!(
                    "STRIP_HEADERS: {entry:?} is not the name of a header field, nor {PRESET}"
                ));
            } else if KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(entry)) {
                mistakes.push(format!("STRIP_HEADERS: {entry} cannot be taken out of a message"));
            } else {
                names.push((*entry).to_owned());
            }
        }
        let entries = add.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        let mut templates = Vec::new();
        for entry in entries {
            match template(entry) {
                Ok(template) => templates.push(template),
                Err(mistake) => mistakes.push(format!("ADD_HEADERS: {mistake}")),
            }
        }
        if mistakes.is_empty() {
            Ok(Self { strip: names, of_all, add: templates })
        } else {
            Err(mistakes)
        }
    }

    pub fn is_empty(&self) -> bool {
        self.strip.is_empty() && self.add.is_empty()
    }

    /// The name as the rules spell it, if they have to do with it.
    fn known(&self, name: &str) -> Option<&str> {
        let added = self.add.iter().map(|template| &template.name);
        let known = self.strip.iter().chain(added);
        known.map(String::as_str).find(|known| known.eq_ignore_ascii_case(name))
    }

    fn strips(&self, name: &str) -> bool {
        self.strip.iter().any(|strip| strip.eq_ignore_ascii_case(name))
    }
}

fn template(entry: &str) -> Result<Template, String> {
    let (name, value) = entry.split_once(':').ok_or_else(|| {
        format!("{entry:?} is not a header field: write Name: value, and a semicolon between two")
    })?;
    let (name, value) = (name.trim_end(), value.trim());
    if !is_field_name(name) {
        return Err(format!("{name:?} is not the name of a header field"));
    }
    // A second one of these is an error, or changes what readers see.
    let reserved = ["From", "Sender", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID"];
    let of_mime = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("Content-"));
    let reserved = reserved.iter().chain(&KEPT).chain(&["Received", "MIME-Version", "Reply-To"]);
    if of_mime || reserved.into_iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Err(format!("{name} is the sender's business"));
    }
    if value.is_empty() || value.len() > 900 || value.chars().any(char::is_control) {
        return Err(format!("{name} needs a value of one line of at most 900 characters"));
    }
    let unknown = value.replace("%%", "").replace("%u", "").contains('%');
    if unknown {
        return Err(format!("{name}: only %u (the user) and %% mean anything in a value"));
    }
    Ok(Template { name: name.to_owned(), value: value.to_owned() })
}

/// RFC 5322 section 2.2: printable ASCII but for the colon.
fn is_field_name(name: &str) -> bool {
    (1..=76).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':' && byte != b';')
}

/// One change to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Takes out a field by its number among those of its name, counted from 1.
    Remove { name: String, number: u32 },
    /// Puts a field at the end of the header.
    Add { name: String, value: String },
}

/// The fields of a message that the rules have to do with, collected as they arrive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SeenFields {
    /// The name as the rules spell it, its number, and whether it may be taken out.
    seen: Vec<(String, u32, bool)>,
}

impl SeenFields {
    pub fn add(&mut self, rules: &HeaderRules, client: Option<IpAddr>, name: &[u8], value: &[u8]) {
        if rules.is_empty() || self.seen.len() >= MAX_REMOVED {
            return;
        }
        let Ok(name) = std::str::from_utf8(name.trim_ascii()) else { return };
        let Some(name) = rules.known(name) else { return };
        let before = self.seen.iter().filter(|(seen, ..)| seen.eq_ignore_ascii_case(name)).count();
        let number = u32::try_from(before + 1).unwrap_or(u32::MAX);
        let removable = !name.eq_ignore_ascii_case("Received") || is_of_own_network(value, client);
        self.seen.push((name.to_owned(), number, removable));
    }
}

/// Whether a Received field tells of the sender's own network: every address in it is private, or
/// the client's own. One with another address is the way that mail came from elsewhere, which loops
/// are found by.
fn is_of_own_network(value: &[u8], client: Option<IpAddr>) -> bool {
    let text = String::from_utf8_lossy(value);
    let literals = text.split('[').skip(1).filter_map(|rest| rest.split(']').next());
    let mut addresses = literals.filter_map(|literal| {
        let literal = literal.strip_prefix("IPv6:").unwrap_or(literal);
        literal.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    });
    addresses.all(|address| is_private(&address.into()) || Some(address) == client)
}

/// The changes to a message: removals from the last to the first, so that no number changes before
/// it is used, then additions.
pub fn edits(
    rules: &HeaderRules,
    seen: &SeenFields,
    present: &PresentSignatures,
    user: Option<&str>,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let strips = user.is_some() || rules.of_all;
    let added: Vec<Edit> = rules.add.iter().filter_map(|add| filled(add, present, user)).collect();
    let replaced = |name: &str| {
        added.iter().any(|edit| {
            matches!(edit, Edit::Add { name: added, .. } if added.eq_ignore_ascii_case(name))
        })
    };
    for (name, number, removable) in seen.seen.iter().rev() {
        let stripped = strips && *removable && rules.strips(name);
        // What the relay adds, nobody else may have said.
        if (stripped || replaced(name)) && !present.cover(name) {
            edits.push(Edit::Remove { name: name.clone(), number: *number });
        }
    }
    edits.extend(added);
    edits
}

/// A field to add. One with the user's name is for users; one that a signature covers, or declares
/// absent, would break it.
fn filled(template: &Template, present: &PresentSignatures, user: Option<&str>) -> Option<Edit> {
    if present.cover(&template.name) {
        return None;
    }
    let value = match user {
        None if template.value.replace("%%", "").contains("%u") => return None,
        user => fill(&template.value, user.unwrap_or_default()),
    };
    Some(Edit::Add { name: template.name.clone(), value })
}

fn fill(value: &str, user: &str) -> String {
    let mut filled = String::with_capacity(value.len() + user.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '%' if characters.next() == Some('u') => filled.push_str(user),
            '%' => filled.push('%'),
            c => filled.push(c),
        }
    }
    filled
}

#[cfg(test)]
mod tests;
