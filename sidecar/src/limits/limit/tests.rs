use super::*;

fn limits(text: &str) -> Limits {
    text.parse().unwrap()
}

#[test]
fn limits_are_read_and_written() {
    for (text, shown) in [
        ("500/day", "500/day"),
        ("100/hour,500/day", "100/hour, 500/day"),
        ("messages=50/h recipients=500/d", "messages=50/hour, 500/day"),
        ("none", "none"),
    ] {
        assert_eq!(limits(text).to_string(), shown);
        assert_eq!(limits(shown), limits(text));
    }
    for text in
        ["500", "/day", "0/day", "-1/day", "+5/day", "5/week", "x=5/day", "5/day,6/day", "5 /day"]
    {
        assert!(text.parse::<Limits>().is_err(), "{text}");
    }
}

#[test]
fn ceilings_are_read() {
    assert_eq!("20x".parse(), Ok(Ceiling::Times(20)));
    assert_eq!("off".parse(), Ok(Ceiling::Off));
    assert_eq!("2000/hour".parse(), Ok(Ceiling::Absolute(limits("2000/hour"))));
    for text in ["x", "1x", "20", "messages=5/hour", ""] {
        let read = text.parse::<Ceiling>();
        assert!(read.is_err() || text.is_empty(), "{text}: {read:?}");
    }
}
