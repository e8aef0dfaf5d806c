use super::*;
use crate::users::NewHash;

const NOW: u64 = 20_000 * 86_400;

fn ledger(folder: &std::path::Path, user_limits: &str, ceiling: &str) -> Ledger {
    let store = UserStore::open(folder).unwrap();
    let defaults = DefaultLimits {
        user: user_limits.parse().unwrap(),
        network: "2/hour".parse().unwrap(),
        ceiling: ceiling.parse().unwrap(),
    };
    Ledger::new(store, defaults, Duration::from_secs(100))
}

fn user() -> User {
    User::new(NewHash { hash: "x".into(), unguessable: false }, 0)
}

fn name() -> UserName {
    UserName::parse("alice").unwrap()
}

fn alice(ledger: &Ledger, change: impl FnOnce(&mut User)) -> Subject {
    let mut user = user();
    change(&mut user);
    ledger.user(&name(), &user)
}

#[test]
fn a_user_has_the_default_limits_its_own_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "3/hour", "off");
    let default = alice(&ledger, |_| ());
    assert_eq!(ledger.charge(&default, NOW, 3).unwrap(), Charged::Within);
    assert!(matches!(ledger.charge(&default, NOW, 1).unwrap(), Charged::Exceeded(_)));
    assert!(matches!(ledger.look_ahead(&default, NOW, 1).unwrap(), Charged::Exceeded(_)));
    let own = alice(&ledger, |user| user.limits = Some("5/hour".parse().unwrap()));
    assert_eq!(ledger.look_ahead(&own, NOW, 1).unwrap(), Charged::Within);
    assert_eq!(ledger.charge(&own, NOW, 2).unwrap(), Charged::Within);
    let exempt = alice(&ledger, |user| user.limits = Some(Limits::default()));
    assert_eq!(ledger.charge(&exempt, NOW, 1000).unwrap(), Charged::Within);
}

#[test]
fn clients_of_one_64_have_one_account() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "none", "off");
    let first = ledger.network("2001:db8::1".parse().unwrap());
    let second = ledger.network("2001:db8::2".parse().unwrap());
    assert_eq!(ledger.charge(&first, NOW, 2).unwrap(), Charged::Within);
    assert!(matches!(ledger.charge(&second, NOW, 1).unwrap(), Charged::Exceeded(_)));
}

#[test]
fn refused_recipients_lead_to_the_ceiling() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "1/hour", "10x");
    let subject = alice(&ledger, |_| ());
    assert_eq!(ledger.charge(&subject, NOW, 1).unwrap(), Charged::Within);
    for _ in 0..9 {
        assert!(matches!(ledger.look_ahead(&subject, NOW, 1).unwrap(), Charged::Exceeded(_)));
    }
    assert_eq!(ledger.look_ahead(&subject, NOW, 1).unwrap(), Charged::OverCeiling);
    let lifted = alice(&ledger, |user| user.lifted = NOW);
    assert!(matches!(ledger.look_ahead(&lifted, NOW, 1).unwrap(), Charged::Exceeded(_)));
}

#[test]
fn what_was_flushed_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "3/hour", "off");
    let subject = alice(&ledger, |_| ());
    let home = "192.0.2.7".parse().unwrap();
    ledger.charge(&subject, NOW, 3).unwrap();
    ledger.logged_in(&name(), &user(), "phone", Some(home), NOW).unwrap();
    ledger.flush(NOW).unwrap();
    ledger.charge(&subject, NOW, 1).unwrap();
    let Ledger { store, defaults, .. } = ledger;
    let again = Ledger::new(store, defaults, Duration::from_secs(100));
    assert!(matches!(again.look_ahead(&subject, NOW, 1).unwrap(), Charged::Exceeded(_)));
    assert!(again.knows(&name(), &user(), home, NOW + 99).unwrap());
}

#[test]
fn somebody_with_the_name_of_a_removed_user_inherits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "3/hour", "10x");
    let home = "192.0.2.7".parse().unwrap();
    let first = User { id: 1, ..user() };
    let second = User { id: 2, ..user() };
    ledger.charge(&ledger.user(&name(), &first), NOW, 3).unwrap();
    ledger.logged_in(&name(), &first, "phone", Some(home), NOW).unwrap();
    // In memory, and once more from the disk.
    for _ in 0..2 {
        assert!(!ledger.knows(&name(), &second, home, NOW).unwrap());
        let subject = ledger.user(&name(), &second);
        assert_eq!(ledger.look_ahead(&subject, NOW, 3).unwrap(), Charged::Within);
        ledger.flush(NOW).unwrap();
        ledger.lock().forget_unused(NOW + 1_000);
        ledger.lock().forget_unused(NOW + 2_000);
        assert!(!ledger.lock().holds(&AccountKey::User(name())));
    }
}

#[test]
fn accounts_in_which_nothing_counts_are_deleted_as_others_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "none", "off");
    let client = |number: u8| ledger.network(IpAddr::from([192, 0, 2, number]));
    for number in 0..20 {
        ledger.charge(&client(number), NOW, 1).unwrap();
    }
    ledger.flush(NOW).unwrap();
    assert_eq!(ledger.store.accounts_after(None, 100).unwrap().len(), 20);
    let later = NOW + 3 * 86_400;
    ledger.lock().forget_unused(later);
    ledger.lock().forget_unused(later + 100);
    for second in 0..20 {
        ledger.charge(&client(200), later + second, 1).unwrap();
        ledger.flush(later + second).unwrap();
    }
    assert_eq!(ledger.store.accounts_after(None, 100).unwrap().len(), 1);
}

#[test]
fn the_account_of_a_removed_user_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "none", "off");
    let key = AccountKey::User(name());
    ledger.store.write_accounts(&[(key, Some(Account::of(7)))]).unwrap();
    ledger.charge(&ledger.network("192.0.2.7".parse().unwrap()), NOW, 1).unwrap();
    ledger.flush(NOW).unwrap();
    let left = ledger.store.accounts_after(None, 10).unwrap();
    assert!(matches!(left.as_slice(), [(AccountKey::Network(_), _)]), "{left:?}");
}

#[test]
fn an_account_that_could_not_be_written_is_not_forgotten() {
    let mut accounts = Accounts::default();
    let folder = tempfile::tempdir().unwrap();
    let store = UserStore::open(folder.path()).unwrap();
    let key = AccountKey::User(name());
    accounts.get(&store, &key, 0).unwrap().usage.charge(NOW, 1);
    accounts.changed(&key);
    for minute in 0..10 {
        accounts.forget_unused(NOW + minute * 60);
        assert!(accounts.holds(&key));
    }
    assert_eq!(accounts.take_changed().len(), 1);
    accounts.forget_unused(NOW + 1_000);
    accounts.forget_unused(NOW + 2_000);
    assert!(!accounts.holds(&key));
}
