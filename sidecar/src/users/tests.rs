use super::*;

fn hash(text: &str) -> NewHash {
    NewHash { hash: text.to_owned(), unguessable: false }
}

#[test]
fn a_new_password_leaves_the_others_alone() {
    let mut user = User::new(hash("old"), 1);
    user.credentials.push(Credential::new("printer", hash("other"), 2));
    user.set_password(hash("new"), 3);
    let hashes: Vec<_> = user.credentials.iter().map(|c| c.hash.as_str()).collect();
    assert_eq!(hashes, ["new", "other"]);
}

#[test]
fn a_hash_is_not_in_the_debug_output() {
    let mut user = User::new(hash("$argon2id$secret"), 1);
    user.from_setting = Some("$argon2id$secret".to_owned());
    assert!(!format!("{user:?}").contains("secret"));
    assert!(!format!("{:?}", hash("$argon2id$secret")).contains("secret"));
}

#[test]
fn a_user_can_be_guessed_as_long_as_one_valid_password_can() {
    let mut user = User::new(NewHash { unguessable: true, ..hash("x") }, 1);
    assert_eq!(user.as_target(5), Target::Unguessable);
    user.credentials.push(Credential { expires: Some(9), ..Credential::new("tv", hash("y"), 1) });
    assert_eq!(user.as_target(8), Target::Guessable);
    assert_eq!(user.as_target(9), Target::Unguessable, "the other has expired");
}

#[test]
fn a_record_of_the_first_release_is_read() {
    let json = r#"{"enabled":true,"created":5,"credentials":[{"label":"default","hash":"$x","created":5}],"lifted":0}"#;
    let user: User = serde_json::from_str(json).unwrap();
    assert_eq!((user.id, user.as_target(9)), (0, Target::Guessable));
}

#[test]
fn the_table_of_how_a_user_stands() {
    let user = User::new(hash("x"), 1);
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
fn a_session_ends_with_the_password_it_was_opened_with() {
    let mut user = User::new(hash("old"), 1);
    user.set_password(hash("new"), 1_000);
    let home = "192.0.2.7".parse().ok();
    let cases = [
        // logged in since, now, expected
        (false, 1_000, Standing::LoginOutdated),
        (true, 1_000, Standing::Enabled),
        (false, 999 + LONGEST_SESSION, Standing::LoginOutdated),
        (false, 1_000 + LONGEST_SESSION, Standing::Enabled),
        // The clock was set back after the change.
        (false, 501, Standing::Enabled),
    ];
    for (up_to_date, now, expected) in cases {
        let login = login(b"alice", Some(&user), home, up_to_date, now);
        assert_eq!(login.standing, expected, "{up_to_date} {now}");
    }
    user.login_networks = vec!["198.51.100.0/24".parse().unwrap()];
    let elsewhere = login(b"alice", Some(&user), home, true, 1_001);
    assert_eq!(elsewhere.standing, Standing::OtherNetwork);
}

#[test]
fn a_login_from_elsewhere_is_no_login() {
    let mut user = User::new(hash("x"), 1);
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
    let json = serde_json::to_string(&User::new(hash("x"), 1)).unwrap();
    let later = json.replacen('{', "{\"only_on_mondays\":true,", 1);
    assert!(serde_json::from_str::<User>(&json).is_ok());
    assert!(serde_json::from_str::<User>(&later).is_err());
}
