//! Asks DNS for the records of keys.

use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use thiserror::Error;

use crate::dkim::published::Txt;

/// How long one try may take, and how many follow it: whoever runs `relay dkim check` waits for six
/// seconds at most, and a slow name server is asked again in an hour.
const ONE_TRY: Duration = Duration::from_secs(3);
const MORE_TRIES: usize = 1;

/// DNS gave no answer. That says nothing about a key.
#[derive(Debug, Error)]
#[error("DNS gave no answer for {name}: {error}")]
pub struct DnsTrouble {
    name: String,
    error: String,
}

impl DnsTrouble {
    pub fn new(name: &str, error: impl ToString) -> Self {
        Self { name: name.to_owned(), error: error.to_string() }
    }
}

/// The resolver of this machine, without a memory: a record that was published a moment ago is to
/// be seen.
#[derive(Clone)]
pub struct Dns(TokioResolver);

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
        let trouble = |error: NetError| {
            DnsTrouble::new("any name", format!("/etc/resolv.conf cannot be used: {error}"))
        };
        let mut builder = TokioResolver::builder_tokio().map_err(trouble)?;
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = ONE_TRY;
        options.attempts = MORE_TRIES;
        Ok(Self(builder.build().map_err(trouble)?))
    }

    /// Every TXT record at a name; none when DNS says that there is none.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn records(&self, name: &str) -> Result<Vec<Txt>, DnsTrouble> {
        // With a dot at its end no search domain is tried.
        match self.0.txt_lookup(format!("{name}.")).await {
            Ok(found) => {
                let texts = found.answers().iter().filter_map(|record| match &record.data {
                    RData::TXT(txt) => Some(txt.txt_data.iter().map(|s| s.to_vec()).collect()),
                    _ => None,
                });
                Ok(texts.collect())
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(DnsTrouble::new(name, error)),
        }
    }
}
