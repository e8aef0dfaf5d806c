//! What is told apart of deliveries: label values of their metrics. Pure.

use crate::labels::{Label, label_enum};

label_enum! {
    /// How a delivery to one recipient ended.
    pub enum Status("status") {
        Sent = "sent",
        Deferred = "deferred",
        Bounced = "bounced",
        /// Postfix gave a message up because it was too old: one for all recipients that were left.
        Expired = "expired",
        Other = "other",
    }
}

impl Status {
    pub fn of(word: &str) -> Self {
        // Postfix's word for a message that an operator made expire.
        let word = word.strip_prefix("force-").unwrap_or(word);
        Self::ALL.iter().copied().find(|status| status.label() == word).unwrap_or(Self::Other)
    }
}

label_enum! {
    /// Why a delivery failed, by the subject of its enhanced status code (RFC 3463 section 3).
    pub enum Cause("cause") {
        None = "none",
        Address = "address",
        Mailbox = "mailbox",
        System = "system",
        Network = "network",
        Protocol = "protocol",
        Content = "content",
        /// No TLS, or a certificate that does not prove the next hop's name.
        Tls = "tls",
        Policy = "policy",
        Other = "other",
    }
}

impl Cause {
    pub fn of(enhanced_status_code: &str) -> Self {
        let mut parts = enhanced_status_code.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("2"), ..) => Self::None,
            (_, Some("1"), _) => Self::Address,
            (_, Some("2"), _) => Self::Mailbox,
            (_, Some("3"), _) => Self::System,
            (_, Some("4"), _) => Self::Network,
            (_, Some("5"), _) => Self::Protocol,
            (_, Some("6"), _) => Self::Content,
            // Postfix: 4.7.4 when TLS is not offered, 4.7.5 for a certificate.
            (Some("4"), Some("7"), Some("4" | "5")) => Self::Tls,
            (_, Some("7"), _) => Self::Policy,
            _ => Self::Other,
        }
    }
}

label_enum! {
    /// The class of an enhanced status code (RFC 3463 section 2).
    pub enum Class("class") {
        Success = "2",
        Temporary = "4",
        Permanent = "5",
        None = "none",
    }
}

impl Class {
    pub fn of(enhanced_status_code: &str) -> Self {
        let class = enhanced_status_code.split('.').next();
        Self::ALL.iter().copied().find(|known| Some(known.label()) == class).unwrap_or(Self::None)
    }
}

label_enum! {
    /// Whether the connection to the next hop was encrypted.
    pub enum Encryption("tls") {
        Yes = "yes",
        No = "no",
    }
}

label_enum! {
    /// Who took, or did not take, the message.
    pub enum NextHop("next_hop") {
        Gmail = "gmail",
        Microsoft = "microsoft",
        Yahoo = "yahoo",
        /// One of RELAYHOST, RELAYHOST_MAP and RELAYHOST_FALLBACK.
        Smarthost = "smarthost",
        /// Anybody else, and nobody.
        Other = "other",
    }
}

/// Where the large providers' mail servers are; their customers' domains have them as MX, too.
const PROVIDERS: [(&str, NextHop); 6] = [
    (".google.com", NextHop::Gmail),
    (".googlemail.com", NextHop::Gmail),
    (".outlook.com", NextHop::Microsoft),
    (".mx.microsoft", NextHop::Microsoft),
    (".yahoodns.net", NextHop::Yahoo),
    (".yahoo.com", NextHop::Yahoo),
];

impl NextHop {
    /// `relay` is `host[address]:port`.
    pub fn of(relay: &str, is_smarthost: bool) -> Self {
        if is_smarthost {
            return Self::Smarthost;
        }
        let host = relay.split('[').next().unwrap_or_default().to_ascii_lowercase();
        let provider = PROVIDERS.iter().find(|(suffix, _)| host.ends_with(suffix));
        provider.map_or(Self::Other, |(_, next_hop)| *next_hop)
    }
}

label_enum! {
    /// The parts of a message's delay, as Postfix divides it (`delays=a/b/c/d`).
    pub enum DelayStage("stage") {
        BeforeQueue = "before_queue",
        InQueue = "in_queue",
        Connection = "connection",
        Transmission = "transmission",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_sorted_by_status_cause_and_class() {
        for (status, dsn, expected) in [
            ("sent", "2.0.0", (Status::Sent, Cause::None, Class::Success)),
            ("deferred", "4.4.1", (Status::Deferred, Cause::Network, Class::Temporary)),
            ("deferred", "4.7.5", (Status::Deferred, Cause::Tls, Class::Temporary)),
            ("deferred", "4.7.4", (Status::Deferred, Cause::Tls, Class::Temporary)),
            ("bounced", "5.7.1", (Status::Bounced, Cause::Policy, Class::Permanent)),
            ("bounced", "5.1.1", (Status::Bounced, Cause::Address, Class::Permanent)),
            ("bounced", "5.2.2", (Status::Bounced, Cause::Mailbox, Class::Permanent)),
            ("expired", "", (Status::Expired, Cause::Other, Class::None)),
            ("force-expired", "", (Status::Expired, Cause::Other, Class::None)),
            ("undeliverable", "5.1.1", (Status::Other, Cause::Address, Class::Permanent)),
            ("deferred", "nonsense", (Status::Deferred, Cause::Other, Class::None)),
        ] {
            let found = (Status::of(status), Cause::of(dsn), Class::of(dsn));
            assert_eq!(found, expected, "{status} {dsn}");
        }
    }

    #[test]
    fn next_hops_are_sorted_by_the_name_of_the_host() {
        for (relay, is_smarthost, expected) in [
            ("gmail-smtp-in.l.google.com[192.0.2.1]:25", false, NextHop::Gmail),
            ("ASPMX2.GOOGLEMAIL.COM[192.0.2.1]:25", false, NextHop::Gmail),
            ("example-org.mail.protection.outlook.com[192.0.2.1]:25", false, NextHop::Microsoft),
            ("example-org.j-v1.mx.microsoft[192.0.2.1]:25", false, NextHop::Microsoft),
            ("mta5.am0.yahoodns.net[2001:db8::1]:25", false, NextHop::Yahoo),
            ("mx.example.net[192.0.2.1]:25", false, NextHop::Other),
            ("notgoogle.com[192.0.2.1]:25", false, NextHop::Other),
            ("none", false, NextHop::Other),
            ("", false, NextHop::Other),
            ("smtp.google.com[192.0.2.1]:587", true, NextHop::Smarthost),
            ("none", true, NextHop::Smarthost),
        ] {
            assert_eq!(NextHop::of(relay, is_smarthost), expected, "{relay}");
        }
    }
}
