//! The header fields of a message that a signature covers. Pure.

use thiserror::Error;

/// A field that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signed {
    name: &'static str,
    /// Whether its name stands once more in h= than there are such fields, so that none can be
    /// added without breaking the signature (RFC 6376 section 8.15).
    sealed: bool,
}

const fn sealed(name: &'static str) -> Signed {
    Signed { name, sealed: true }
}

const fn signed(name: &'static str) -> Signed {
    Signed { name, sealed: false }
}

/// RFC 6376 section 5.4.1, and what came after it: List-Unsubscribe-Post (RFC 8058 section 4 wants
/// it signed), Feedback-ID (Gmail counts it only if it is), Autocrypt, the fields of MIME. Sealed is
/// what a reader sees or what decides how the body is shown; Sender and the List fields are not,
/// because mailing lists add them.
const SIGNED: [Signed; 35] = [
    sealed("From"),
    sealed("To"),
    sealed("Cc"),
    sealed("Subject"),
    sealed("Date"),
    sealed("Message-ID"),
    sealed("Reply-To"),
    sealed("MIME-Version"),
    sealed("Content-Type"),
    sealed("Content-Transfer-Encoding"),
    sealed("Content-Disposition"),
    signed("Content-ID"),
    signed("Content-Description"),
    signed("Sender"),
    signed("In-Reply-To"),
    signed("References"),
    signed("Resent-Date"),
    signed("Resent-From"),
    signed("Resent-Sender"),
    signed("Resent-To"),
    signed("Resent-Cc"),
    signed("Resent-Message-ID"),
    signed("List-Id"),
    signed("List-Help"),
    signed("List-Unsubscribe"),
    signed("List-Unsubscribe-Post"),
    signed("List-Subscribe"),
    signed("List-Post"),
    signed("List-Owner"),
    signed("List-Archive"),
    signed("Feedback-ID"),
    signed("Autocrypt"),
    signed("Disposition-Notification-To"),
    signed("Auto-Submitted"),
    signed("Precedence"),
];

/// Most bytes of fields to be signed. Postfix passes 100 kB of each (`header_size_limit`), and two
/// and a half such fields are more than any message of this world has.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most fields to be signed; RFC 5322 section 3.6 allows one of nearly every kind.
pub const MAX_FIELDS: usize = 256;

/// The message has more header than can be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the header fields to be signed have more than {MAX_BYTES} bytes, or number more than {MAX_FIELDS}"
)]
pub struct TooMuchHeader;

/// One field, as it will leave.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// Its place in [`SIGNED`].
    kind: usize,
    value: Vec<u8>,
}

/// The fields of one message that are signed, in the order in which they stand there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SignedFields {
    fields: Vec<Field>,
    bytes: usize,
    overflow: bool,
}

impl SignedFields {
    /// Keeps a field, if it is one of those that are signed.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        // "From :" is a From field (RFC 5322 section 4.5).
        let name = name.trim_ascii();
        let kind =
            SIGNED.iter().position(|signed| name.eq_ignore_ascii_case(signed.name.as_bytes()));
        let Some(kind) = kind else { return };
        self.bytes = self.bytes.saturating_add(value.len());
        if self.bytes > MAX_BYTES || self.fields.len() >= MAX_FIELDS {
            self.overflow = true;
            self.fields.clear();
        } else if !self.overflow {
            self.fields.push(Field { kind, value: value.to_vec() });
        }
    }

    /// Drops the fields of this name that the relay takes out: those whose number among their like,
    /// counted from 1, is in the list.
    pub fn remove(&mut self, name: &str, numbers: &[u32]) {
        let kind = SIGNED.iter().position(|signed| signed.name.eq_ignore_ascii_case(name));
        let mut number = 0;
        self.fields.retain(|field| {
            let is_one = Some(field.kind) == kind;
            number += u32::from(is_one);
            !(is_one && numbers.contains(&number))
        });
    }

    /// The names for h=, and each field behind it. A name that stands there twice means the last
    /// such field first (RFC 6376 section 5.4.2).
    ///
    /// # Errors
    ///
    /// When the message had more than is kept.
    pub fn in_signing_order(&self) -> Result<Vec<Covered<'_>>, TooMuchHeader> {
        if self.overflow {
            return Err(TooMuchHeader);
        }
        let mut covered = Vec::new();
        for (kind, signed) in SIGNED.iter().enumerate() {
            let fields = self.fields.iter().rev().filter(|field| field.kind == kind);
            covered.extend(
                fields.map(|field| Covered { name: signed.name, value: Some(&field.value) }),
            );
            if signed.sealed {
                covered.push(Covered { name: signed.name, value: None });
            }
        }
        Ok(covered)
    }
}

/// An entry of h=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered<'a> {
    pub name: &'static str,
    /// `None` for the absence of another such field, which adds nothing to the hash.
    pub value: Option<&'a [u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &SignedFields) -> Vec<(&'static str, Option<String>)> {
        let covered = fields.in_signing_order().unwrap();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        covered.iter().map(|entry| (entry.name, entry.value.map(text))).collect()
    }

    #[test]
    fn fields_are_signed_from_the_last_to_the_first_and_sealed_once_more() {
        let mut fields = SignedFields::default();
        for (name, value) in [
            ("Received", "ours"),
            ("to", "one"),
            ("FROM ", "alice"),
            ("To", "two"),
            ("Sender", "bob"),
            ("X-Other", "x"),
        ] {
            fields.add(name.as_bytes(), value.as_bytes());
        }
        let names = names(&fields);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            names[..5],
            [
                ("From", some("alice")),
                ("From", None),
                ("To", some("two")),
                ("To", some("one")),
                ("To", None)
            ]
        );
        assert!(names.contains(&("Sender", some("bob"))));
        assert!(!names.contains(&("Sender", None)), "a list may add its Sender");
        assert!(names.contains(&("Reply-To", None)), "nobody may add a Reply-To");
    }

    #[test]
    fn what_the_relay_takes_out_is_not_signed() {
        let mut fields = SignedFields::default();
        for value in ["one", "two", "three"] {
            fields.add(b"Precedence", value.as_bytes());
        }
        fields.remove("precedence", &[1, 3]);
        let names = names(&fields);
        let left: Vec<_> = names.iter().filter(|(name, _)| *name == "Precedence").collect();
        assert_eq!(left, [&("Precedence", Some("two".to_owned()))]);
    }

    #[test]
    fn a_flood_of_fields_is_not_kept() {
        let mut long = SignedFields::default();
        let mut many = SignedFields::default();
        for _ in 0..100_000 {
            long.add(b"To", &[b'x'; 1000]);
            many.add(b"To", b"x");
            long.add(b"X-Other", &[b'x'; 1000]);
        }
        for fields in [&long, &many] {
            assert_eq!(fields.in_signing_order(), Err(TooMuchHeader));
            assert!(fields.fields.is_empty());
        }
    }
}
