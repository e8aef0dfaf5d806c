//! One next hop: host, port, login and TLS level.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::environment::Problem;
use super::hostname;
use super::reader::Reader;
use super::secret::Secret;
use super::tls_level::TlsLevel;
use super::variables::Variable;

/// Message submission, which takes a login (RFC 6409 3.1).
const SUBMISSION_PORT: u16 = 587;
/// SMTP between servers, without a login (RFC 5321 4.5.4.2).
const SMTP_PORT: u16 = 25;
/// Submission with implicit TLS (RFC 8314 3.3).
const IMPLICIT_TLS_PORT: u16 = 465;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    host: Host,
    port: u16,
    pub login: Option<Login>,
    pub level: TlsLevel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    /// `None` once it was handed to Postfix and wiped.
    pub password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(String),
    Address(IpAddr),
}

/// The variables of one next hop.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    pub host: &'static Variable,
    pub username: &'static Variable,
    pub password: &'static Variable,
}

impl NextHop {
    pub fn new(host: &str, login: Option<Login>) -> Result<Self, String> {
        let (host, port) = parse_host_and_port(host)?;
        if login.is_some() && matches!(host, Host::Address(_)) {
            return Err(
                "with a login the next hop must be a host name, because its certificate is checked \
                 against it; give the address a name with extra_hosts in compose.yaml"
                    .to_owned(),
            );
        }
        let port = port.unwrap_or(if login.is_some() { SUBMISSION_PORT } else { SMTP_PORT });
        let level = TlsLevel::default_for(login.is_some(), port == IMPLICIT_TLS_PORT);
        Ok(Self { host, port, login, level })
    }

    pub fn implicit_tls(&self) -> bool {
        self.port == IMPLICIT_TLS_PORT
    }

    /// Why this next hop cannot be used with a TLS level; `None` if it can.
    pub fn objection_to(&self, level: TlsLevel) -> Option<&'static str> {
        level.objection(self.login.is_some(), self.implicit_tls())
    }

    /// Wipes the password. That there is a login stays known, because main.cf depends on it.
    pub fn wipe_password(&mut self) {
        if let Some(login) = &mut self.login {
            login.password = None;
        }
    }

    /// The line for Postfix's password table, whose key is the next hop as `relayhost` has it. `None`
    /// without a login, and after the password was wiped.
    pub fn password_line(&self) -> Option<Secret> {
        let login = self.login.as_ref()?;
        let password = login.password.as_ref()?;
        Some(Secret::new(format!("{self} {}:{}\n", login.username, password.reveal())))
    }
}

