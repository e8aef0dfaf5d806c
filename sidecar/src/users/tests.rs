use super::*;

#[test]
fn names_are_mapped_to_one_form() {
    let cases = [
        ("alice", "alice"),
        ("Alice", "alice"),
        ("ALICE@Example.ORG", "alice@example.org"),
        ("ａｌｉｃｅ", "alice"),
        ("e\u{301}va", "\u{e9}va"),
        ("a.b-c_d+e@x", "a.b-c_d+e@x"),
    ];
    for (name, expected) in cases {
        assert_eq!(UserName::parse(name).unwrap().as_str(), expected, "{name}");
    }
}

#[test]
fn mapping_a_canonical_name_changes_nothing() {
    for name in ["Alice", "ａｌｉｃｅ", "e\u{301}va", "STRASSE", "ΑΣ"] {
        let once = UserName::parse(name).unwrap();
        assert_eq!(UserName::parse(once.as_str()).unwrap(), once, "{name}");
    }
}

#[test]
fn names_that_nobody_may_have() {
    let long = "a".repeat(MAX_NAME + 1);
    let cases = [
        "",
        " ",
        "a b",
        "a\tb",
        "a\nb",
        "a\0b",
        "\u{1}",
        "who?",
        "a\u{202e}b",
        "\u{7f}",
        "a\u{ad}b",
        "=\u{338}yo",
        "\u{2167}",
        &long,
    ];
    for name in cases {
        assert!(UserName::parse(name).is_err(), "{name:?}");
    }
}

#[test]
fn a_new_password_leaves_the_others_alone() {
    let mut user = User::new("old".into(), 1, None);
    user.credentials.push(Credential {
        label: "printer".into(),
        hash: "other".into(),
        created: 2,
        expires: None,
    });
    user.set_password("new".into(), 3);
    let hashes: Vec<_> = user.credentials.iter().map(|c| c.hash.as_str()).collect();
    assert_eq!(hashes, ["new", "other"]);
}

#[test]
fn a_hash_is_not_in_the_debug_output() {
    assert!(!format!("{:?}", User::new("$argon2id$secret".into(), 1, None)).contains("secret"));
}

#[test]
fn the_table_of_how_a_user_stands() {
    let user = User::new("x".into(), 1, None);
    let cases = [
        (user.clone(), Standing::Enabled),
        (User { enabled: false, ..user.clone() }, Standing::Disabled),
        (User { suspended: Some(5), ..user.clone() }, Standing::Suspended),
        (User { expires: Some(100), ..user.clone() }, Standing::Expired),
        (User { expires: Some(101), ..user.clone() }, Standing::Enabled),
    ];
    for (user, expected) in cases {
        assert_eq!(user.standing(100), expected, "{user:?}");
    }
    let mut suspended = User { suspended: Some(5), ..user };
    suspended.enable(7);
    assert_eq!((suspended.standing(100), suspended.lifted), (Standing::Enabled, 7));
}

#[test]
fn a_login_from_elsewhere_is_no_login() {
    let mut user = User::new("x".into(), 1, None);
    assert!(user.may_log_in_from(None));
    user.login_networks = vec!["192.0.2.0/24".parse().unwrap()];
    for (address, expected) in
        [("192.0.2.7", true), ("::ffff:192.0.2.7", true), ("198.51.100.1", false), ("::1", false)]
    {
        assert_eq!(user.may_log_in_from(address.parse().ok()), expected, "{address}");
    }
    assert!(!user.may_log_in_from(None));
}

#[test]
fn labels_that_are_none() {
    for label in ["", " x", "x ", "a\nb", "a\tb", &"x".repeat(65)] {
        assert!(Credential::check_label(label).is_err(), "{label:?}");
    }
    assert!(Credential::check_label("Anna's phone").is_err());
    assert!(Credential::check_label("Büro printer 2").is_ok());
}

#[test]
fn a_record_with_a_restriction_of_a_later_version_is_not_read() {
    let json = serde_json::to_string(&User::new("x".into(), 1, None)).unwrap();
    let later = json.replacen('{', "{\"only_on_mondays\":true,", 1);
    assert!(serde_json::from_str::<User>(&json).is_ok());
    assert!(serde_json::from_str::<User>(&later).is_err());
}
