use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::store::records::encode;
use crate::store::{ChangeError, StoreError, UserStore};
use crate::user_name::UserName;
use crate::users::{NewHash, User};

/// An engine in memory, which can be away, and can be changed behind a relay's back.
#[derive(Debug, Default)]
struct Fake {
    records: Mutex<HashMap<Vec<u8>, Record>>,
    is_away: Mutex<bool>,
    /// Written by somebody else between the look and the change.
    in_between: Mutex<Option<Change>>,
}

impl Fake {
    fn put(&self, change: &Change) -> Result<u64, EngineError> {
        let mut records = self.records.lock().unwrap();
        let current = records.get(&change.key).map_or(0, |record| record.revision);
        if current != change.expected {
            return Err(EngineError::Meanwhile);
        }
        let revision = records.values().map(|record| record.revision).max().unwrap_or(0) + 1;
        let record = Record { key: change.key.clone(), value: change.value.clone(), revision };
        records.insert(change.key.clone(), record);
        Ok(revision)
    }
}

impl Engine for Fake {
    fn newest(&self, _kind: Kind, key: &[u8]) -> Result<Option<Record>, EngineError> {
        if *self.is_away.lock().unwrap() {
            return Err(EngineError::Away("test".to_owned()));
        }
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    fn write(&self, changes: &[Change]) -> Vec<Result<u64, EngineError>> {
        if let Some(change) = self.in_between.lock().unwrap().take() {
            self.put(&change).unwrap();
        }
        changes.iter().map(|change| self.put(change)).collect()
    }
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn user(note: &str) -> User {
    let note = Some(note.to_owned());
    User { id: 7, note, ..User::new(NewHash { hash: "x".into(), unguessable: true }, 5) }
}

fn record(key: &str, user: &User, revision: u64) -> Record {
    let value = Some(encode(key.as_bytes(), user).unwrap().into());
    Record { key: key.into(), value, revision }
}

fn removed(key: &str, revision: u64) -> Record {
    Record { key: key.into(), value: None, revision }
}

fn position(revision: u64) -> Position {
    Position { bucket: "made then".to_owned(), revision }
}

/// A replica that has followed nothing yet.
fn replica() -> (tempfile::TempDir, UserStore, Arc<Fake>) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(Fake::default());
    let store = UserStore::open(folder.path()).unwrap().with_engine(engine.clone());
    store.set_position(Kind::Users, &position(0)).unwrap();
    (folder, store, engine)
}

fn note_of(store: &UserStore, user: &str) -> Option<String> {
    store.user(&name(user)).unwrap().map(|user| user.note.clone().unwrap_or_default())
}

#[test]
fn a_record_is_applied_only_if_it_is_newer_and_a_removed_user_stays_removed() {
    let (_folder, store, _) = replica();
    let all = [record("alice", &user("two"), 2), record("alice", &user("one"), 1)];
    let applied = store.apply(Kind::Users, &all, Some(&position(2))).unwrap();
    assert_eq!((applied.changed, note_of(&store, "alice").as_deref()), (1, Some("two")));
    store.apply(Kind::Users, &[removed("alice", 3)], Some(&position(3))).unwrap();
    store.apply(Kind::Users, &all, None).unwrap();
    assert_eq!(note_of(&store, "alice"), None);
    assert_eq!(store.known_revisions(Kind::Users).unwrap(), 1, "the mark is remembered");
    assert_eq!(store.position(Kind::Users).unwrap(), Some(position(3)));
}

#[test]
fn a_damaged_record_is_not_applied_and_a_newer_one_lets_nobody_in() {
    let (_folder, store, _) = replica();
    store.apply(Kind::Users, &[record("alice", &user("good"), 1)], None).unwrap();
    let mut damaged = record("alice", &user("bad"), 2);
    damaged.value.as_mut().unwrap()[20] ^= 1;
    let applied = store.apply(Kind::Users, &[damaged], None).unwrap();
    assert_eq!(applied.damaged, ["alice"]);
    assert_eq!(note_of(&store, "alice").as_deref(), Some("good"));
    // Under another user's name it does not check, either.
    let mut stolen = record("mallory", &user("stolen"), 3);
    stolen.key = b"alice".to_vec();
    assert_eq!(store.apply(Kind::Users, &[stolen], None).unwrap().damaged, ["alice"]);

    let mut newer = record("alice", &user("from the future"), 4);
    newer.value.as_mut().unwrap()[0] = 3;
    let applied = store.apply(Kind::Users, &[newer], None).unwrap();
    assert_eq!((applied.newer, applied.damaged), (vec!["alice".to_owned()], vec![]));
    assert!(matches!(store.user(&name("alice")), Err(StoreError::Newer { version: 3, .. })));
    assert!(matches!(store.suspend(&name("alice"), 9), Err(ChangeError::Store(_))));
}

#[test]
fn changes_go_by_way_of_the_engine_and_of_two_at_once_one_is_told() {
    let (_folder, store, engine) = replica();
    store.add(&name("alice"), &user("first")).unwrap();
    assert_eq!(engine.records.lock().unwrap().len(), 1);
    let note = |text: &str| {
        let text = text.to_owned();
        store.update(&name("alice"), |user| user.note = Some(text))
    };
    note("second").unwrap();
    assert_eq!(note_of(&store, "alice").as_deref(), Some("second"));
    let Record { key, value, .. } = record("alice", &user("theirs"), 0);
    let change = Change { kind: Kind::Users, key, value, expected: 2 };
    *engine.in_between.lock().unwrap() = Some(change);
    let told = note("mine").unwrap_err();
    assert!(told.to_string().contains("changed meanwhile"), "{told}");
    // Looking again begins with what they wrote.
    store.update(&name("alice"), |user| user.enabled = false).unwrap();
    assert_eq!(note_of(&store, "alice").as_deref(), Some("theirs"));
    store.remove(&name("alice")).unwrap();
    assert!(matches!(store.remove(&name("alice")), Err(ChangeError::Unknown(_))));
    store.add(&name("alice"), &user("another")).unwrap();
}

#[test]
fn without_the_engine_nothing_is_changed_and_a_suspension_counts_at_once() {
    let (_folder, store, engine) = replica();
    store.add(&name("alice"), &user("x")).unwrap();
    *engine.is_away.lock().unwrap() = true;
    let told = store.update(&name("alice"), |user| user.enabled = false).unwrap_err();
    assert!(told.to_string().contains("nothing was changed"), "{told}");
    assert!(store.user(&name("alice")).unwrap().unwrap().enabled);

    assert!(store.suspend(&name("alice"), 100).unwrap());
    assert!(!store.suspend(&name("alice"), 101).unwrap(), "once");
    let is_suspended = || store.user(&name("alice")).unwrap().unwrap().suspended.is_some();
    assert!(is_suspended());
    // What comes from a relay that does not know it changes that not.
    store.apply(Kind::Users, &[record("alice", &user("theirs"), 2)], None).unwrap();
    assert!(is_suspended());
    let [waiting] = store.suspensions().unwrap().try_into().unwrap();
    assert!(store.publish_suspension(&waiting).is_err(), "the engine is away");
    assert_eq!(store.suspensions().unwrap().len(), 1);
}

#[test]
fn a_suspension_is_told_and_once_lifted_does_not_come_back() {
    let (_folder, store, engine) = replica();
    store.add(&name("alice"), &user("x")).unwrap();
    store.suspend(&name("alice"), 100).unwrap();
    let [waiting] = store.suspensions().unwrap().try_into().unwrap();
    store.publish_suspension(&waiting).unwrap();
    assert!(store.suspensions().unwrap().is_empty());
    let told = engine.records.lock().unwrap()[b"alice".as_slice()].clone();
    let told: User = crate::store::records::decode(b"alice", &told.value.unwrap()).unwrap();
    assert_eq!(told.suspended, Some(100));

    // An operator lifts it on another relay, before this one tells of another one.
    store.suspend(&name("bob"), 1).unwrap_err();
    store.update(&name("alice"), |user| user.enable(200)).unwrap();
    store.suspend(&name("alice"), 300).unwrap();
    let lifted = User { lifted: 400, ..user("lifted") };
    store.apply(Kind::Users, &[record("alice", &lifted, 9)], None).unwrap();
    assert_eq!(store.user(&name("alice")).unwrap().unwrap().suspended, None);
    assert!(store.suspensions().unwrap().is_empty());
}

#[test]
fn what_the_engine_has_no_more_is_removed_and_what_is_missing_is_told() {
    let (_folder, store, _) = replica();
    let all = [
        record("alice", &user("x"), 1),
        record("bob", &user("x"), 2),
        removed("carol", 3),
        record("dave", &user("x"), 9),
    ];
    store.apply(Kind::Users, &all, Some(&position(9))).unwrap();
    let roll = |known: &[(&str, u64)]| {
        let mut roll = Roll::default();
        known.iter().for_each(|(key, revision)| roll.insert(key.as_bytes(), *revision));
        roll
    };
    let keys =
        |strangers: &[Record]| strangers.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    let found = store.compare(Kind::Users, &roll(&[("bob", 2)]), 8).unwrap();
    assert_eq!(keys(&found.strangers), [b"alice".to_vec(), b"carol".to_vec()]);
    assert!(found.has_all, "dave came after the look");
    // What somebody changed meanwhile is no stranger, and there is more to come.
    let changed = store.compare(Kind::Users, &roll(&[("bob", 7), ("alice", 1)]), 8).unwrap();
    assert_eq!((keys(&changed.strangers), changed.has_all), (vec![b"carol".to_vec()], false));
    let more = store.compare(Kind::Users, &roll(&[("bob", 2), ("erin", 5)]), 8).unwrap();
    assert!(!more.has_all, "erin is not here");
    store.apply(Kind::Users, &[record("alice", &user("y"), 10)], None).unwrap();
    assert!(store.forget(Kind::Users, &found.strangers).unwrap().is_empty(), "alice is back");
    assert_eq!(note_of(&store, "alice").as_deref(), Some("y"));
    let found = store.compare(Kind::Users, &roll(&[("bob", 2)]), 10).unwrap();
    let gone = store.forget(Kind::Users, &found.strangers).unwrap();
    assert_eq!(gone, ["alice", "dave"]);
    assert_eq!(store.known_revisions(Kind::Users).unwrap(), 1);
}

#[test]
fn a_database_that_belongs_to_a_fleet_is_changed_by_nobody_else() {
    let (folder, store, _) = replica();
    store.add(&name("alice"), &user("x")).unwrap();
    drop(store);
    let store = UserStore::open(folder.path()).unwrap();
    let told = store.remove(&name("alice")).unwrap_err().to_string();
    assert!(told.contains("relay fleet leave"), "{told}");
    store.leave_fleet().unwrap();
    store.update(&name("alice"), |user| user.enabled = false).unwrap();
    let engine = Arc::new(Fake::default());
    let told = store.with_engine(engine).remove(&name("alice")).unwrap_err().to_string();
    assert!(told.contains("not in its fleet"), "{told}");
}
