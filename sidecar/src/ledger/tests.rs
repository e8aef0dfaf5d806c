use super::*;

const NOW: u64 = 20_000 * 86_400;

fn ledger(folder: &std::path::Path, user_limits: &str, ceiling: &str) -> Ledger {
    let store = UserStore::open(folder).unwrap();
    let defaults = DefaultLimits {
        user: user_limits.parse().unwrap(),
        network: "2/hour".parse().unwrap(),
        ceiling: ceiling.parse().unwrap(),
    };
    Ledger::open(store, defaults, Duration::from_secs(100)).unwrap()
}

fn alice(ledger: &Ledger, change: impl FnOnce(&mut User)) -> Subject {
    let mut user = User::new("x".into(), 0, None);
    change(&mut user);
    ledger.user(&UserName::parse("alice").unwrap(), &user)
}

#[test]
fn a_user_has_the_default_limits_its_own_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "3/hour", "off");
    let default = alice(&ledger, |_| ());
    assert_eq!(ledger.charge(&default, NOW, 3), Charged::Within);
    assert!(matches!(ledger.charge(&default, NOW, 1), Charged::Exceeded(_)));
    assert!(matches!(ledger.look_ahead(&default, NOW, 1), Charged::Exceeded(_)));
    let own = alice(&ledger, |user| user.limits = Some("5/hour".parse().unwrap()));
    assert_eq!(ledger.look_ahead(&own, NOW, 1), Charged::Within);
    assert_eq!(ledger.charge(&own, NOW, 2), Charged::Within);
    let exempt = alice(&ledger, |user| user.limits = Some(Limits::default()));
    assert_eq!(ledger.charge(&exempt, NOW, 1000), Charged::Within);
}

#[test]
fn clients_of_one_64_have_one_account() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "none", "off");
    let first = ledger.network("2001:db8::1".parse().unwrap());
    let second = ledger.network("2001:db8::2".parse().unwrap());
    assert_eq!(ledger.charge(&first, NOW, 2), Charged::Within);
    assert!(matches!(ledger.charge(&second, NOW, 1), Charged::Exceeded(_)));
}

#[test]
fn refused_recipients_lead_to_the_ceiling() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "1/hour", "10x");
    let subject = alice(&ledger, |_| ());
    assert_eq!(ledger.charge(&subject, NOW, 1), Charged::Within);
    for _ in 0..9 {
        assert!(matches!(ledger.look_ahead(&subject, NOW, 1), Charged::Exceeded(_)));
    }
    assert_eq!(ledger.look_ahead(&subject, NOW, 1), Charged::PassedCeiling);
    let lifted = alice(&ledger, |user| user.lifted = NOW);
    assert!(matches!(ledger.look_ahead(&lifted, NOW, 1), Charged::Exceeded(_)));
}

#[test]
fn what_was_flushed_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "3/hour", "off");
    let subject = alice(&ledger, |_| ());
    let name = UserName::parse("alice").unwrap();
    let home = "192.0.2.7".parse().unwrap();
    ledger.charge(&subject, NOW, 3);
    ledger.logged_in(&name, "phone", Some(home), NOW);
    ledger.flush(NOW).unwrap();
    ledger.charge(&subject, NOW, 1);
    let Ledger { store, defaults, .. } = ledger;
    let again = Ledger::open(store, defaults, Duration::from_secs(100)).unwrap();
    assert!(matches!(again.look_ahead(&subject, NOW, 1), Charged::Exceeded(_)));
    assert!(again.knows(&name, home, NOW + 99));
}

#[test]
fn an_account_in_which_nothing_counts_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), "none", "off");
    ledger.charge(&ledger.network("192.0.2.7".parse().unwrap()), NOW, 1);
    ledger.flush(NOW).unwrap();
    assert_eq!(ledger.store.accounts().unwrap().len(), 1);
    ledger.flush(NOW + 3 * 86_400).unwrap();
    assert_eq!(ledger.store.accounts().unwrap().len(), 0);
}
