use std::time::Duration;

use super::*;

fn parsed(bytes: &[u8]) -> Result<(Header, Vec<u8>), String> {
    let mut rest = bytes;
    let deadline = Instant::now() + Duration::from_secs(5);
    let header = read(&mut rest, deadline).map_err(|error| error.to_string())?;
    Ok((header, rest.to_vec()))
}

fn client(client: &str, server: &str) -> Header {
    Header::Client { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

/// A header of version 2 with these addresses, and an extension behind them.
fn second(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let extension = b"\x04\0\x01x";
    let length = u16::try_from(addresses.len() + extension.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, addresses, extension].concat()
}

#[test]
fn both_versions_are_read_and_not_a_byte_more() {
    let v4 = client("203.0.113.5:40000", "192.0.2.1:587");
    let v6 = client("[2001:db8::5]:40000", "[2001:db8::1]:587");
    let octets = |addresses: [&str; 2]| -> Vec<u8> {
        let bytes = addresses.map(|text| match text.parse().unwrap() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        });
        [bytes.concat(), 40_000_u16.to_be_bytes().to_vec(), 587_u16.to_be_bytes().to_vec()].concat()
    };
    let mapped = octets(["::ffff:203.0.113.5", "::ffff:192.0.2.1"]);
    for (header, expected) in [
        (b"PROXY TCP4 203.0.113.5 192.0.2.1 40000 587\r\n".to_vec(), v4),
        (b"PROXY TCP6 2001:db8::5 2001:db8::1 40000 587\r\n".to_vec(), v6),
        (b"PROXY UNKNOWN\r\n".to_vec(), Header::None),
        (b"PROXY UNKNOWN 1 2 3 4\r\n".to_vec(), Header::None),
        (second(0x21, 0x11, &octets(["203.0.113.5", "192.0.2.1"])), v4),
        (second(0x21, 0x21, &octets(["2001:db8::5", "2001:db8::1"])), v6),
        (second(0x21, 0x21, &mapped), v4),
        (second(0x20, 0x00, b""), Header::None),
        (second(0x20, 0x11, &octets(["203.0.113.5", "192.0.2.1"])), Header::None),
        (second(0x21, 0x31, &[0; 216]), Header::None),
    ] {
        let behind = b"EHLO x\r\n".as_slice();
        let whole = [header.as_slice(), behind].concat();
        assert_eq!(parsed(&whole), Ok((expected, behind.to_vec())), "{header:?}");
        for length in 0..header.len() {
            assert!(parsed(&header[..length]).is_err(), "{length} of {header:?}");
        }
    }
}

#[test]
fn what_is_no_header_gets_nothing() {
    for text in [
        "EHLO relay.example.org\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 40000\r\n                 ",
        "PROXY TCP4 203.0.113.5 192.0.2.1 40000 587 9\r\n          ",
        "PROXY TCP4 2001:db8::5 2001:db8::1 40000 587\r\n",
        "PROXY TCP6 203.0.113.5 192.0.2.1 40000 587\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 +40 587\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 70000 587\r\n",
        "PROXY UDP4 203.0.113.5 192.0.2.1 40000 587\r\n",
        "PROXY  TCP4 203.0.113.5 192.0.2.1 40000 587\r\n",
        "PROXY TCP4 127.0.0.1 192.0.2.1 40000 587\r\n",
        "PROXY TCP6 ::1 2001:db8::1 40000 587\r\n",
        "PROXY TCP6 ::ffff:127.0.0.1 ::ffff:192.0.2.1 40000 587\r\n",
        "PROXY TCP4 0.0.0.0 192.0.2.1 40000 587\r\n",
        "PROXY TCP4 255.255.255.255 192.0.2.1 40000 587\r\n",
        "PROXY TCP4 224.0.0.1 192.0.2.1 40000 587\r\n",
    ] {
        assert!(parsed(text.as_bytes()).is_err(), "{text}");
    }
    let endless = format!("PROXY TCP4 {}", "1".repeat(1_000));
    assert!(parsed(endless.as_bytes()).is_err());
    let mut long = second(0x21, 0x11, &[0; 12]);
    long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    assert!(parsed(&[long, vec![0; 70_000]].concat()).is_err());
    let loopback = [[127, 0, 0, 1].as_slice(), &[192, 0, 2, 1], &[0, 1, 0, 2]].concat();
    assert!(parsed(&second(0x21, 0x11, &loopback)).is_err());
    assert!(parsed(&second(0x31, 0x11, &[0; 12])).is_err());
}

#[test]
fn what_smtpd_is_told_is_what_was_read() {
    for (given, expected) in [
        (("203.0.113.5:40000", "192.0.2.1:587"), "PROXY TCP4 203.0.113.5 192.0.2.1 40000 587\r\n"),
        (
            ("[2001:db8::5]:40000", "[2001:db8::1]:465"),
            "PROXY TCP6 2001:db8::5 2001:db8::1 40000 465\r\n",
        ),
    ] {
        let (from, to) = (given.0.parse().unwrap(), given.1.parse().unwrap());
        let line = line(from, to);
        assert_eq!(line, expected);
        let again = parsed(line.as_bytes()).unwrap().0;
        assert_eq!(again, Header::Client { client: from, server: to });
    }
}
