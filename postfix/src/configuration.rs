//! Postfix's configuration, made from the settings: main.cf, master.cf and the password tables.

pub mod explain;
pub mod files;
#[cfg(test)]
mod golden;
mod guard;
pub mod host;
pub mod main_cf;
pub mod master_cf;
mod source;

use host::Host;
use main_cf::MainCf;
use master_cf::MasterCf;

use crate::log::LogFormat;
use crate::settings::environment::{Environment, Problem};
use crate::settings::overrides::Overrides;
use crate::settings::{self, Reading, Settings};

/// All that Postfix's files are made from, checked. Only the host's addresses can change later.
#[derive(Debug)]
pub struct Configuration {
    pub settings: Settings,
    overrides: Overrides,
}

/// What is wrong with the environment, and the format to report it in.
#[derive(Debug)]
pub struct Mistakes {
    pub problems: Vec<Problem>,
    pub log_format: LogFormat,
}

impl Configuration {
    /// Reads and checks the environment.
    ///
    /// # Errors
    ///
    /// Reports every mistake at once: wrong settings, parameters that would do harm, and parameters for
    /// services that do not exist.
    pub fn load(environment: &Environment) -> Result<Self, Mistakes> {
        let Reading { settings, overrides, mut problems, log_format } = settings::read(environment);
        let guard::Findings { problems: harmful, warnings } = guard::check(&overrides);
        problems.extend(harmful);
        if let Some(settings) = &settings {
            problems.extend(master_cf::unknown_services(settings, &overrides));
        }
        match settings {
            Some(mut settings) if problems.is_empty() => {
                settings.warnings.extend(warnings);
                Ok(Self { settings, overrides })
            }
            _ => Err(Mistakes { problems, log_format }),
        }
    }

    pub fn main_cf(&self, host: &Host) -> MainCf {
        main_cf::build(&self.settings, &self.overrides.main, host)
    }

    pub fn master_cf(&self) -> MasterCf {
        master_cf::build(&self.settings, &self.overrides.services)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with these variables, and a host name unless they have one.
    #[track_caller]
    pub fn configuration(pairs: &[(&str, &str)]) -> Configuration {
        let mut pairs = pairs.to_vec();
        if !pairs.iter().any(|(name, _)| *name == "RELAY_MYHOSTNAME") {
            pairs.push(("RELAY_MYHOSTNAME", "relay.example.org"));
        }
        Configuration::load(&Environment::from(pairs.as_slice())).unwrap()
    }

    #[test]
    fn mistakes_of_every_kind_are_reported_at_once() {
        let mistakes = Configuration::load(&Environment::from([
            ("RELAY_MYHOSTNAME", "relay.example.org"),
            ("RELAYHOST", "a"),
            ("TLS_CERTS", "/c"),
            ("POSTFIX_relayhost", "x"),
            ("POSTFIX_smtpd_tls_auth_only", "no"),
            ("POSTFIXMASTER_lmtp__unix__message_size_limit", "1"),
        ]));
        let problems: Vec<String> =
            mistakes.unwrap_err().problems.iter().map(ToString::to_string).collect();
        let expected = [
            "TLS_CERTS: is not a setting",
            "POSTFIX_relayhost=x: is set by RELAYHOST",
            "POSTFIX_smtpd_tls_auth_only=no: would let clients send passwords unencrypted",
            "POSTFIXMASTER_lmtp__unix__message_size_limit: there is no such service; there are 25__",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem:?} does not start with {expected:?}");
        }
    }

    #[test]
    fn a_password_is_wiped_without_changing_a_file() {
        let mut configuration = configuration(&[
            ("RELAYHOST", "a.example.net"),
            ("RELAYHOST_USERNAME", "me"),
            ("RELAYHOST_PASSWORD", "hunter2"),
            ("RELAYHOST_MAP", "@example.org=c.example.net:587:us"),
            ("RELAYHOST_MAP_PASSWORDS", "@example.org=hunter4"),
        ]);
        let files = |configuration: &Configuration| {
            let main_cf = configuration.main_cf(&Host::default());
            format!("{main_cf}{}", configuration.master_cf())
        };
        let before = files(&configuration);
        configuration.settings.next_hops.wipe_passwords();
        assert_eq!(files(&configuration), before);
    }
}
