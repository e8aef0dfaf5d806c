use super::*;
use crate::user_name::UserName;

fn alert() -> Alert {
    let user = UserName::parse("a_b*c").unwrap();
    Alert { host: "relay.example.org".into(), ..Alert::suspended(&user, "192.0.2.7", 5) }
}

/// Of each service's own documentation: what it must get, as JSON or as plain text.
#[test]
fn each_service_gets_what_its_documentation_asks_for() {
    let text = "User a_b*c was suspended for trying to send far too much mail; the password may be \
                stolen. Change it, then run: relay user enable a_b*c";
    let escaped = text.replace('_', "\\_").replace('*', "\\*");
    let subject = "relay.example.org: user a_b*c suspended";
    let escaped_subject = "relay.example.org: user a\\_b\\*c suspended";
    for (format, expected) in [
        (
            "json",
            json!({
                "event": "user_suspended", "state": "raised", "user": "a_b*c",
                "client": "192.0.2.7", "time": 5, "host": "relay.example.org",
                "title": "user a_b*c suspended", "text": text,
            }),
        ),
        ("slack", json!({ "text": format!("*{subject}*\n{text}") })),
        (
            "discord",
            json!({
                "content": format!("**{escaped_subject}**\n{escaped}"),
                "allowed_mentions": { "parse": [] },
            }),
        ),
        (
            "matrix",
            json!({
                "text": format!("**{escaped_subject}**\n\n{escaped}"),
                "html": format!("<strong>{subject}</strong><br>{text}"),
                "username": "relay",
            }),
        ),
        ("gotify", json!({ "title": subject, "message": text, "priority": 8 })),
    ] {
        let message = format.parse::<Format>().unwrap().message(&alert());
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body, expected, "{format}");
        assert_eq!(message.headers, [("content-type", "application/json".to_owned())]);
    }
    let ntfy = Format::Ntfy.message(&alert());
    assert_eq!(ntfy.body, text);
    let headers: Vec<_> =
        ntfy.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(headers[1..], [("title", subject), ("priority", "high"), ("tags", "warning")]);
}

#[test]
fn no_name_of_a_user_mentions_anybody_links_or_breaks_a_header() {
    let hostile = Alert {
        title: "<!channel> @everyone é\r\nx: y".into(),
        text: "<!channel> [x](https://evil) <@1> & ".repeat(100),
        ..alert()
    };
    let slack = Format::Slack.message(&hostile).body;
    assert!(slack.contains("&lt;!channel&gt;") && !slack.contains("<!"), "{slack}");
    let discord = Format::Discord.message(&hostile).body;
    let body: serde_json::Value = serde_json::from_str(&discord).unwrap();
    assert_eq!(body["content"].as_str().unwrap().chars().count(), DISCORD_LONGEST);
    assert!(discord.contains("\\\\[x\\\\](https"), "{discord}");
    let matrix = Format::Matrix.message(&hostile).body;
    assert!(matrix.contains("&lt;@1&gt; &amp;"), "{matrix}");
    let ntfy = Format::Ntfy.message(&hostile);
    let title = &ntfy.headers[1].1;
    assert!(title.is_ascii() && !title.contains(['\r', '\n']), "{title:?}");
}

#[test]
fn what_is_over_is_not_urgent_and_an_unknown_format_is_told() {
    let over = Alert { state: State::Over, ..alert() };
    let ntfy = Format::Ntfy.message(&over);
    assert_eq!(ntfy.headers[2].1, "default");
    assert!(Format::Gotify.message(&over).body.contains("\"priority\":4"));
    assert!("telegram".parse::<Format>().unwrap_err().contains("expected json, ntfy"));
}
