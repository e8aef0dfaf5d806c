//! Who a message says it is from, on the envelope and in its header.

use relay_sidecar::access::header_from::AuthorFields;
use relay_sidecar::access::senders::{Address, EnvelopeSender, SenderPattern, may_send_as};

/// This byte, which no text has, stands between the values of From and Sender.
const NEXT_FIELD: u8 = 0xff;

pub fn check(data: &[u8]) {
    let mut fields = data.split(|byte| *byte == NEXT_FIELD);
    let (from, sender) = (fields.next().unwrap_or_default(), fields.next());
    check_field(from);
    let text = String::from_utf8_lossy(from);
    check_envelope(&text);
    check_pattern(&text);
    let mut collected = AuthorFields::default();
    collected.add(b"From", from);
    if let Some(sender) = sender {
        collected.add(b"sENDER", sender);
    }
    // What is refused alone is refused together, and nobody is lost.
    let each = [Some(from), sender].into_iter().flatten().map(authors).collect::<Option<Vec<_>>>();
    assert_eq!(collected.authors().ok(), each.map(|lists| lists.concat()));
    collected.add(b" from ", b"a@b.test");
    assert!(collected.authors().is_err(), "a second From");
}

fn authors(value: &[u8]) -> Option<Vec<Address>> {
    let mut fields = AuthorFields::default();
    fields.add(b"From", value);
    fields.authors().ok()
}

/// Each author stands in plain sight, and each address in plain sight is an author.
fn check_field(value: &[u8]) {
    let Some(authors) = authors(value) else { return };
    assert!(!authors.is_empty());
    let text = String::from_utf8_lossy(value);
    let anywhere = addresses(&text);
    for author in &authors {
        check_address(author);
        assert!(anywhere.contains(author), "{author} is nowhere in {text:?}");
    }
    let shown = without_quotes_and_comments(&text);
    for address in addresses(&shown) {
        assert!(authors.contains(&address), "{address} in {text:?} is no author");
    }
}

/// What looks like an address to anybody.
fn addresses(text: &str) -> Vec<Address> {
    let is_delimiter = |c: char| c.is_whitespace() || "<>():;,\\\"".contains(c);
    text.split(is_delimiter)
        .filter(|word| word.matches('@').count() == 1)
        .filter_map(Address::parse)
        .collect()
}

fn without_quotes_and_comments(text: &str) -> String {
    let (mut kept, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for c in text.chars() {
        let hidden = quoted || depth > 0;
        match c {
            _ if escaped => escaped = false,
            '\\' if hidden => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if hidden => {}
            _ => kept.push(c),
        }
        // What is left out keeps its neighbours apart.
        if hidden && !(quoted || depth > 0) {
            kept.push(' ');
        }
    }
    kept
}

fn check_address(address: &Address) {
    let text = address.to_string();
    assert_eq!(Address::parse(&text).as_ref(), Some(address), "the address is stable");
    assert!(!text.contains(char::is_control), "{text:?}");
    let domain = SenderPattern::Domain(address.domain().to_owned());
    for pattern in [SenderPattern::Address(address.clone()), domain] {
        assert!(may_send_as(&[pattern], address), "{text}");
    }
}

/// Policy and milter see one sender, though one gets it quoted.
fn check_envelope(text: &str) {
    let from_policy = EnvelopeSender::from_policy(text.as_bytes());
    if let EnvelopeSender::Address(address) = &from_policy {
        check_address(address);
        let (local, domain) = text.rsplit_once('@').unwrap_or_default();
        let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
        let argument = format!("<\"{quoted}\"@{domain}>");
        assert_eq!(EnvelopeSender::from_milter(argument.as_bytes()), from_policy, "{argument}");
    }
    if let EnvelopeSender::Address(address) = EnvelopeSender::from_milter(text.as_bytes()) {
        check_address(&address);
    }
}

/// What is written into the database is read back, and covers what it names.
fn check_pattern(text: &str) {
    let Ok(pattern) = text.parse::<SenderPattern>() else { return };
    let written = String::from(pattern.clone());
    assert_eq!(SenderPattern::try_from(written).as_ref(), Ok(&pattern));
    if let SenderPattern::Address(address) = &pattern {
        check_address(address);
    }
}
