//! The lists that receivers ask, as data.
//!
//! Each is asked once for each address or name, at the address that its owner gives for public use.

use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug)]
pub struct Blocklist {
    pub name: &'static str,
    pub zone: &'static str,
    pub lists: Subject,
    pub takes_ipv6: bool,
    /// What a listing does to mail.
    pub weight: Weight,
    /// Where an operator looks a listing up and has it removed.
    pub removal: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Address,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Many receivers refuse mail for it.
    Refuses,
    /// Few receivers look at it, or it ends by itself.
    Counts,
}

const fn of_addresses(
    name: &'static str,
    zone: &'static str,
    weight: Weight,
    removal: &'static str,
) -> Blocklist {
    Blocklist { name, zone, lists: Subject::Address, takes_ipv6: false, weight, removal }
}

pub const ALL: [Blocklist; 7] = [
    Blocklist {
        takes_ipv6: true,
        ..of_addresses(
            "Spamhaus ZEN",
            "zen.spamhaus.org",
            Weight::Refuses,
            "https://check.spamhaus.org/",
        )
    },
    of_addresses("SpamCop", "bl.spamcop.net", Weight::Refuses, "https://www.spamcop.net/bl.shtml"),
    of_addresses(
        "Barracuda",
        "b.barracudacentral.org",
        Weight::Refuses,
        "https://www.barracudacentral.org/rbl/removal-request",
    ),
    Blocklist {
        takes_ipv6: true,
        ..of_addresses("PSBL", "psbl.surriel.com", Weight::Counts, "https://psbl.org/remove")
    },
    of_addresses(
        "UCEPROTECT-1",
        "dnsbl-1.uceprotect.net",
        Weight::Counts,
        "https://www.uceprotect.net/en/rblcheck.php (it ends by itself after seven days; nobody has to pay)",
    ),
    Blocklist {
        takes_ipv6: true,
        ..of_addresses(
            "s5h",
            "all.s5h.net",
            Weight::Counts,
            "https://www.usenix.org.uk/content/rbl.html",
        )
    },
    Blocklist {
        name: "Spamhaus DBL",
        zone: "dbl.spamhaus.org",
        lists: Subject::Name,
        takes_ipv6: false,
        weight: Weight::Refuses,
        removal: "https://check.spamhaus.org/",
    },
];

impl Blocklist {
    /// The name to ask for an address; `None` if this list has none of its kind.
    pub fn query_of_address(&self, address: IpAddr) -> Option<String> {
        let reversed = match address {
            _ if self.lists != Subject::Address => return None,
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}")
            }
            IpAddr::V6(_) if !self.takes_ipv6 => return None,
            IpAddr::V6(address) => {
                let nibbles = address.octets().into_iter().flat_map(|b| [b >> 4, b & 15]).rev();
                nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
            }
        };
        Some(format!("{reversed}.{}", self.zone))
    }

    pub fn query_of_name(&self, name: &str) -> Option<String> {
        (self.lists == Subject::Name).then(|| format!("{name}.{}", self.zone))
    }
}

/// What an address in a list's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Listed,
    /// The list refuses this resolver, or the question: no answer at all.
    NotAnswered,
    /// Outside 127.0.0.0/8 (RFC 5782 section 2.1): a resolver that makes answers up.
    Nonsense,
}

pub fn meaning(answer: Ipv4Addr) -> Meaning {
    match answer.octets() {
        // Spamhaus: 252 a typing error, 254 a public resolver, 255 too many queries; others do the same.
        [127, 255, 255, _] => Meaning::NotAnswered,
        // UCEPROTECT and some more answer so when they are asked too often.
        [127, 0, 0, 1] => Meaning::NotAnswered,
        [127, ..] => Meaning::Listed,
        _ => Meaning::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_backwards() {
        let [zen, spamcop, .., dbl] = &ALL;
        let v4 = "192.0.2.1".parse().unwrap();
        assert_eq!(zen.query_of_address(v4).unwrap(), "1.2.0.192.zen.spamhaus.org");
        let v6 = "2001:db8::1".parse().unwrap();
        let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2";
        assert_eq!(zen.query_of_address(v6).unwrap(), format!("{nibbles}.zen.spamhaus.org"));
        assert_eq!(spamcop.query_of_address(v6), None);
        assert_eq!(dbl.query_of_address(v4), None);
        assert_eq!(dbl.query_of_name("example.org").unwrap(), "example.org.dbl.spamhaus.org");
        assert_eq!(zen.query_of_name("example.org"), None);
    }

    #[test]
    fn an_answer_about_the_resolver_is_no_listing() {
        for (answer, expected) in [
            ("127.0.0.2", Meaning::Listed),
            ("127.0.1.2", Meaning::Listed),
            ("127.255.255.252", Meaning::NotAnswered),
            ("127.255.255.254", Meaning::NotAnswered),
            ("127.255.255.255", Meaning::NotAnswered),
            ("127.0.0.1", Meaning::NotAnswered),
            ("198.51.100.7", Meaning::Nonsense),
        ] {
            assert_eq!(meaning(answer.parse().unwrap()), expected, "{answer}");
        }
    }
}
