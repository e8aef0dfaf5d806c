use super::*;

#[test]
fn networks_are_read_in_every_way_people_write_them() {
    let cases = [
        ("192.0.2.0/24", vec!["192.0.2.0/24"]),
        ("192.0.2.7", vec!["192.0.2.7/32"]),
        ("2001:db8::/32", vec!["2001:db8::/32"]),
        ("[::1]/128", vec!["::1/128"]),
        ("[::1]", vec!["::1/128"]),
        ("::1", vec!["::1/128"]),
        ("127.0.0.0/8 [::1]/128", vec!["127.0.0.0/8", "::1/128"]),
        (
            "10.0.0.0/8,192.168.0.0/16 , 172.16.0.0/12",
            vec!["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"],
        ),
        ("::ffff:192.0.2.0/120", vec!["192.0.2.0/24"]),
        ("::ffff:192.0.2.7", vec!["192.0.2.7/32"]),
        ("", vec![]),
    ];
    for (list, expected) in cases {
        let expected: Vec<IpNet> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(parse(list).unwrap(), expected, "{list}");
    }
}

#[test]
fn a_network_that_is_wrong_is_named_with_what_would_be_right() {
    let cases = [
        ("0.0.0.0/0", "whole Internet"),
        ("::/0", "whole Internet"),
        ("::ffff:0:0/96", "whole Internet"),
        ("::ffff:0:0/80", "covers all IPv4"),
        ("::/64", "covers all IPv4"),
        ("192.168.1.5/16", "write 192.168.0.0/16 for the network"),
        ("192.0.2.0/33", "from 1 to 32"),
        ("192.0.2.0/+8", "from 1 to 32"),
        ("192.0.2.0/008", "from 1 to 32"),
        ("192.0.2.0/", "from 1 to 32"),
        ("2001:db8::/129", "from 1 to 128"),
        ("192.0.2", "is not a network"),
        ("192.0.02.1", "is not a network"),
        ("example.org", "is not a network"),
        ("!192.0.2.1", "is not a network"),
        ("[192.0.2.1]", "is not a network"),
        ("fe80::1%eth0", "is not a network"),
    ];
    for (list, expected) in cases {
        let mistakes = parse(list).unwrap_err();
        assert!(mistakes[0].contains(expected), "{list}: {mistakes:?}");
        assert!(mistakes[0].contains(list), "{list}: {mistakes:?}");
    }
    assert_eq!(parse("0.0.0.0/0 10.0.0.0/8 nonsense").unwrap_err().len(), 2);
}

#[test]
fn networks_that_are_much_of_the_internet_are_refused_alone_or_together() {
    for (list, expected) in [
        ("0.0.0.0/1", "0.0.0.0/1"),
        ("64.0.0.0/3", "64.0.0.0/3"),
        ("8.0.0.0/7", "8.0.0.0/7"),
        ("10.0.0.0/7", "10.0.0.0/7"),
        ("2000::/3", "2000::/3"),
        ("2a00::/15", "2a00::/15"),
        ("::ffff:64.0.0.0/99", "64.0.0.0/3"),
        ("0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0"),
        ("8.0.0.0/9 8.128.0.0/9 9.0.0.0/8", "8.0.0.0/7"),
        ("10.0.0.0/8 192.0.2.0/24 64.0.0.0/3", "64.0.0.0/3"),
    ] {
        let mistakes = check_size(&parse(list).unwrap()).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with(expected), "{list}: {mistakes:?}");
    }
}

#[test]
fn large_public_networks_are_taken_with_a_warning_that_counts() {
    for (list, expected) in [
        ("8.0.0.0/8", Some("8.0.0.0/8 lets 16,777,216 public addresses")),
        ("172.0.0.0/8", Some("172.0.0.0/8 lets 16,777,216 public addresses")),
        ("198.18.0.0/15", Some("198.18.0.0/15 lets 131,072 public addresses")),
        ("2a00::/16", Some("2a00::/16 lets 281,474,976,710,656 public /64 networks")),
        ("2a02:db00::/28", Some("2a02:db00::/28 lets 68,719,476,736 public /64 networks")),
        ("8.8.0.0/16", None),
        ("2a02:db00::/32", None),
        ("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8 ::1", None),
        ("100.64.0.0/10 169.254.0.0/16 fc00::/7 fe80::/10 2001:db8::/32", None),
        ("", None),
    ] {
        let warnings = check_size(&parse(list).unwrap()).unwrap();
        match expected {
            Some(expected) => assert!(warnings[0].starts_with(expected), "{warnings:?}"),
            None => assert!(warnings.is_empty(), "{list}: {warnings:?}"),
        }
    }
}

#[test]
fn a_mapped_client_is_the_same_client() {
    let networks = Networks::new(parse("192.0.2.0/24").unwrap());
    assert!(networks.contains("::ffff:192.0.2.9".parse().unwrap()));
    assert!(!networks.contains("::ffff:192.0.3.9".parse().unwrap()));
}

#[test]
fn networks_that_cover_a_gateway_are_found() {
    let gateway: IpAddr = "172.18.0.1".parse().unwrap();
    let networks = Networks::new(parse("172.16.0.0/12 10.0.0.0/8").unwrap());
    let covering: Vec<_> = networks.covering(&[gateway]).collect();
    assert_eq!(covering, [("172.16.0.0/12".parse().unwrap(), gateway)]);
}
