//! Nobody answers.

use std::time::{Duration, Instant};

use anyhow::Result;
use relay_tests::lab::in_a_lab;
use relay_tests::namespace::Namespace;

use super::setup::in_world;
use super::{doctor, fault};

/// What `relay doctor` promises.
const AT_MOST: Duration = Duration::from_secs(15);

#[test]
fn without_network_and_dns_it_ends_in_time_and_claims_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let nowhere = Namespace::new()?;
        // Packets leave and nothing comes back, which is worse than a refusal.
        nowhere.cable("10.99.0.1/24", &Namespace::new()?, "10.99.0.3/24")?;
        nowhere.ip("neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev cable0 nud permanent
\
             route add default via 10.99.0.2
")?;
        let relay = lab.relay_in("away", &nowhere).env("RELAY_MYHOSTNAME", "relay.example.org");
        let relay = in_world(relay)?;
        for resolver in ["10.99.0.2", "127.0.0.53"] {
            relay.use_name_server(resolver.parse()?)?;
            let begun = Instant::now();
            let report = doctor(&relay, &["example.org", "example.net"])?;
            assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
            for finding in report.findings() {
                let is_fact = finding["check"] == "here" || finding["check"] == "dkim";
                assert!(finding["state"] == "skipped" || is_fact, "{finding}");
            }
            report.check(&fault(
                "here",
                "resolver",
                "fail",
                "does not answer",
                "/etc/resolv.conf",
            ))?;
            report.check(&fault("spf", "example.org", "skipped", "DNS gave no answer", ""))?;
            assert_ne!(report.json["can_mail_arrive"], "yes");
        }
        Ok(())
    })
}

#[test]
fn what_is_no_domain_or_check_is_said() -> Result<()> {
    in_a_lab(|lab| {
        let relay = in_world(lab.relay())?;
        for (arguments, expected) in [
            (&["doctor", "exa mple"][..], "\"exa mple\" is no domain: write example.org"),
            (&["doctor", "localhost"], "\"localhost\" is no domain"),
            (&["doctor", "--only", "nothing"], "possible values: name, way-out, bounces"),
            (&["doctor", "--send", "you"], "\"you\" is no address: write you@example.com"),
            (&["doctor", "--send", "you@example.com"], "name one with --from"),
            (&["doctor", "--from", "you@example.com"], "--send"),
        ] {
            let output = relay.place().run(arguments, "")?;
            let said = super::words(&output);
            assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
        }
        Ok(())
    })
}
