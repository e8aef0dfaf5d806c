//! Asks DNS. What is not there and what could not be asked are two different answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use thiserror::Error;

use crate::dkim::published::Txt;

/// How long one try may take, and how many follow it: whoever runs `relay dkim check` waits for six
/// seconds at most, and a slow name server is asked again in an hour.
const ONE_TRY: Duration = Duration::from_secs(3);
const MORE_TRIES: usize = 1;

/// DNS gave no answer. That says nothing about a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("DNS gave no answer for {name}: {error}")]
pub struct DnsTrouble {
    name: String,
    error: String,
    /// The name server answered SERVFAIL: its own trouble, or a signature that is wrong (RFC 4035 section 5.5).
    pub is_servfail: bool,
}

impl DnsTrouble {
    pub fn new(name: &str, error: impl ToString) -> Self {
        Self { name: name.to_owned(), error: error.to_string(), is_servfail: false }
    }

    fn of(name: &str, error: &NetError) -> Self {
        let NetError::Dns(DnsError::ResponseCode(code)) = error else {
            return Self::new(name, error);
        };
        let is_servfail = *code == ResponseCode::ServFail;
        Self { is_servfail, ..Self::new(name, format!("the name server says: {code}")) }
    }
}

/// What is at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Empty if there is no record of this type.
    pub records: Vec<T>,
    /// Whether there is anything at this name or below it.
    pub name_exists: bool,
}

impl<T> Answer<T> {
    /// Of a name that does not exist.
    pub fn nothing() -> Self {
        Self { records: Vec::new(), name_exists: false }
    }
}

pub type Found<T> = Result<Answer<T>, DnsTrouble>;

/// A mail exchanger: its preference and name.
pub type Exchanger = (u16, String);

/// The resolver of this machine, without a memory: a record that was published a moment ago is to
/// be seen.
#[derive(Clone)]
pub struct Dns(TokioResolver);

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// Reads /etc/resolv.conf, which in a container changes with its networks.
    ///
    /// # Errors
    ///
    /// When that file cannot be read.
    pub fn from_system() -> Result<Self, DnsTrouble> {
        Self::with(ONE_TRY, MORE_TRIES)
    }

    /// The same with other patience: the time for a try, and how many tries may follow the first.
    ///
    /// # Errors
    ///
    /// As [`Dns::from_system`].
    pub fn with(one_try: Duration, more_tries: usize) -> Result<Self, DnsTrouble> {
        let trouble = |error: NetError| {
            DnsTrouble::new("any name", format!("/etc/resolv.conf cannot be used: {error}"))
        };
        let mut builder = TokioResolver::builder_tokio().map_err(trouble)?;
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.timeout = one_try;
        options.attempts = more_tries;
        Ok(Self(builder.build().map_err(trouble)?))
    }

    /// The TXT records at a name.
    ///
    /// # Errors
    ///
    /// When there is no answer; so for all that follow.
    pub async fn txt(&self, name: &str) -> Found<Txt> {
        let texts = |data: &RData| match data {
            RData::TXT(txt) => Some(txt.txt_data.iter().map(|s| s.to_vec()).collect()),
            _ => None,
        };
        self.find(name, RecordType::TXT, texts).await
    }

    pub async fn a(&self, name: &str) -> Found<Ipv4Addr> {
        let address = |data: &RData| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        };
        self.find(name, RecordType::A, address).await
    }

    pub async fn aaaa(&self, name: &str) -> Found<Ipv6Addr> {
        let address = |data: &RData| match data {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        };
        self.find(name, RecordType::AAAA, address).await
    }

    /// The mail exchangers of a domain, best first. The name of a null MX (RFC 7505) is empty.
    pub async fn mx(&self, domain: &str) -> Found<Exchanger> {
        let exchanger = |data: &RData| match data {
            RData::MX(mx) => Some((mx.preference, host(&mx.exchange))),
            _ => None,
        };
        let mut found = self.find(domain, RecordType::MX, exchanger).await?;
        found.records.sort();
        Ok(found)
    }

    /// The names that an address has.
    pub async fn ptr(&self, address: IpAddr) -> Found<String> {
        let name = |data: &RData| match data {
            RData::PTR(name) => Some(host(name)),
            _ => None,
        };
        let reverse = host(&Name::from(address));
        self.find(&reverse, RecordType::PTR, name).await
    }

    /// TLSA records as a zone file has them: `3 1 1 ab12…`.
    pub async fn tlsa(&self, name: &str) -> Found<String> {
        let text = |data: &RData| match data {
            RData::TLSA(tlsa) => {
                let hash: String = tlsa.cert_data.iter().map(|b| format!("{b:02x}")).collect();
                let usage = u8::from(tlsa.cert_usage);
                let (selector, matching) = (u8::from(tlsa.selector), u8::from(tlsa.matching));
                Some(format!("{usage} {selector} {matching} {hash}"))
            }
            _ => None,
        };
        self.find(name, RecordType::TLSA, text).await
    }

    /// The resolver itself, for libraries that ask by themselves.
    pub fn resolver(&self) -> &TokioResolver {
        &self.0
    }

    async fn find<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Found<T> {
        // With a dot at its end no search domain is tried.
        match self.0.lookup(format!("{name}."), kind).await {
            Ok(found) => {
                let records =
                    found.answers().iter().filter_map(|record| read(&record.data)).collect();
                Ok(Answer { records, name_exists: true })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                ResponseCode::NXDomain => Ok(Answer::nothing()),
                ResponseCode::NoError => Ok(Answer { records: Vec::new(), name_exists: true }),
                code => Err(DnsTrouble::of(name, &NetError::Dns(DnsError::ResponseCode(code)))),
            },
            Err(error) => Err(DnsTrouble::of(name, &error)),
        }
    }
}

/// A name in lower case, without the dot at its end.
fn host(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}
