use super::*;

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn user() -> User {
    User::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA".into(), 1_700_000_000, None)
}

#[test]
fn what_was_stored_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    assert_eq!(store.get(&name("alice")).unwrap(), None);
    store.add(&name("alice"), &user()).unwrap();
    assert_eq!(store.get(&name("Alice")).unwrap(), Some(user()));
    assert_eq!(store.count().unwrap(), 1);
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn adding_twice_and_changing_nobody_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    store.add(&name("alice"), &user()).unwrap();
    assert!(matches!(store.add(&name("alice"), &user()), Err(ChangeError::Exists(_))));
    assert!(matches!(store.update(&name("bob"), |_| ()), Err(ChangeError::Unknown(_))));
    assert!(matches!(store.remove(&name("bob")), Err(ChangeError::Unknown(_))));
    assert!(!store.update(&name("alice"), |user| user.enabled = false).unwrap().enabled);
    store.remove(&name("alice")).unwrap();
    assert_eq!(store.get(&name("alice")).unwrap(), None);
}

#[test]
fn flipped_bytes_are_never_a_user() {
    let key = b"alice";
    let good = encode(key, &user()).unwrap();
    assert_eq!(decode::<User>(key, &good).unwrap(), user());
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x20;
        assert!(decode::<User>(key, &bad).is_err(), "byte {position}");
    }
    for length in 0..good.len() {
        assert!(decode::<User>(key, &good[..length]).is_err(), "length {length}");
    }
}

proptest::proptest! {
    #[test]
    fn any_record_is_read_back_as_it_was_written(
        key in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..100),
        hash in ".*",
        note in proptest::option::of(".*"),
        created in proptest::prelude::any::<u64>(),
    ) {
        let user = User::new(hash, created, note);
        let value = encode(&key, &user).unwrap();
        proptest::prop_assert_eq!(decode::<User>(&key, &value).unwrap(), user);
    }
}

#[test]
fn a_record_under_another_name_is_no_user() {
    let value = encode(b"alice", &user()).unwrap();
    assert!(
        matches!(decode::<User>(b"root", &value), Err(StoreError::Damaged(who)) if who == "root")
    );
}

#[test]
fn a_file_that_was_cut_off_is_refused_and_does_not_kill_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    for number in 0..100 {
        store.add(&name(&format!("user{number}")), &user()).unwrap();
    }
    store.env.clone().prepare_for_closing();
    drop(store);
    let path = folder.path().join(FILE_NAME);
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 4096).unwrap();
    assert!(matches!(UserStore::open(folder.path()), Err(StoreError::CutOff(_))));
}

#[test]
fn a_missing_folder_is_named() {
    let error = UserStore::open(Path::new("/nonexistent/relay")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/relay"), "{error}");
}

#[test]
fn accounts_are_written_together_and_go_with_their_user() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    store.add(&name("alice"), &user()).unwrap();
    let alice = AccountKey::User(name("alice"));
    let network = AccountKey::Network("192.0.2.7".parse().unwrap());
    let mut account = Account::default();
    account.usage.charge(1_700_000_000, 3);
    let both = [(alice.clone(), Some(account.clone())), (network.clone(), Some(account.clone()))];
    store.write_accounts(&both).unwrap();
    assert_eq!(store.account(&alice).unwrap(), Some(account.clone()));
    assert_eq!(store.accounts().unwrap().len(), 2);
    store.remove(&name("alice")).unwrap();
    assert_eq!(store.accounts().unwrap(), [(network.clone(), account)]);
    store.write_accounts(&[(network, None)]).unwrap();
    assert!(store.accounts().unwrap().is_empty());
}

#[test]
fn many_users_are_added_all_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    store.add(&name("bob"), &user()).unwrap();
    let both = [(name("alice"), user()), (name("bob"), user())];
    assert!(matches!(store.add_all(&both, false), Err(ChangeError::Exists(_))));
    assert_eq!(store.count().unwrap(), 1);
    store.add_all(&both, true).unwrap();
    assert_eq!(store.count().unwrap(), 2);
}
