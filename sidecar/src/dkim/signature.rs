//! The DKIM-Signature header field (RFC 6376 section 3.5). Pure: the time is an argument.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::canonical;
use super::fields::Covered;
use super::signer::{Signer, SigningError};

/// The field's name.
pub const NAME: &str = "DKIM-Signature";
/// Lines of the field are folded at about this width.
const WIDTH: usize = 72;
/// What the field's lines are folded with. The milter protocol's line end is LF.
const FOLD: &str = "\n\t";

/// What a signature says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    pub domain: &'a str,
    pub selector: &'a str,
    pub fields: &'a [Covered<'a>],
    pub body_hash: &'a [u8; 32],
    /// Seconds since 1970.
    pub now: u64,
}

/// Signs, and returns the field's value.
pub fn sign(statement: &Statement<'_>, signer: &Signer) -> Result<String, SigningError> {
    let unsigned = unsigned(statement, signer);
    let signature = signer.sign(&input(statement.fields, &unsigned))?;
    let mut value = unsigned;
    let mut column = "b=".len();
    fold(&mut value, &STANDARD.encode(signature), &mut column);
    Ok(value)
}

/// The input of the header hash (RFC 6376 section 3.7): the covered fields, then this field with
/// its b= empty and without a line end.
fn input(fields: &[Covered<'_>], unsigned: &str) -> Vec<u8> {
    let present = || fields.iter().filter_map(|entry| Some((entry.name, entry.value?)));
    let size: usize = present().map(|(name, value)| name.len() + value.len() + 3).sum();
    let mut input = Vec::with_capacity(size + unsigned.len() + NAME.len() + 1);
    for (name, value) in present() {
        canonical::header_field(name.as_bytes(), value, &mut input);
    }
    canonical::header_field(NAME.as_bytes(), unsigned.as_bytes(), &mut input);
    input.truncate(input.len() - "\r\n".len());
    input
}

/// The value with nothing after `b=`.
fn unsigned(statement: &Statement<'_>, signer: &Signer) -> String {
    use crate::labels::Label as _;

    let Statement { domain, selector, fields, body_hash, now } = statement;
    let algorithm = signer.algorithm().label();
    let mut value = format!(
        "v=1; a={algorithm}; c=relaxed/relaxed;{FOLD}d={domain}; s={selector}; t={now};{FOLD}bh={};",
        STANDARD.encode(body_hash),
    );
    value.push_str(FOLD);
    value.push_str("h=");
    let mut column = "h=".len();
    for (position, field) in fields.iter().enumerate() {
        if column + field.name.len() > WIDTH {
            value.push_str(FOLD);
            column = 0;
        }
        if position > 0 {
            value.push(':');
        }
        value.push_str(field.name);
        column += field.name.len() + 1;
    }
    value.push(';');
    value.push_str(FOLD);
    value.push_str("b=");
    value
}

/// Appends base64 over several lines. Blanks in b= mean nothing (RFC 6376 section 3.5).
fn fold(value: &mut String, base64: &str, column: &mut usize) {
    for letter in base64.chars() {
        if *column >= WIDTH {
            value.push_str(FOLD);
            *column = 0;
        }
        value.push(letter);
        *column += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::canonical::BodyHash;
    use crate::dkim::fields::SignedFields;
    use crate::dkim::key::{Algorithm, PrivateKey};

    #[test]
    fn a_signature_is_deterministic_and_folded() {
        let mut fields = SignedFields::default();
        fields.add(b"From", b" Joe SixPack <joe@football.example.com>");
        fields.add(b"Subject", b" Is dinner ready?");
        let mut body = BodyHash::default();
        body.update(b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n");
        let body_hash = body.finish();
        // The body and its hash are those of RFC 8463 appendix A.
        assert_eq!(STANDARD.encode(body_hash), "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
        let covered = fields.in_signing_order().unwrap();
        let statement = Statement {
            domain: "football.example.com",
            selector: "brisbane",
            fields: &covered,
            body_hash: &body_hash,
            now: 1_528_637_909,
        };
        let signer = Signer::new(&PrivateKey::from_seed(&[1; 32]), Algorithm::Ed25519).unwrap();
        let value = sign(&statement, &signer).unwrap();
        assert_eq!(value, sign(&statement, &signer).unwrap());
        assert!(value.starts_with(
            "v=1; a=ed25519-sha256; c=relaxed/relaxed;\n\td=football.example.com; s=brisbane; \
             t=1528637909;\n\tbh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n\t\
             h=From:From:To:Cc:Subject:Subject:Date:"
        ));
        assert!(value.lines().all(|line| line.len() <= 100), "{value}");
    }
}
