//! `relay dns` prints what to publish; once it is published, all of it is right.

use anyhow::{Context, Result, ensure};
use relay_tests::lab::in_a_lab;
use relay_tests::relay::Relay;
use serde_json::Value;

use super::setup::{World, in_world, relay};
use super::words;

const MX: &str = "@ MX 10 home\nhome A 203.0.113.5\n";

/// The exit code for records that are missing or wrong.
const RECORD_WRONG: i32 = 8;

fn dns(relay: &Relay<'_>, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let arguments = [&["dns", "--at", "192.0.2.1"], arguments].concat();
    let output = relay.place().run(&arguments, "")?;
    Ok((output.status.code(), String::from_utf8(output.stdout.clone())?, words(&output)))
}

#[test]
fn what_it_prints_is_right_once_it_is_published() -> Result<()> {
    in_a_lab(|lab| {
        let mut world = World::new(lab, &[("new.test", MX), ("old.test", MX)], "")?;
        let mut relay = in_world(relay(lab))?;
        relay.start()?;
        let (code, printed, said) = dns(&relay, &["new.test"])?;
        assert_eq!(code, Some(RECORD_WRONG), "{said}");
        for expected in [
            "right    new.test MX 10 home.new.test.",
            "PUBLISH  new.test TXT v=spf1 ip4:192.0.2.1 ~all",
            "there is no key: relay dkim add new.test",
            "PUBLISH  _dmarc.new.test TXT v=DMARC1; p=none; rua=mailto:postmaster@new.test",
            "right    relay.example.org A 192.0.2.1",
            "optional _465._tcp.relay.example.org TLSA 3 1 1 ",
            "right    192.0.2.1 PTR relay.example.org.",
        ] {
            ensure!(printed.contains(expected), "{expected:?} is not in {printed}");
        }
        relay.manage_dkim(&["add", "new.test"])?;
        let (_, zone, _) = dns(&relay, &["new.test", "--zone"])?;
        ensure!(zone.contains("; ask the provider: 192.0.2.1 PTR relay.example.org."), "{zone}");
        let pins: Vec<_> =
            zone.lines().filter_map(|line| line.strip_prefix("; in another zone: _")).collect();
        ensure!(pins.len() == 2, "{zone}");
        let pins: String = pins.iter().map(|line| format!("_{line}\n")).collect();

        let published = format!("home A 203.0.113.5\n{zone}");
        world.publish(lab, &[("new.test", published.as_str())], &pins)?;
        let (code, printed, said) = dns(&relay, &["new.test"])?;
        assert_eq!(code, Some(0), "{said}");
        let is_right = |line: &&str| line.starts_with("  right ");
        let others: Vec<_> = printed.lines().skip(1).filter(|line| !is_right(line)).collect();
        ensure!(others.is_empty(), "{others:?}");
        Ok(())
    })
}

#[test]
fn what_is_there_is_kept_and_completed() -> Result<()> {
    in_a_lab(|lab| {
        let old = format!(
            "{MX}@ TXT \"v=spf1 mx include:_spf.old.test -all\"\n_spf TXT \"v=spf1 -all\"\n\
             _dmarc TXT \"v=DMARC1; p=reject\""
        );
        let pins = "_465._tcp.relay TLSA 3 1 1 \
                    0000000000000000000000000000000000000000000000000000000000000000";
        let _world = World::new(lab, &[("old.test", old.as_str())], pins)?;
        let mut relay = in_world(relay(lab))?;
        relay.start()?;
        let (_, printed, _) = dns(&relay, &["old.test", "--json"])?;
        let listed: Value = serde_json::from_str(&printed)?;
        let records = listed[0]["records"].as_array().context("no records")?;
        for (name, kind, value, state) in [
            ("old.test", "TXT", "v=spf1 mx include:_spf.old.test ip4:192.0.2.1 -all", "change"),
            ("_dmarc.old.test", "TXT", "v=DMARC1; p=reject", "right"),
            ("_465._tcp.relay.example.org", "TLSA", "3 1 1 ", "change"),
            ("_587._tcp.relay.example.org", "TLSA", "3 1 1 ", "optional"),
        ] {
            let is_it = |row: &&Value| {
                let found = row["value"].as_str().unwrap_or_default();
                row["name"] == name && row["type"] == kind && found.starts_with(value)
            };
            let row = records.iter().find(is_it).with_context(|| format!("{value}: {printed}"))?;
            assert_eq!(row["state"], state, "{row}");
        }
        Ok(())
    })
}
