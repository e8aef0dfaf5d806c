use super::records::{decode, encode};
use super::*;
use crate::dkim::key::{AlgorithmName, KeyRecord, NamedKey, PrivateKey};
use crate::limits::account::{Account, AccountKey};
use crate::user_name::UserName;
use crate::users::{NewHash, User};

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn user() -> User {
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA".to_owned();
    User::new(NewHash { hash, unguessable: true }, 1_700_000_000)
}

#[test]
fn what_was_stored_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    assert_eq!(store.user(&name("alice")).unwrap(), None);
    store.add(&name("alice"), &user()).unwrap();
    let stored = store.user(&name("Alice")).unwrap().unwrap();
    assert_eq!(User { id: 0, ..User::clone(&stored) }, user());
    assert_eq!(store.user_count().unwrap(), 1);
    assert_eq!(store.users_after(None, 10).unwrap().len(), 1);
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
    assert_eq!(store.user(&name("alice")).unwrap(), None);
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
        let user = User { note, ..User::new(NewHash { hash, unguessable: false }, created) };
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
fn a_truncated_file_is_refused_and_does_not_kill_the_process() {
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
    assert!(matches!(UserStore::open(folder.path()), Err(StoreError::Truncated(_))));
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
    assert_eq!(store.accounts_after(None, 10).unwrap().len(), 2);
    assert_eq!(store.accounts_after(Some(&network), 10).unwrap(), [(alice, account.clone())]);
    store.remove(&name("alice")).unwrap();
    assert_eq!(store.accounts_after(None, 10).unwrap(), [(network.clone(), account)]);
    store.write_accounts(&[(network, None)]).unwrap();
    assert!(store.accounts_after(None, 10).unwrap().is_empty());
}

#[test]
fn many_users_are_added_all_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    store.add(&name("bob"), &user()).unwrap();
    let whole = |text: &str| Ok((name(text), Entry::User(Box::new(user()))));
    let both = || [whole("alice"), whole("bob")];
    assert!(matches!(store.add_all(both(), false, 5), Err(ChangeError::Exists(_))));
    assert_eq!(store.user_count().unwrap(), 1);
    assert_eq!(store.add_all(both(), true, 5).unwrap(), 2);
    assert_eq!(store.user_count().unwrap(), 2);
    let interrupted = [whole("carol"), Err(std::io::ErrorKind::BrokenPipe.into())];
    assert!(matches!(store.add_all(interrupted, false, 5), Err(ChangeError::Store(_))));
    assert_eq!(store.user_count().unwrap(), 2);
}

#[test]
fn a_user_who_is_replaced_stays_the_same_user_and_one_who_is_added_again_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let id = || store.user(&name("alice")).unwrap().unwrap().id;
    store.add(&name("alice"), &user()).unwrap();
    let first = id();
    assert_ne!(first, 0);
    let other = Entry::User(Box::new(User { id: 7, ..user() }));
    store.add_all([Ok((name("alice"), other))], true, 5).unwrap();
    assert_eq!(id(), first);
    store.remove(&name("alice")).unwrap();
    store.add(&name("alice"), &User { id: first, ..user() }).unwrap();
    assert_ne!(id(), first);
}

#[test]
fn a_password_that_is_replaced_leaves_the_rights_of_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let restricted = User {
        enabled: false,
        senders: vec!["alice@example.org".parse().unwrap()],
        suspended: Some(3),
        ..user()
    };
    store.add(&name("alice"), &restricted).unwrap();
    let password = || Entry::Password(NewHash { hash: "$6$new".into(), unguessable: false });
    let both = [Ok((name("alice"), password())), Ok((name("bob"), password()))];
    store.add_all(both, true, 5).unwrap();
    let alice = store.user(&name("alice")).unwrap().unwrap();
    assert_eq!((alice.enabled, alice.suspended), (false, Some(3)));
    assert_eq!(alice.senders, restricted.senders);
    assert_eq!(alice.credentials[0].hash, "$6$new");
    assert!(store.user(&name("bob")).unwrap().unwrap().enabled);
}

#[test]
fn users_are_listed_in_pieces_and_a_damaged_one_hides_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    for text in ["alice", "bob", "carol"] {
        store.add(&name(text), &user()).unwrap();
    }
    store.damage(&name("bob"));
    let names = |after| -> Vec<String> {
        store.users_after(after, 2).unwrap().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(None), ["alice", "bob"]);
    assert_eq!(names(Some("bob")), ["carol"]);
    assert!(names(Some("carol")).is_empty());
    assert!(matches!(store.users_after(None, 2).unwrap()[1].1, Err(StoreError::Damaged(_))));
}

