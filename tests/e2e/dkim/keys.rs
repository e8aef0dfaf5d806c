//! Keys: made, asked for in DNS, followed by the next, taken over.

use anyhow::{Context, Result};
use relay_tests::dkim::{NAME_SERVER, NameServer};
use relay_tests::lab::{HOME, in_a_lab};
use relay_tests::relay::Relay;

use super::{BOB, message, selector, signatures, signing_relay};

#[test]
fn a_key_signs_when_dns_has_it_and_dns_trouble_changes_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().env("DKIM_DOMAINS", "example.org").build()?;
        relay.use_name_server(NAME_SERVER.into())?;
        relay.start()?;
        relay.sidecar()?.output_with("DKIM keys made")?;
        let send = |relay: &Relay<'_>, expected: &[usize]| -> Result<()> {
            let mut client = relay.session(HOME, 25)?;
            client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
            let arrived = sink.wait_for(expected.len())?;
            assert_eq!(arrived.iter().map(signatures).collect::<Vec<_>>(), expected);
            Ok(())
        };
        // No name server at all: the key waits.
        let silent = relay.dkim(&["check"])?;
        assert_eq!(silent.status.code(), Some(1), "{silent:?}");
        send(&relay, &[0])?;
        // One that says there is no record.
        let server = NameServer::serve(lab, &[("example.org", "")])?;
        let missing = relay.dkim(&["check", "example.org"])?;
        assert_eq!(missing.status.code(), Some(8), "{missing:?}");
        assert!(String::from_utf8_lossy(&missing.stdout).contains("there is no record"));
        send(&relay, &[0, 0])?;
        drop(server);
        // One that has them.
        let records = relay.dkim_records("example.org")?;
        let server = NameServer::serve(lab, &[("example.org", &records)])?;
        let said = relay.manage_dkim(&["check", "example.org"])?;
        assert_eq!(said.matches("the record is right").count(), 2, "{said}");
        send(&relay, &[0, 0, 2])?;
        drop(server);
        // Silence again, and a restart, at which DNS is asked.
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start()?;
        relay.sidecar()?.output_with("DNS does not answer; this key stays as it is")?;
        send(&relay, &[0, 0, 2, 2])?;
        // The record is gone for certain.
        let _server = NameServer::serve(lab, &[("example.org", "")])?;
        assert_eq!(relay.dkim(&["check"])?.status.code(), Some(8));
        send(&relay, &[0, 0, 2, 2, 0])
    })
}

#[test]
fn the_relay_notices_at_its_start_that_dns_has_a_key() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        relay.use_name_server(NAME_SERVER.into())?;
        relay.manage_dkim(&["add", "example.org"])?;
        let _server =
            NameServer::serve(lab, &[("example.org", &relay.dkim_records("example.org")?)])?;
        relay.start()?;
        let ed25519 = selector(&relay, "example.org", "ed25519")?;
        relay
            .sidecar()?
            .output_with(&format!("it signs from now on dkim=example.org/{ed25519}"))?;
        let rsa = selector(&relay, "example.org", "rsa")?;
        relay.sidecar()?.output_with(&format!("it signs from now on dkim=example.org/{rsa}"))?;
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
        assert_eq!(signatures(&sink.one_message()?), 2);
        Ok(())
    })
}

#[test]
fn the_next_keys_take_over_when_dns_has_them() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let (relay, server) = signing_relay(lab, lab.relay_to_sink(), &["example.org"])?;
        let old = selector(&relay, "example.org", "rsa")?;
        // Keys are told apart by the second in which they were made.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        relay.manage_dkim(&["rotate", "example.org"])?;
        let new = format!("{old}-2");
        let send = |expected: &str| -> Result<()> {
            let count = sink.messages().len() + 1;
            let mut client = relay.session(HOME, 25)?;
            client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
            let arrived = sink.wait_for(count)?;
            let text =
                String::from_utf8_lossy(&arrived.last().context("nothing")?.data).into_owned();
            assert!(text.contains(&format!("s={expected};")), "{expected}: {text}");
            Ok(())
        };
        send(&old)?;
        let again = relay.dkim(&["rotate", "example.org"])?;
        assert_eq!(again.status.code(), Some(7), "{again:?}");
        drop(server);
        let all = relay.dkim_records("example.org")?;
        let _server = NameServer::serve(lab, &[("example.org", &all)])?;
        let said = relay.manage_dkim(&["check", "example.org"])?;
        assert_eq!(said.matches("replaced, but leave its record until").count(), 2, "{said}");
        send(&new)
    })
}

#[test]
fn keys_are_managed_by_command() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay_to_sink().build()?;
        let said = relay.manage_dkim(&["add", "Example.ORG"])?;
        assert!(said.contains("._domainkey.example.org. IN TXT ( \"v=DKIM1; k=rsa; p="), "{said}");
        assert!(said.contains("value  v=DKIM1; k=ed25519; p="), "{said}");
        let code = |arguments: &[&str]| -> Result<Option<i32>> {
            Ok(relay.dkim(arguments)?.status.code())
        };
        assert_eq!(code(&["add", "example.org"])?, Some(3));
        assert_eq!(code(&["show", "other.test"])?, Some(4));
        assert_eq!(code(&["remove", "example.org", "nothing"])?, Some(4));
        assert_eq!(code(&["add", "org"])?, Some(5));
        let rsa = selector(&relay, "example.org", "rsa")?;
        let pem = relay.manage_dkim(&["export", "example.org", &rsa])?;
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        lab.evidence.secret(pem.lines().nth(1).context("a short key")?);
        let import = ["dkim", "import", "example.net", "--key", "-", "--selector", "s1"];
        let imported = relay.place().run(&import, &pem)?;
        assert!(imported.status.success(), "{imported:?}");
        let again = relay.manage_dkim(&["export", "example.net", "s1"])?;
        assert_eq!(again, pem);
        let list = relay.manage_dkim(&["list"])?;
        assert_eq!(list.matches("waits for DNS").count(), 3, "{list}");
        relay.manage_dkim(&["remove", "example.net", "s1"])?;
        assert_eq!(code(&["show", "example.net"])?, Some(4));
        Ok(())
    })
}
