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

    /// The name, or the address where there is none.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
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
    let username = reader.parse_unshown(names.username, parse_username);
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
    if may_contain_login(text) {
        let advice = format!(
            "{advice}; set the login with {} and {}",
            names.username.name, names.password.name
        );
        return Problem::without_value(names.host.name, advice);
    }
    Problem::new(names.host.name, text, advice)
}

/// Whether there is more than a host and a port, and so perhaps a password: people write
/// `name:password@host`, or `host:587:name:password` as in RELAYHOST_MAP, or copy
/// `[host]:587 name:password` from Postfix's table.
fn may_contain_login(text: &str) -> bool {
    let behind_brackets = text.rsplit(']').next().unwrap_or(text);
    text.contains(['@', ' ', '\t', '\n']) || behind_brackets.matches(':').count() > 1
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
mod tests;
