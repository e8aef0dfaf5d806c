//! Without a smarthost, mail goes straight to the recipient's server.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use relay_tests::dns::Dns;
use relay_tests::lab::{HOME, HOME_NETWORK, in_a_lab};
use relay_tests::message::{message, split_received};
use relay_tests::namespace::Namespace;
use relay_tests::sink::Sink;

const RECIPIENTS_SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

#[test]
fn mail_is_delivered_to_the_server_that_dns_names() -> Result<()> {
    in_a_lab(|lab| {
        let outside = Namespace::new()?;
        let inside = Namespace::new()?;
        inside.cable("10.99.0.1/24", &outside, &format!("{RECIPIENTS_SERVER}/24"))?;
        inside.ip("address add 192.0.2.1/32 dev lo\nroute add local 203.0.113.0/24 dev lo\n")?;
        let sink = Sink::listen(&outside, SocketAddr::new(RECIPIENTS_SERVER.into(), 25))?;
        let _dns = Dns::serve(&inside, &[("example.net", RECIPIENTS_SERVER)])?;
        let relay = lab.relay_in("relay", &inside).env("ALLOWED_NETWORKS", HOME_NETWORK).start()?;

        let sent = message("direct");
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &sent)?.expect(250)?;

        let arrived = sink.one_message()?;
        assert_eq!(arrived.recipients, ["bob@example.net"]);
        assert_eq!(split_received(&arrived.data)?.1, sent);
        Ok(())
    })
}
