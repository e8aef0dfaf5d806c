//! What DNS says of a key, held against the key. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::RsaPublicKeyRef;
use rsa::pkcs8::SubjectPublicKeyInfoRef;
use rsa::pkcs8::der::Decode as _;
use rsa::pkcs8::der::asn1::UintRef;

use super::key::Algorithm;

/// A TXT record: its strings, as DNS keeps them.
pub type Txt = Vec<Vec<u8>>;

/// The value of a record: its strings joined, without anything between (RFC 6376 section 3.6.2.2, RFC 7208 section 3.3).
pub fn text(record: &Txt) -> String {
    String::from_utf8_lossy(&record.concat()).into_owned()
}

/// Something to know about a published record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Missing,
    /// Several TXT records at the name, often one value that was entered as several records.
    SeveralRecords(usize),
    /// Quotation marks or backslashes in the value itself.
    QuotesInside,
    /// A blank inside of p=, mostly where the value was split.
    BlankInside,
    NoKeyRecord,
    /// p= is empty (RFC 6376 section 3.6.1).
    Revoked,
    Unreadable,
    OtherType(String),
    TooShort(usize),
    OtherKey,
    /// h= does not allow SHA-256.
    OtherHash(String),
    /// s= does not allow email.
    OtherService(String),
    Testing,
}

impl Finding {
    /// Whether signatures of the key fail because of it.
    pub fn spoils(&self) -> bool {
        !matches!(self, Self::Testing | Self::BlankInside)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no record"),
            Self::SeveralRecords(count) => write!(
                f,
                "there are {count} TXT records where one must be: remove the old ones; a long value \
                 is one record with several strings"
            ),
            Self::QuotesInside => f.write_str(
                "the value has quotation marks or backslashes in it: enter it without them, as one \
                 piece",
            ),
            Self::BlankInside => f.write_str(
                "there is a blank inside of p=, as where a value is split: most receivers skip it, \
                 some do not; enter the value as one piece",
            ),
            Self::NoKeyRecord => f.write_str("the record is not a DKIM key: it has no p="),
            Self::Revoked => f.write_str("the key is revoked: p= is empty"),
            Self::Unreadable => f.write_str(
                "p= cannot be read: the value was cut off or changed; the whole of it is needed",
            ),
            Self::OtherType(k) => write!(f, "k={k} is another kind of key"),
            Self::TooShort(bits) => write!(f, "the published key has {bits} bits only"),
            Self::OtherKey => f.write_str("another key is published under this selector"),
            Self::OtherHash(h) => write!(f, "h={h} does not allow sha256: leave h= out"),
            Self::OtherService(s) => write!(f, "s={s} does not allow email: leave s= out"),
            Self::Testing => f.write_str(
                "t=y says that the domain is only trying DKIM out: take it away when mail arrives \
                 with dkim=pass",
            ),
        }
    }
}

/// Compares the records at a key's name with the key. Nothing found means that all is well.
pub fn compare(records: &[Txt], algorithm: Algorithm, public: &[u8]) -> Vec<Finding> {
    let record = match records {
        [] => return vec![Finding::Missing],
        [record] => record,
        several => return vec![Finding::SeveralRecords(several.len())],
    };
    let value = text(record);
    if value.contains(['"', '\\']) {
        return vec![Finding::QuotesInside];
    }
    let tags = Tags(&value);
    let mut findings = Vec::new();
    if let Some(kind) = tags.get("k").filter(|kind| *kind != algorithm.key_type()) {
        findings.push(Finding::OtherType(kind.to_owned()));
    } else if tags.get("k").is_none() && algorithm != Algorithm::Rsa {
        findings.push(Finding::OtherType("rsa".to_owned()));
    }
    match tags.get("p") {
        None => return vec![Finding::NoKeyRecord],
        Some("") => findings.push(Finding::Revoked),
        Some(p) => findings.extend(compare_key(p, algorithm, public)),
    }
    let list_lacks =
        |list: &str, words: &[&str]| list.split(':').all(|entry| !words.contains(&entry.trim()));
    if let Some(h) = tags.get("h").filter(|h| list_lacks(h, &["sha256"])) {
        findings.push(Finding::OtherHash(h.to_owned()));
    }
    if let Some(s) = tags.get("s").filter(|s| list_lacks(s, &["*", "email"])) {
        findings.push(Finding::OtherService(s.to_owned()));
    }
    if tags.get("t").is_some_and(|t| t.split(':').any(|flag| flag.trim() == "y")) {
        findings.push(Finding::Testing);
    }
    findings
}

fn compare_key(p: &str, algorithm: Algorithm, public: &[u8]) -> Vec<Finding> {
    let packed: String = p.split_whitespace().collect();
    let Ok(published) = STANDARD.decode(&packed) else { return vec![Finding::Unreadable] };
    let mut findings = match algorithm {
        Algorithm::Rsa => compare_rsa(&published, public),
        Algorithm::Ed25519 if published.len() != public.len() => vec![Finding::Unreadable],
        Algorithm::Ed25519 if published != public => vec![Finding::OtherKey],
        Algorithm::Ed25519 => Vec::new(),
    };
    if packed.len() != p.len() {
        findings.push(Finding::BlankInside);
    }
    findings
}

