//! What a policy request says, as facts. Pure.

use std::net::IpAddr;

use super::protocol::Request;

/// What the request says, before the database is asked how the user stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// `None` for "unknown" and for anything else that is no address.
    pub client: Option<IpAddr>,
    /// The name that Postfix got from our own OK reply.
    pub user: Option<&'a [u8]>,
    pub tls: bool,
}

/// Reads the claim out of a request.
pub fn claim<'a>(request: &Request<'a>) -> Claim<'a> {
    Claim {
        client: address(request.client_address),
        user: Some(request.sasl_username).filter(|name| !name.is_empty()),
        tls: !request.encryption_protocol.is_empty(),
    }
}

/// An address as Postfix writes it, unmapped.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unmapped_and_unknown_is_none() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
            ("192.0.2.1 ", None),
        ] {
            assert_eq!(address(text.as_bytes()), expected.map(|a| a.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn empty_attributes_are_absent_facts() {
        let request = Request { client_address: b"192.0.2.1", ..Request::default() };
        let claim = claim(&request);
        assert_eq!((claim.user, claim.tls), (None, false));
    }
}
