//! What pins a certificate: its fingerprint, and that of its key. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};

/// Tags of DER (X.690 8.1.2).
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// What clients want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// It names itself as the one who signed it, so no authority stands behind it.
    pub is_self_signed: bool,
    /// SHA-256 of the whole: 32 bytes.
    pub fingerprint: Vec<u8>,
    /// SHA-256 of the public key (RFC 7469 2.4): 32 bytes.
    pub key_pin: Vec<u8>,
    pub pem: String,
}

impl Certificate {
    /// Reads DER; `None` if it is no certificate (RFC 5280 4.1).
    pub fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (to_be_signed, _) = element(certificate.content, SEQUENCE)?;
        let mut rest = to_be_signed.content;
        if let Some((_, after)) = element(rest, VERSION) {
            rest = after;
        }
        let mut next = |tag| {
            let (found, after) = element(rest, tag)?;
            rest = after;
            Some(found)
        };
        next(INTEGER)?;
        let (_signature, issuer) = (next(SEQUENCE)?, next(SEQUENCE)?);
        let (_validity, subject) = (next(SEQUENCE)?, next(SEQUENCE)?);
        let key = next(SEQUENCE)?;
        Some(Self {
            is_self_signed: issuer.whole == subject.whole,
            fingerprint: digest(&SHA256, der).as_ref().to_vec(),
            key_pin: digest(&SHA256, key.whole).as_ref().to_vec(),
            pem: pem(der),
        })
    }
}

struct Element<'a> {
    /// With its tag and length.
    whole: &'a [u8],
    content: &'a [u8],
}

/// Reads one element with this tag, and returns what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (&found, rest) = der.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    // From 128 on, the low bits say how many bytes the length has; a certificate needs no more than 3.
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    let (whole, _) = der.split_at_checked(der.len() - after.len())?;
    Some((Element { whole, content }, after))
}

fn pem(der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let mut lines = vec!["-----BEGIN CERTIFICATE-----"];
    let mut rest = encoded.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        lines.push(line);
        rest = after;
    }
    lines.extend((!rest.is_empty()).then_some(rest));
    lines.push("-----END CERTIFICATE-----");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, PublicKeyData};

    use super::*;

    #[test]
    fn a_certificate_is_pinned_by_itself_and_by_its_key() {
        let issuer_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["relay.example.org".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, issuer_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["relay.example.org".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "relay.example.org");
        let own = params.self_signed(&key).unwrap();
        let signed = params.signed_by(&key, &issuer).unwrap();
        for (made, is_self_signed) in [(&own, true), (&signed, false)] {
            let read = Certificate::read(made.der()).unwrap();
            assert_eq!(read.is_self_signed, is_self_signed);
            assert_eq!(read.fingerprint, digest(&SHA256, made.der()).as_ref());
            assert_eq!(read.key_pin, digest(&SHA256, &key.subject_public_key_info()).as_ref());
            assert_eq!(read.pem, made.pem().replace('\r', "").trim_end());
            for length in 0..made.der().len() {
                assert_eq!(Certificate::read(&made.der()[..length]), None, "{length}");
            }
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for der in [
            &b""[..],
            b"0",
            b"0\x80",
            b"0\x84\xff\xff\xff\xff",
            b"0\x83\xff\xff\xff0",
            b"0\x020\x00",
        ] {
            assert_eq!(Certificate::read(der), None, "{der:?}");
        }
    }
}