fn compare_rsa(published: &[u8], public: &[u8]) -> Vec<Finding> {
    let Some(key) = RsaNumbers::read(published) else { return vec![Finding::Unreadable] };
    if RsaNumbers::read(public).is_some_and(|own| own == key) {
        return Vec::new();
    }
    let bits = key.bits();
    let short = (bits < LEAST_BITS).then_some(Finding::TooShort(bits));
    short.into_iter().chain([Finding::OtherKey]).collect()
}

/// What verifiers must accept at least (RFC 8301 section 3.2).
const LEAST_BITS: usize = 1024;

/// The two numbers of a public RSA key, of any size.
#[derive(PartialEq, Eq)]
struct RsaNumbers {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaNumbers {
    /// RFC 6376 says PKCS#1 and its erratum 3017 a SubjectPublicKeyInfo: receivers read both.
    fn read(der: &[u8]) -> Option<Self> {
        let inside = match SubjectPublicKeyInfoRef::from_der(der) {
            Ok(info) => info.subject_public_key.raw_bytes(),
            Err(_) => der,
        };
        let key = RsaPublicKeyRef::from_der(inside).ok()?;
        let bytes = |number: UintRef<'_>| number.as_bytes().to_vec();
        Some(Self { modulus: bytes(key.modulus), exponent: bytes(key.public_exponent) })
    }

    fn bits(&self) -> usize {
        let first = self.modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        (8 * self.modulus.len()).saturating_sub(first)
    }
}

/// A tag list (RFC 6376 section 3.2).
struct Tags<'a>(&'a str);

impl<'a> Tags<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.split(';').find_map(|entry| {
            let (tag, value) = entry.split_once('=')?;
            (tag.trim() == name).then(|| value.trim())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::key::PrivateKey;
    use crate::dkim::key_file;

    fn txt(strings: &[&str]) -> Txt {
        strings.iter().map(|string| string.as_bytes().to_vec()).collect()
    }

    fn ed25519() -> (Vec<u8>, String) {
        let public = PrivateKey::from_seed(&[1; 32]).public(Algorithm::Ed25519).unwrap();
        let p = STANDARD.encode(&public);
        (public, p)
    }

    #[test]
    fn what_can_be_wrong_with_a_record() {
        let (public, p) = ed25519();
        let whole = format!("v=DKIM1; k=ed25519; p={p}");
        let (start, end) = whole.split_at(40);
        let other = STANDARD.encode([9; 32]);
        use Finding::*;
        let cases: Vec<(Vec<Txt>, Vec<Finding>)> = vec![
            (vec![txt(&[&whole])], vec![]),
            (vec![txt(&[start, end])], vec![]),
            (vec![txt(&[&format!("k=ed25519;p={p};")])], vec![]),
            (vec![], vec![Missing]),
            (vec![txt(&[start]), txt(&[end])], vec![SeveralRecords(2)]),
            (vec![txt(&[&format!("\"{start}\" \"{end}\"")])], vec![QuotesInside]),
            (vec![txt(&[&whole.replace("; ", "\\; ")])], vec![QuotesInside]),
            (vec![txt(&[start, " ", end])], vec![BlankInside]),
            (vec![txt(&["v=spf1 -all"])], vec![NoKeyRecord]),
            (vec![txt(&["v=DKIM1; k=ed25519; p="])], vec![Revoked]),
            (
                vec![txt(&[&format!(
                    "v=DKIM1; k=ed25519; p={}",
                    p.chars().take(20).collect::<String>()
                )])],
                vec![Unreadable],
            ),
            (vec![txt(&[&format!("v=DKIM1; k=ed25519; p={other}")])], vec![OtherKey]),
            (vec![txt(&[&format!("v=DKIM1; p={p}")])], vec![OtherType("rsa".to_owned())]),
            (vec![txt(&[&format!("{whole}; t=s:y")])], vec![Testing]),
            (vec![txt(&[&format!("{whole}; h=sha1")])], vec![OtherHash("sha1".to_owned())]),
            (vec![txt(&[&format!("{whole}; h=sha1:sha256; s=*")])], vec![]),
            (vec![txt(&[&format!("{whole}; s=tlsrpt")])], vec![OtherService("tlsrpt".to_owned())]),
        ];
        for (records, expected) in cases {
            assert_eq!(compare(&records, Algorithm::Ed25519, &public), expected, "{records:?}");
        }
    }

    #[test]
    fn an_rsa_key_may_be_published_in_either_form_and_a_short_one_is_told() {
        let own = key_file::parse(include_bytes!("testdata/openssl-pkcs8-rsa.pem")).unwrap();
        let public = own.private.public(Algorithm::Rsa).unwrap();
        let pkcs1 = &public[24..];
        let short = include_str!("testdata/short-public.txt").trim();
        for (p, expected) in [
            (STANDARD.encode(&public), vec![]),
            (STANDARD.encode(pkcs1), vec![]),
            (STANDARD.encode(&public[..200]), vec![Finding::Unreadable]),
            (short.to_owned(), vec![Finding::TooShort(512), Finding::OtherKey]),
        ] {
            let record = txt(&[&format!("v=DKIM1; k=rsa; p={p}")]);
            assert_eq!(compare(&[record], Algorithm::Rsa, &public), expected, "{p}");
        }
    }

    #[test]
    fn only_what_makes_receivers_refuse_spoils_a_key() {
        assert!(!Finding::Testing.spoils() && !Finding::BlankInside.spoils());
        assert!(Finding::Missing.spoils() && Finding::Revoked.spoils());
    }
}
