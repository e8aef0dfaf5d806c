//! Faults in what senders' domains publish: a domain for each, all in one run.

use anyhow::Result;
use relay_tests::lab::in_a_lab;

use super::setup::{World, in_world, relay};
use super::{Fault, doctor, fault};

/// All that is right for a domain but what the test spoils.
const MX: &str = "@ MX 10 home\nhome A 203.0.113.5\n";
const SPF: &str = "@ TXT \"v=spf1 ip4:192.0.2.1 -all\"\n";
const DMARC: &str = "_dmarc TXT \"v=DMARC1; p=none; rua=mailto:p@DOMAIN\"\n";

/// Domain, which of the three above it has as they should be, its own records, and what has to be found.
const FAULTS: &[(&[&str], &str, Fault)] = &[
    (
        &[SPF, DMARC],
        "@ MX 0 .",
        fault("bounces", "d00.test", "fail", "null MX", "d00.test. IN MX 10"),
    ),
    (&[SPF, DMARC], "", fault("bounces", "d01.test", "fail", "neither MX nor address", "IN MX 10")),
    (
        &[SPF, DMARC],
        "@ A 203.0.113.9",
        fault("bounces", "d02.test", "warn", "has no MX", "IN MX 10"),
    ),
    (
        &[MX, DMARC],
        "",
        fault(
            "spf",
            "d03.test",
            "fail",
            "has no SPF record",
            "d03.test. IN TXT \"v=spf1 ip4:192.0.2.1 ~all\"",
        ),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 mx -all\"\n@ TXT \"v=spf1 a:home.d04.test ~all\"",
        fault("spf", "d04.test", "fail", "has 2 SPF records", "\"v=spf1 "),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 ipv4:192.0.2.1 -all\"",
        fault("spf", "d05.test", "fail", "a mistake in it", "ip4:192.0.2.1"),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 mx -all\"",
        fault("spf", "d06.test", "fail", "may not send (fail)", "\"v=spf1 mx ip4:192.0.2.1 -all\""),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 mx ~all\"",
        fault(
            "spf",
            "d07.test",
            "fail",
            "may not send (softfail)",
            "\"v=spf1 mx ip4:192.0.2.1 ~all\"",
        ),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 ip4:192.0.2.1 +all\"",
        fault("spf", "d08.test", "warn", "+all lets everybody", "\"v=spf1 ip4:192.0.2.1 ~all\""),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 ip4:192.0.2.1 ?all\"",
        fault("spf", "d09.test", "warn", "?all says nothing", "~all"),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 ip4:192.0.2.1\"",
        fault("spf", "d10.test", "warn", "does not end in ~all or -all", "~all"),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 ptr:d11.test ip4:192.0.2.1 -all\"",
        fault("spf", "d11.test", "warn", "uses ptr", "instead of ptr"),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 include:gone.test ip4:192.0.2.1 -all\"",
        fault("spf", "d12.test", "fail", "includes gone.test", "take include:gone.test out"),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 include:a.d13.test include:b.d13.test ip4:192.0.2.1 -all\"\n\
         a TXT \"v=spf1 mx a a:home.d13.test a:x.d13.test a:y.d13.test -all\"\n\
         b TXT \"v=spf1 mx a a:home.d13.test a:x.d13.test a:y.d13.test -all\"\nx A 203.0.113.1\ny A 203.0.113.2",
        fault("spf", "d13.test", "fail", "costs 12 DNS queries", "instead of include:"),
    ),
    (
        &[MX, DMARC],
        "@ TXT \"v=spf1 redirect=r.d14.test\"\nr TXT \"v=spf1 mx:d14.test -all\"",
        fault(
            "spf",
            "d14.test",
            "fail",
            "may not send (fail)",
            "ip4:192.0.2.1 redirect=r.d14.test",
        ),
    ),
    (
        &[MX, SPF],
        "",
        fault(
            "dmarc",
            "d15.test",
            "warn",
            "has no DMARC record",
            "_dmarc.d15.test. IN TXT \"v=DMARC1",
        ),
    ),
    (
        &[MX, SPF],
        "_dmarc TXT \"v=DMARC1; p=none\"\n_dmarc TXT \"v=DMARC1; p=reject\"",
        fault("dmarc", "d16.test", "fail", "has 2 records", "v=DMARC1; p=none"),
    ),
    (
        &[MX, SPF],
        "_dmarc TXT \"v=DMARC1; p=perhaps\"",
        fault("dmarc", "d17.test", "fail", "a mistake in it", "v=DMARC1; p=none"),
    ),
    (
        &[MX, SPF],
        "_dmarc TXT \"v=DMARC1; rua=mailto:p@d18.test\"",
        fault("dmarc", "d18.test", "fail", "a mistake in it", "v=DMARC1; p=none"),
    ),
    (
        &[MX, SPF],
        "_dmarc TXT \"v=DMARC1; p=none\"",
        fault("dmarc", "d19.test", "warn", "nobody gets reports", "rua=mailto:postmaster@d19.test"),
    ),
    (
        &[MX, SPF],
        "_dmarc TXT \"v=DMARC1; p=none; rua=mailto:x@example.org\"",
        fault(
            "dmarc",
            "d20.test",
            "warn",
            "has not said that it wants them",
            "d20.test._report._dmarc.example.org",
        ),
    ),
    (
        &[MX, SPF, DMARC],
        "",
        fault("dkim", "d21.test", "warn", "has no key", "relay dkim add d21.test"),
    ),
];

