//! `relay-init healthcheck`: master is running, every port is listening, and the sidecar answers.
//!
//! It does not speak SMTP, so a check every few seconds leaves no lines in Postfix's log.

use std::fs;
use std::io;
use std::path::Path;

use super::claim::PID_FILE;
use crate::configuration::files::MASTER_CF;
use crate::configuration::master_cf;
use crate::sidecar::{self, MILTER_SOCKET, POLICY_SOCKET, SASL_SOCKET};

/// TCP_LISTEN of the kernel's net/tcp_states.h.
const LISTENING: &str = "0A";

/// Checks the running container; `Err` reports everything that is wrong, on one line.
pub fn check() -> Result<(), String> {
    let master_cf = fs::read_to_string(MASTER_CF)
        .map_err(|error| format!("Postfix was not started: cannot read {MASTER_CF}: {error}"))?;
    let table = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default())
        .concat();
    summary([
        check_master(fs::read_to_string(PID_FILE).ok().as_deref(), program_of),
        check_ports(&master_cf::listening_ports(&master_cf), &table),
        check_socket(POLICY_SOCKET, |path| sidecar::reach(path).map(drop)),
        check_socket(MILTER_SOCKET, |path| sidecar::reach(path).map(drop)),
        // In this protocol the server speaks first, so a sidecar that hangs is noticed here.
        match master_cf::offers_login(&master_cf) {
            true => check_socket(SASL_SOCKET, sidecar::shake_hands),
            false => Ok(()),
        },
    ])
}

fn summary<const N: usize>(checks: [Result<(), String>; N]) -> Result<(), String> {
    let problems: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

fn check_socket(path: &str, check: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), String> {
    check(Path::new(path))
        .map_err(|error| format!("the sidecar does not answer on {path}: {error}"))
}

/// Reads the file without locking it, unlike Postfix's own test: a master that starts at that moment
/// would fail to get the lock.
fn check_master(
    pid_file: Option<&str>,
    program_of: impl FnOnce(u32) -> Option<String>,
) -> Result<(), String> {
    let pid = pid_file.and_then(|text| text.trim().parse().ok());
    let program = pid.and_then(program_of);
    if program.as_deref() != Some("master") {
        return Err("Postfix's master is not running".to_owned());
    }
    Ok(())
}

fn program_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn check_ports(wanted: &[u16], table: &str) -> Result<(), String> {
    let listening: Vec<u16> = table.lines().filter_map(listening_port).collect();
    let missing = wanted.iter().filter(|port| !listening.contains(port));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Err(format!("nothing is listening on port {}", missing.join(", ")));
    }
    Ok(())
}

/// Lines are `sl local_address:port remote_address:port state …`, with hexadecimal numbers.
fn listening_port(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (fields.nth(1)? == LISTENING).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:024B 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   0: 00000000000000000000000000000000:01D1 00000000000000000000000000000000:0000 0A 0:0 0 0 0 0 3
";

    #[test]
    fn everything_that_is_wrong_is_reported() {
        assert_eq!(summary([Ok(()), Ok(())]), Ok(()));
        let two = [Err("one".to_owned()), Ok(()), Err("two".to_owned())];
        assert_eq!(summary(two), Err("one; two".to_owned()));
        let error = check_socket("/nowhere/policy.sock", |path| sidecar::reach(path).map(drop));
        assert_eq!(
            error.unwrap_err(),
            "the sidecar does not answer on /nowhere/policy.sock: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_port_counts_if_it_is_listening_in_either_address_family() {
        assert_eq!(check_ports(&[25, 465], TABLE), Ok(()));
        let missing = check_ports(&[25, 587, 465, 26], TABLE).unwrap_err();
        assert_eq!(missing, "nothing is listening on port 587, 26");
    }

    #[test]
    fn master_is_running_if_the_pid_file_names_a_master() {
        let process = |pid: u32| match pid {
            7 => Some("master".to_owned()),
            8 => Some("smtpd".to_owned()),
            _ => None,
        };
        assert_eq!(check_master(Some("               7\n"), process), Ok(()));
        for pid_file in [None, Some(""), Some("8\n"), Some("9\n"), Some("x")] {
            assert!(check_master(pid_file, process).is_err(), "{pid_file:?}");
        }
    }
}
