//! Clients that others wrote for the protocols the sidecar speaks.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use relay_tests::lab::{HOME_NETWORK, in_a_lab};
use relay_tests::requirements::reference_client;

const PASSWORD: &str = "correct horse battery";

fn run(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("running {command:?}"))
}

/// Logs in by Dovecot's own tool. It takes the password as an argument; this one is no secret.
fn doveadm(socket: &Path, name: &str, password: &str) -> Result<Output> {
    let mut command = Command::new(reference_client("doveadm")?);
    run(command.args(["auth", "test", "-a"]).arg(socket).args(["-x", "secured", name, password]))
}

#[test]
fn doveadm_logs_in_with_the_right_password_only() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.add_user("alice", PASSWORD)?;
        let socket = relay.socket("sasl.sock");
        let output = doveadm(&socket, "alice", PASSWORD)?;
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout)?;
        assert!(said.contains("auth succeeded") && said.contains("user=alice"), "{said}");
        for (name, password) in [("alice", "wrong"), ("nobody", PASSWORD)] {
            let output = doveadm(&socket, name, password)?;
            // EX_NOPERM: a refusal, where trouble would be EX_TEMPFAIL.
            assert_eq!(output.status.code(), Some(77), "{output:?}");
        }
        Ok(())
    })
}

#[test]
fn miltertest_sees_one_message_accepted_and_one_refused() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).build()?;
        relay.start_sidecar()?;
        let script = lab.evidence.directory()?.join("milter.lua");
        std::fs::write(&script, include_str!("miltertest.lua"))?;
        let mut command = Command::new(reference_client("miltertest")?);
        let socket = format!("socket=unix:{}", relay.socket("milter.sock").display());
        let output = run(command.arg("-D").arg(socket).arg("-s").arg(&script))?;
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout)?.contains("accepted and refused"));
        Ok(())
    })
}
