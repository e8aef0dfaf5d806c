//! The TLS security level for a next hop: what it must prove before it gets mail, or a password. Pure.

use std::fmt;

/// The levels of Postfix that make sense here, weakest first (postconf(5), `smtp_tls_security_level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsLevel {
    /// No TLS.
    None,
    /// TLS if offered, whatever the certificate.
    May,
    /// Always TLS, whatever the certificate.
    Encrypt,
    /// DaneOnly for hosts with TLSA records, May for others.
    Dane,
    /// Always TLS, with a certificate that matches the host's TLSA records.
    DaneOnly,
    /// Always TLS, with a certificate for the host's name from a trusted authority.
    Secure,
}

impl TlsLevel {
    const ALL: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("may", Self::May),
        ("encrypt", Self::Encrypt),
        ("dane", Self::Dane),
        ("dane-only", Self::DaneOnly),
        ("secure", Self::Secure),
    ];

    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, level)| *level).ok_or_else(|| {
            let known = Self::ALL.map(|(name, _)| name).join(", ");
            format!("must be one of {known}")
        })
    }

    /// The level without RELAYHOST_TLS_LEVEL: a password only goes to a host that proves its name.
    pub fn default_for(login: bool, implicit_tls: bool) -> Self {
        match (login, implicit_tls) {
            (true, _) => Self::Secure,
            (false, true) => Self::Encrypt,
            (false, false) => Self::May,
        }
    }

    /// Why this level cannot be used with a login, or with implicit TLS; `None` if it can.
    pub fn objection(self, login: bool, implicit_tls: bool) -> Option<&'static str> {
        if self.always_encrypts() {
            return None;
        }
        if login {
            return Some(
                "could send the password unencrypted; with a login it must be secure, dane-only or, if \
                 the certificate cannot be checked, encrypt",
            );
        }
        implicit_tls.then_some(
            "cannot be used with port 465, where TLS is mandatory; it must be encrypt, dane-only or \
             secure",
        )
    }

    pub fn always_encrypts(self) -> bool {
        matches!(self, Self::Encrypt | Self::DaneOnly | Self::Secure)
    }

    /// Whether the host has to prove its identity.
    pub fn proves_host(self) -> bool {
        matches!(self, Self::DaneOnly | Self::Secure)
    }

    pub fn needs_dnssec(self) -> bool {
        matches!(self, Self::Dane | Self::DaneOnly)
    }
}

impl fmt::Display for TlsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, level)| level == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_parsed_and_printed_by_the_same_name() {
        for (name, level) in TlsLevel::ALL {
            assert_eq!(TlsLevel::parse(name), Ok(level));
            assert_eq!(level.to_string(), name);
        }
        let advice = TlsLevel::parse("verify").unwrap_err();
        assert_eq!(advice, "must be one of none, may, encrypt, dane, dane-only, secure");
    }

    #[test]
    fn a_default_level_is_always_allowed() {
        for (login, implicit_tls) in [(true, true), (true, false), (false, true), (false, false)] {
            let level = TlsLevel::default_for(login, implicit_tls);
            assert_eq!(level.objection(login, implicit_tls), None);
            assert_eq!(level.proves_host(), login);
        }
    }

    #[test]
    fn a_password_never_goes_over_a_connection_that_may_be_unencrypted() {
        for (name, level) in TlsLevel::ALL {
            let refused = level.objection(true, false).is_some();
            assert_eq!(refused, ["none", "may", "dane"].contains(&name), "{name}");
            assert_eq!(level.objection(false, true).is_some(), refused, "{name}");
            assert_eq!(level.objection(false, false), None, "{name}");
        }
    }
}
