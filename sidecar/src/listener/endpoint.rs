//! Where a service listens. Pure.

use std::fmt;
use std::path::PathBuf;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// `host:port`; an IPv6 host stands in brackets.
    Inet(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inet(address) => write!(f, "inet:{address}"),
        }
    }
}

impl Endpoint {
    /// Whether only this machine (or container) can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Inet(address) => {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host);
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost"
                    || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    /// Reads `unix:/path` or `inet:host:port`.
    ///
    /// # Errors
    ///
    /// Says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // sun_path has 108 bytes with the final NUL (unix(7)), and binding adds a suffix.
            return if path.starts_with('/') && path.len() <= 96 {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err("a socket's path is absolute and has at most 96 bytes".to_owned())
            };
        }
        let expected = "expected unix:/path or inet:host:port";
        let address = text.strip_prefix("inet:").ok_or(expected)?;
        let (host, port) = address.rsplit_once(':').ok_or(expected)?;
        let host_is_valid = if let Some(inner) = host.strip_prefix('[') {
            inner.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
        } else {
            !host.is_empty() && !host.contains(':')
        };
        if host_is_valid && port.parse::<u16>().is_ok_and(|port| port != 0) {
            Ok(Self::Inet(address.to_owned()))
        } else {
            Err(expected.to_owned())
        }
    }
}
