//! Messages on their way to a signature: the walk over the header, and the body in pieces.

use relay_sidecar::access::header_from::AuthorFields;
use relay_sidecar::dkim::canonical::{BodyHash, header_field, relaxed_value};
use relay_sidecar::dkim::fields::{MAX_BYTES, SignedFields};
use relay_sidecar::dkim::key::{Algorithm, PrivateKey};
use relay_sidecar::dkim::present::PresentSignatures;
use relay_sidecar::dkim::signature::{Statement, sign};
use relay_sidecar::dkim::signer::Signer;
use relay_sidecar::milter::header_edits::{Edit, HeaderRules, SeenFields, edits};

/// The first byte says how the body is cut; then come header lines, an empty line, and the body.
pub fn check(data: &[u8]) {
    let Some((piece, message)) = data.split_first() else { return };
    let end = message.windows(2).position(|pair| pair == b"\n\n").unwrap_or(message.len());
    let (header, body) = message.split_at(end);
    let body_hash = check_body(body, usize::from(*piece) + 1);
    check_header(header, &body_hash);
}

fn check_body(body: &[u8], piece: usize) -> [u8; 32] {
    let mut whole = BodyHash::default();
    whole.update(body);
    let mut cut = BodyHash::default();
    body.chunks(piece).for_each(|piece| cut.update(piece));
    let hash = whole.finish();
    assert_eq!(hash, cut.finish(), "the hash depends on how the body is cut");
    // Line ends, blanks and empty lines at the end mean nothing.
    let mut longer = BodyHash::default();
    longer.update(body);
    if body.ends_with(b"\r\n") {
        longer.update(b" \t\r\n\r\n");
    }
    assert_eq!(hash, longer.finish(), "the end of the body counts");
    hash
}

fn check_header(header: &[u8], body_hash: &[u8; 32]) {
    let strip = ["submission", "Precedence", "Reply-To"];
    let Ok(rules) = HeaderRules::parse(&strip, "Feedback-ID: a:%u; X-Relay-User: %u", true) else {
        panic!("the rules are right");
    };
    let (mut fields, mut present) = (SignedFields::default(), PresentSignatures::default());
    let (mut seen, mut authors) = (SeenFields::default(), AuthorFields::default());
    for line in header.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        // A form feed stands for a folded line.
        let value: Vec<u8> =
            value.iter().skip(1).map(|byte| if *byte == 12 { b'\n' } else { *byte }).collect();
        fields.add(name, &value);
        present.add(name, &value);
        seen.add(&rules, None, name, &value);
        authors.add(name, &value);
        check_relaxed(name, &value);
    }
    if let Some(author) = authors.author() {
        let all = authors.authors().unwrap_or_default();
        assert!(all.is_empty() || all.contains(&author), "{author} is not among {all:?}");
    }
    let edits = edits(&rules, &seen, &present, Some("alice"));
    check_edits(&edits, &present);
    for edit in &edits {
        match edit {
            Edit::Remove { name, number } => fields.remove(name, &[*number]),
            Edit::Add { name, value } => fields.add(name.as_bytes(), value.as_bytes()),
        }
    }
    check_signature(&fields, body_hash);
}

fn check_relaxed(name: &[u8], value: &[u8]) {
    let mut once = Vec::new();
    relaxed_value(value, &mut once);
    let mut twice = Vec::new();
    relaxed_value(&once, &mut twice);
    assert_eq!(once, twice, "the relaxed form of a relaxed form is another");
    let mut field = Vec::new();
    header_field(name, value, &mut field);
    assert!(field.ends_with(b"\r\n"));
}

/// Removals come from the last to the first, none is of a covered field, and additions come last.
fn check_edits(edits: &[Edit], present: &PresentSignatures) {
    let mut additions = false;
    for (position, edit) in edits.iter().enumerate() {
        let (Edit::Remove { name, .. } | Edit::Add { name, .. }) = edit;
        assert!(!present.cover(name), "{name} is covered by a signature");
        match edit {
            Edit::Add { .. } => additions = true,
            Edit::Remove { name, number } => {
                assert!(!additions, "a removal after an addition");
                let later = edits.iter().skip(position + 1);
                let wrong = later.filter(|other| {
                    matches!(other, Edit::Remove { name: n, number: m } if n == name && m >= number)
                });
                assert_eq!(wrong.count(), 0, "numbers that have changed");
            }
        }
    }
}

fn check_signature(fields: &SignedFields, body_hash: &[u8; 32]) {
    let Ok(covered) = fields.in_signing_order() else { return };
    let bytes: usize = covered.iter().filter_map(|entry| entry.value).map(<[u8]>::len).sum();
    assert!(bytes <= MAX_BYTES);
    let statement = Statement {
        domain: "example.org",
        selector: "s1",
        fields: &covered,
        body_hash,
        now: 1_700_000_000,
    };
    let Ok(signer) = Signer::new(&PrivateKey::from_seed(&[1; 32]), Algorithm::Ed25519) else {
        panic!("the key is right");
    };
    let Ok(value) = sign(&statement, &signer) else { panic!("Ed25519 always signs") };
    assert!(value.is_ascii() && !value.contains('\r') && !value.contains('\0'));
    // Every line but the first is folded, so that none of it is a field of its own.
    assert!(value.lines().skip(1).all(|line| line.starts_with('\t')), "{value}");
}