/// The syntax of Postfix's `relayhost`, which is also the key in the password table. The brackets
/// suppress the MX lookup: the next hop is this very host.
impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "[{name}]:{}", self.port),
            Host::Address(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// Reads the three variables of a next hop.
pub fn read(reader: &mut Reader<'_>, names: Names) -> Option<NextHop> {
    let username = reader.parse(names.username, parse_username);
    let password = reader.secret(names.password);
    if let Some(Err(advice)) = password.as_ref().map(check_password) {
        reader.problems.push(Problem::without_value(names.password.name, advice));
    }
    let wants_login = reader.is_set(names.username) || reader.is_set(names.password);
    for variable in [names.host, names.username, names.password] {
        if wants_login && !reader.is_set(variable) {
            let advice = format!(
                "must be set too, because a login at the next hop needs {}, {} and {}",
                names.host.name, names.username.name, names.password.name
            );
            reader.problems.push(Problem::without_value(variable.name, advice));
        }
    }
    let text = reader.text(names.host)?;
    let login = match (username, password) {
        (Some(username), Some(password)) => Some(Login { username, password: Some(password) }),
        // What is missing was reported; the host is still checked as one with a login.
        _ if wants_login => Some(Login { username: String::new(), password: None }),
        _ => None,
    };
    let hop = NextHop::new(&text, login);
    hop.map_err(|advice| reader.problems.push(mistake_in_host(names, &text, &advice))).ok()
}

fn mistake_in_host(names: Names, text: &str, advice: &str) -> Problem {
    if text.contains('@') {
        // There may be a password before the @, so the value is not shown.
        let advice = format!(
            "{advice}; set the login with {} and {}",
            names.username.name, names.password.name
        );
        return Problem::without_value(names.host.name, advice);
    }
    Problem::new(names.host.name, text, advice)
}

fn parse_host_and_port(text: &str) -> Result<(Host, Option<u16>), String> {
    const FORMS: &str = "must be a host like mail.example.org, mail.example.org:587, 192.0.2.1:25 \
                         or [2001:db8::1]:25";
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Err(format!(
            "must have brackets around an IPv6 address; write [{address}]:{SMTP_PORT}"
        ));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']').ok_or(FORMS)? {
            (host, "") => (host, None),
            (host, behind) => (host, Some(behind.strip_prefix(':').ok_or(FORMS)?)),
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = match host.parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(hostname::target_name(host).map_err(|why| format!("{FORMS}; {why}"))?),
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, String> {
    let is_number = text.chars().all(|character| character.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if is_number && port > 0 => Ok(port),
        _ => Err("the port after the colon must be a number from 1 to 65535".to_owned()),
    }
}

/// Checks that a user name fits into Postfix's table, which has `name:password` on one line and strips
/// spaces around it.
pub fn parse_username(text: &str) -> Result<String, String> {
    if text.contains(':') {
        return Err(
            "must not contain a colon, which separates name and password in Postfix's table"
                .to_owned(),
        );
    }
    if text.contains(char::is_control) || text.starts_with(' ') {
        return Err("must be one line and not start with a space".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks that a password fits into Postfix's table.
pub fn check_password(password: &Secret) -> Result<(), String> {
    let text = password.reveal();
    if text.contains(char::is_control) || text.ends_with(' ') {
        return Err("must be one line and not end with a space".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::environment::Environment;
    use super::super::variables::{RELAYHOST, RELAYHOST_PASSWORD, RELAYHOST_USERNAME};
    use super::*;

    const NAMES: Names =
        Names { host: &RELAYHOST, username: &RELAYHOST_USERNAME, password: &RELAYHOST_PASSWORD };

    fn read_from(pairs: &[(&str, &str)]) -> (Option<NextHop>, Vec<String>) {
        let environment = Environment::from(pairs);
        let mut reader = Reader::new(&environment);
        let next_hop = read(&mut reader, NAMES);
        (next_hop, reader.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn relayhost_is_rewritten_to_postfix_s_syntax() {
        for (text, without_login, with_login) in [
            ("mail.example.org", "[mail.example.org]:25", "[mail.example.org]:587"),
            ("mail.example.org:2525", "[mail.example.org]:2525", "[mail.example.org]:2525"),
            ("[mail.example.org]", "[mail.example.org]:25", "[mail.example.org]:587"),
            ("[mail.example.org]:465", "[mail.example.org]:465", "[mail.example.org]:465"),
            ("next_hop", "[next_hop]:25", "[next_hop]:587"),
            ("192.0.2.1", "[192.0.2.1]:25", "[192.0.2.1]:587"),
            ("[192.0.2.1]:26", "[192.0.2.1]:26", "[192.0.2.1]:26"),
            ("[2001:db8::1]", "[2001:db8::1]:25", "[2001:db8::1]:587"),
            ("[2001:db8::1]:26", "[2001:db8::1]:26", "[2001:db8::1]:26"),
        ] {
            let (next_hop, problems) = read_from(&[("RELAYHOST", text)]);
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(next_hop.unwrap().to_string(), without_login);
            let login = [("RELAYHOST_USERNAME", "me"), ("RELAYHOST_PASSWORD", "hunter2")];
            let (next_hop, problems) =
                read_from(&[[("RELAYHOST", text)].as_slice(), &login].concat());
            // Postfix does not match a certificate against an address.
            let is_address = without_login.contains("192.0.2.1") || without_login.contains("::");
            let expected =
                if is_address { "with a login the next hop must be a host name" } else { "" };
            assert!(problems.concat().contains(expected), "{problems:?}");
            assert_eq!(problems.is_empty(), !is_address, "{problems:?}");
            let Some(next_hop) = next_hop else { continue };
            assert_eq!(next_hop.to_string(), with_login);
            assert_eq!(next_hop.implicit_tls(), text.ends_with(":465"));
            assert_eq!(next_hop.login.unwrap().password.unwrap().reveal(), "hunter2");
        }
    }

    #[test]
    fn an_invalid_host_is_refused() {
        for (text, expected) in [
            ("2001:db8::1", "write [2001:db8::1]:25"),
            ("mail.example.org:", "a number from 1 to 65535"),
            ("mail.example.org:0", "a number from 1 to 65535"),
            ("mail.example.org:smtp", "a number from 1 to 65535"),
            ("mail.example.org:70000", "a number from 1 to 65535"),
            ("mail.example.org:+25", "a number from 1 to 65535"),
            ("[mail.example.org", "must be a host like"),
            ("[mail.example.org]25", "must be a host like"),
            ("[]:25", "must be a host like"),
            ("smtp://mail.example.org", "a number from 1 to 65535"),
            ("mail.example.org\nmynetworks=0.0.0.0/0", "only letters, digits"),
            ("$mydomain", "only letters, digits"),
            ("1.2.3", "is not an IPv4 address"),
        ] {
            let (next_hop, problems) = read_from(&[("RELAYHOST", text)]);
            assert_eq!(next_hop, None);
            assert!(problems.concat().contains(expected), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_login_inside_relayhost_is_not_shown() {
        let (_, problems) = read_from(&[("RELAYHOST", "me:hunter2@mail.example.org")]);
        let problems = problems.concat();
        assert!(problems.contains("set the login with RELAYHOST_USERNAME"), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn a_login_is_complete_or_absent() {
        const HOST: (&str, &str) = ("RELAYHOST", "mail.example.org");
        const NAME: (&str, &str) = ("RELAYHOST_USERNAME", "me");
        const PASSWORD: (&str, &str) = ("RELAYHOST_PASSWORD", "hunter2");
        for (set, missing) in [
            (vec![HOST, NAME], vec!["RELAYHOST_PASSWORD"]),
            (vec![HOST, PASSWORD], vec!["RELAYHOST_USERNAME"]),
            (vec![NAME, PASSWORD], vec!["RELAYHOST"]),
            (vec![NAME], vec!["RELAYHOST", "RELAYHOST_PASSWORD"]),
        ] {
            let (_, problems) = read_from(&set);
            let named: Vec<&str> = problems
                .iter()
                .filter_map(|text| Some(text.split_once(": must be set too")?.0))
                .collect();
            assert_eq!(named, missing);
        }
    }

    #[test]
    fn credentials_that_do_not_fit_postfix_s_table_are_refused_and_passwords_not_shown() {
        for (name, password, expected) in [
            ("me:you", "x", "RELAYHOST_USERNAME=me:you: must not contain a colon"),
            ("me\nyou", "x", "RELAYHOST_USERNAME=me\\nyou: must be one line"),
            (" me", "x", "RELAYHOST_USERNAME= me: must be one line and not start"),
            ("me", "hunter2 ", "RELAYHOST_PASSWORD: must be one line and not end"),
            ("me", "hunter2\nx", "RELAYHOST_PASSWORD: must be one line"),
        ] {
            let (_, problems) = read_from(&[
                ("RELAYHOST", "mail.example.org"),
                ("RELAYHOST_USERNAME", name),
                ("RELAYHOST_PASSWORD", password),
            ]);
            let problems = problems.concat();
            assert!(problems.starts_with(expected), "{problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
    }
}
