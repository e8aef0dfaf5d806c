use super::*;

const CLIENT: &str = "203.0.113.5";

fn rules(strip: &[&str], add: &str) -> HeaderRules {
    HeaderRules::parse(strip, add, false).unwrap()
}

fn edits_of(rules: &HeaderRules, fields: &[(&str, &str)], user: Option<&str>) -> Vec<String> {
    let (mut seen, mut present) = (SeenFields::default(), PresentSignatures::default());
    for (name, value) in fields {
        seen.add(rules, Some(CLIENT.parse().unwrap()), name.as_bytes(), value.as_bytes());
        present.add(name.as_bytes(), value.as_bytes());
    }
    let edits = edits(rules, &seen, &present, user);
    let text = |edit: &Edit| match edit {
        Edit::Remove { name, number } => format!("-{name}/{number}"),
        Edit::Add { name, value } => format!("+{name}: {value}"),
    };
    edits.iter().map(text).collect()
}

#[test]
fn what_submission_takes_out() {
    let rules = rules(&["submission"], "");
    let fields = [
        ("Received", "from laptop ([192.168.1.5]) by mail.home; today"),
        ("Received", "from mx.test (mx.test [1.2.3.4]) by mail.home ([192.168.1.2])"),
        ("Received", "from home ([203.0.113.5]) by x ([IPv6:fd00::1])"),
        ("Received", "by mail.home (Postfix, from userid 1000)"),
        ("Subject", "kept"),
        ("x-mailer", "Thing 1.0"),
        ("X-Mailer", "Thing 2.0"),
        ("X-PHP-Originating-Script", "33:mail.php"),
    ];
    let expected = [
        "-X-PHP-Originating-Script/1",
        "-X-Mailer/2",
        "-X-Mailer/1",
        "-Received/4",
        "-Received/3",
        "-Received/1",
    ];
    assert_eq!(edits_of(&rules, &fields, Some("alice")), expected);
    assert_eq!(edits_of(&rules, &fields, None), [""; 0], "users alone");
    let of_all = HeaderRules { of_all: true, ..rules };
    assert_eq!(edits_of(&of_all, &fields, None), expected);
}

#[test]
fn what_a_signature_covers_is_never_touched() {
    let rules = rules(&["submission"], "X-Relay-User: %u; Feedback-ID: a:b");
    let fields = [
        ("DKIM-Signature", "v=1; d=a.test; h=from:x-mailer:feedback-id"),
        ("X-Mailer", "Thing"),
        ("User-Agent", "Thing"),
        ("X-Relay-User", "forged"),
    ];
    let expected = ["-X-Relay-User/1", "-User-Agent/1", "+X-Relay-User: alice"];
    assert_eq!(edits_of(&rules, &fields, Some("alice")), expected);
}

#[test]
fn added_fields_name_the_user_and_replace_what_was_there() {
    let rules = rules(&[], "Feedback-ID: camp:%u:100%%; X-Plain: yes");
    let fields = [("feedback-id", "forged"), ("X-Plain", "no"), ("X-Plain", "no")];
    assert_eq!(
        edits_of(&rules, &fields, Some("alice")),
        [
            "-X-Plain/2",
            "-X-Plain/1",
            "-Feedback-ID/1",
            "+Feedback-ID: camp:alice:100%",
            "+X-Plain: yes"
        ]
    );
    assert_eq!(edits_of(&rules, &[], None), ["+X-Plain: yes"], "nobody logged in");
}

#[test]
fn settings_that_would_break_mail_are_mistakes() {
    for (strip, add, expected) in [
        (&["From"][..], "", "From cannot be taken out"),
        (&["dkim-signature"], "", "dkim-signature cannot be taken out"),
        (&["X Y"], "", "\"X Y\" is not the name"),
        (&[], "no colon", "\"no colon\" is not a header field"),
        (&[], "Subject: x", "Subject is the sender's business"),
        (&[], "Content-Type: x", "Content-Type is the sender's business"),
        (&[], "X-A:", "X-A needs a value"),
        (&[], "X-A: %x", "only %u (the user)"),
        (&[], "X-A: a\u{1}b", "X-A needs a value"),
    ] {
        let mistakes = HeaderRules::parse(strip, add, true).unwrap_err();
        assert!(mistakes[0].contains(expected), "{strip:?} {add:?}: {mistakes:?}");
    }
    assert!(HeaderRules::parse(&[], " ; ", false).unwrap().is_empty());
}

#[test]
fn a_flood_of_fields_is_not_kept() {
    let rules = rules(&["X-Mailer"], "");
    let mut seen = SeenFields::default();
    for _ in 0..100_000 {
        seen.add(&rules, None, b"X-Mailer", b"x");
    }
    assert_eq!(seen.seen.len(), MAX_REMOVED);
}
