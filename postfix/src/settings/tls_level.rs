//! How much a next hop has to prove before mail, or a password, is handed over. Pure.

use std::fmt;

/// The levels of Postfix that make sense here, from the weakest on (postconf(5),
/// `smtp_tls_security_level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsLevel {
    /// Plain text, always.
    None,
    /// TLS when it is offered, whoever offers it.
    May,
    /// Always TLS, whoever is at the other end.
    Encrypt,
    /// Like DaneOnly for hosts with TLSA records, like May for others.
    Dane,
    /// A certificate that the host's TLSA records vouch for.
    DaneOnly,
    /// A certificate for the host's name, of an authority that is trusted.
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

    /// What is right when nobody says otherwise: a password goes only to a host that proves its name.
    pub fn usual(login: bool, implicit_tls: bool) -> Self {
        match (login, implicit_tls) {
            (true, _) => Self::Secure,
            (false, true) => Self::Encrypt,
            (false, false) => Self::May,
        }
    }

    /// Why this level cannot be used so.
    pub fn objection(self, login: bool, implicit_tls: bool) -> Option<&'static str> {
        if self.always_encrypts() {
            return None;
        }
        if login {
            return Some(
                "would send the password without encryption, or to nobody; with a login it must be \
                 secure, dane-only or, when the certificate cannot be checked, encrypt",
            );
        }
        implicit_tls.then_some(
            "cannot be used with port 465, where TLS is not optional; it must be encrypt, dane-only \
             or secure",
        )
    }

    pub fn always_encrypts(self) -> bool {
        matches!(self, Self::Encrypt | Self::DaneOnly | Self::Secure)
    }

    /// Whether the other end has to prove who it is.
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
    fn every_level_is_read_as_it_is_written() {
        for (name, level) in TlsLevel::ALL {
            assert_eq!(TlsLevel::parse(name), Ok(level));
            assert_eq!(level.to_string(), name);
        }
        let advice = TlsLevel::parse("verify").unwrap_err();
        assert_eq!(advice, "must be one of none, may, encrypt, dane, dane-only, secure");
    }

    #[test]
    fn what_is_usual_can_be_used() {
        for (login, implicit_tls) in [(true, true), (true, false), (false, true), (false, false)] {
            let level = TlsLevel::usual(login, implicit_tls);
            assert_eq!(level.objection(login, implicit_tls), None);
            assert_eq!(level.proves_host(), login);
        }
    }

    #[test]
    fn a_password_never_goes_over_a_connection_that_may_be_plain() {
        for (name, level) in TlsLevel::ALL {
            let refused = level.objection(true, false).is_some();
            assert_eq!(refused, ["none", "may", "dane"].contains(&name), "{name}");
            assert_eq!(level.objection(false, true).is_some(), refused, "{name}");
            assert_eq!(level.objection(false, false), None, "{name}");
        }
    }
}