#[test]
fn every_fault_of_a_domain_is_found_with_its_remedy() -> Result<()> {
    in_a_lab(|lab| {
        let name = |number: usize| format!("d{number:02}.test");
        let zones: Vec<(String, String)> = FAULTS
            .iter()
            .enumerate()
            .map(|(number, (right, own, _))| {
                (name(number), format!("{}{own}", right.concat().replace("DOMAIN", &name(number))))
            })
            .collect();
        let zones: Vec<_> =
            zones.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        // A zone that is served and lacks the name.
        let zones = [zones.as_slice(), &[("gone.test", "")]].concat();
        let _world = World::new(lab, &zones, "")?;
        let relay = in_world(relay(lab))?;
        let domains: Vec<String> = (0..FAULTS.len()).map(name).collect();
        let mut arguments: Vec<&str> = domains.iter().map(String::as_str).collect();
        for check in ["bounces", "spf", "dmarc", "dkim"] {
            arguments.extend(["--only", check]);
        }
        let report = doctor(&relay, &arguments)?;
        for (_, _, fault) in FAULTS {
            report.check(fault)?;
        }
        assert_eq!(report.code, Some(11));
        assert_eq!(report.json["can_mail_arrive"], "not_yet");
        Ok(())
    })
}

/// Faults in the records of keys, and domains that are nobody's.
#[test]
fn faults_of_keys_and_a_domain_that_does_not_exist_are_found() -> Result<()> {
    const PLANTED: &[Fault] = &[
        fault(
            "dkim",
            "_domainkey.missing.test",
            "fail",
            "there is no record",
            "relay dkim show missing.test",
        ),
        fault("dkim", "_domainkey.revoked.test", "fail", "revoked", "relay dkim show revoked.test"),
        fault("dkim", "_domainkey.cut.test", "fail", "cut off", "relay dkim show cut.test"),
        fault("dkim", "_domainkey.other.test", "fail", "another key", "relay dkim show other.test"),
        fault("dkim", "_domainkey.testing.test", "warn", "t=y", "relay dkim show testing.test"),
        fault("dmarc", "sub.strict.test", "fail", "adkim=s", "relay dkim add sub.strict.test"),
        fault("bounces", "nowhere.example.org", "fail", "does not exist", "ALLOWED_SENDER_DOMAINS"),
    ];
    in_a_lab(|lab| {
        let relay = in_world(relay(lab))?;
        let mut zones = Vec::new();
        for zone in [
            "missing.test",
            "revoked.test",
            "cut.test",
            "other.test",
            "testing.test",
            "strict.test",
        ] {
            relay.manage_dkim(&["add", zone])?;
        }
        let lines = |zone: &str| relay.dkim_records(zone);
        let (testing, other) = (lines("testing.test")?, lines("strict.test")?);
        let selectors = |zone: &str| -> Result<Vec<String>> {
            let lines = lines(zone)?;
            Ok(lines.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect())
        };
        let all = |zone: &str, value: &str| -> Result<String> {
            Ok(selectors(zone)?.iter().map(|name| format!("{name} IN TXT \"{value}\"\n")).collect())
        };
        zones.push(("missing.test", String::new()));
        zones.push(("revoked.test", all("revoked.test", "v=DKIM1; k=rsa; p=")?));
        zones.push(("cut.test", all("cut.test", "v=DKIM1; k=rsa; p=MIIBIjANBgkq")?));
        zones.push(("other.test", other.replace("strict.test", "other.test")));
        // The RSA record's first string is as long as a string may be.
        zones.push(("testing.test", testing.replace("k=ed25519;", "k=ed25519; t=y;")));
        let strict = format!(
            "{}\n_dmarc TXT \"v=DMARC1; p=reject; adkim=s\"\nsub A 203.0.113.1",
            lines("strict.test")?
        );
        zones.push(("strict.test", strict));
        let zones: Vec<_> = zones.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let _world = World::new(lab, &zones, "")?;
        let report = doctor(&relay, &["sub.strict.test", "nowhere.example.org", "--quick"])?;
        for fault in PLANTED {
            report.check(fault)?;
        }
        Ok(())
    })
}