#[test]
fn a_full_map_says_so_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open_with(folder.path(), 256 * 1024).unwrap();
    store.add(&name("alice"), &user()).unwrap();
    let whole = |number| (name(&format!("user{number}")), Entry::User(Box::new(user())));
    let error = store.add_all((0..10_000).map(|n| Ok(whole(n))), false, 5).unwrap_err();
    assert!(matches!(error, ChangeError::Store(StoreError::Full)), "{error}");
    assert!(error.to_string().contains("remove users"), "{error}");
    assert_eq!(store.user_count().unwrap(), 1);
}

#[test]
fn a_record_of_a_newer_format_is_never_a_user() {
    let mut value = encode(b"alice", &user()).unwrap();
    value[0] = 3;
    let error = decode::<User>(b"alice", &value).unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 3, .. }), "{error}");
    value[0] = 1;
    assert_eq!(decode::<User>(b"alice", &value).unwrap(), user());
}

impl UserStore {
    /// Writes a record as flipped bytes would leave it.
    pub fn damage(&self, name: &UserName) {
        let mut txn = self.env.write_txn().unwrap();
        self.users.put(&mut txn, name.as_str().as_bytes(), b"\x01damaged").unwrap();
        txn.commit().unwrap();
    }
}

fn dkim_key(domain: &str, selector: &str) -> NamedKey {
    let record = KeyRecord {
        algorithm: AlgorithmName::Ed25519,
        private: PrivateKey::from_seed(&[7; 32]),
        created: 1,
        published: None,
    };
    NamedKey { domain: domain.parse().unwrap(), selector: selector.parse().unwrap(), record }
}

#[test]
fn dkim_keys_are_found_by_their_domain_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let keys = [
        dkim_key("example.org", "s1"),
        dkim_key("example.org", "s2"),
        dkim_key("example.organic", "s1"),
        dkim_key("a.example.org", "s1"),
    ];
    store.add_dkim_keys(&keys).unwrap();
    let selectors = |domain: &str| -> Vec<String> {
        store.dkim_selectors(domain).unwrap().into_iter().map(|(selector, _)| selector).collect()
    };
    assert_eq!(selectors("example.org"), ["s1", "s2"]);
    assert_eq!(selectors("example.or"), [""; 0]);
    assert_eq!(store.dkim_count().unwrap(), 4);
    let taken = store.add_dkim_keys(&[dkim_key("new.test", "s1"), keys[0].clone()]);
    assert!(matches!(taken, Err(KeyChangeError::Exists(..))));
    assert_eq!(store.dkim_count().unwrap(), 4, "all or none");
    store.remove_dkim_key(&keys[0].domain, &keys[0].selector).unwrap();
    assert_eq!(selectors("example.org"), ["s2"]);
}

#[test]
fn a_change_to_a_dkim_key_shows_in_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let key = dkim_key("example.org", "s1");
    store.add_dkim_keys(std::slice::from_ref(&key)).unwrap();
    let before = store.dkim_selectors("example.org").unwrap();
    store.set_published(&key.domain, &key.selector, Some(9)).unwrap();
    assert_ne!(store.dkim_selectors("example.org").unwrap(), before);
    assert_eq!(store.dkim_key(&key.domain, &key.selector).unwrap().record.published, Some(9));
}

#[test]
fn a_damaged_dkim_key_is_never_signed_with_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let key = dkim_key("example.org", "s1");
    store.add_dkim_keys(std::slice::from_ref(&key)).unwrap();
    let mut txn = store.env.write_txn().unwrap();
    let name = b"example.org\0s1";
    let mut value = store.dkim.get(&txn, name).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    store.dkim.put(&mut txn, name, &value).unwrap();
    txn.commit().unwrap();
    let error = store.dkim_key(&key.domain, &key.selector).unwrap_err().to_string();
    assert!(error.contains("DKIM key example.org/s1 is damaged"), "{error}");
    let listed = store.dkim_keys().unwrap();
    assert!(matches!(listed[0].record, Err(StoreError::DamagedKey(_))));
    store.remove_dkim_key(&key.domain, &key.selector).unwrap();
}
