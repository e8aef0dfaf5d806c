use std::path::Path;
use std::time::Duration;

use super::*;
use crate::limits::guessing::GuessLimit;
use crate::limits::limit::DefaultLimits;
use crate::metrics::Registry;
use crate::password::pool::PoolMetrics;
use crate::password::{Arena, Password};
use crate::users::NewHash;

const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

/// What an authenticator over a new database works with, for the tests of whoever needs one.
pub fn dependencies(folder: &Path) -> Dependencies {
    let store = UserStore::open(folder).unwrap();
    let registry = Registry::default();
    let trust = Duration::from_secs(86_400);
    Dependencies {
        ledger: Arc::new(Ledger::new(store.clone(), DefaultLimits::default(), trust)),
        pool: HashingPool::start(1, &PoolMetrics::register(&registry).unwrap()).unwrap(),
        cache: VerifiedCache::new(100, Duration::from_secs(60)).unwrap(),
        guess_limits: GuessLimits {
            per_address: GuessLimit { most: 20, window: 3600 },
            per_user: GuessLimit { most: 20, window: 3600 },
        },
        gateways: Gateways::of(&["172.18.0.1"]),
        cost: CHEAP,
        enabled: true,
        metrics: AuthMetrics::register(&registry).unwrap(),
        store,
    }
}

fn claim(authorization: &str, authentication: &str, password: &str) -> Credentials {
    Credentials {
        authentication_identity: authentication.into(),
        authorization_identity: authorization.into(),
        password: Password::received(password.as_bytes()),
    }
}

fn cheap_hash(password: &str) -> NewHash {
    let password = Password::choose(password.as_bytes()).unwrap();
    let hash = password::hash(&password, CHEAP, &mut Arena::default()).unwrap();
    NewHash { hash, unguessable: password::strength::is_unguessable(&password) }
}

pub fn add(store: &UserStore, name: &str, password: &str) -> UserName {
    let name = UserName::parse(name).unwrap();
    store.add(&name, &User::new(cheap_hash(password), 0)).unwrap();
    name
}

struct Lab {
    authenticator: Authenticator,
    store: UserStore,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn new(change: impl FnOnce(&mut Dependencies)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut with = dependencies(folder.path());
        change(&mut with);
        let store = with.store.clone();
        Self { authenticator: Authenticator::new(with).unwrap(), store, _folder: folder }
    }

    async fn login(&self, user: &str, password: &str, from: &str) -> AuthResult {
        let client = from.parse().ok();
        self.authenticator.check(&claim("", user, password), client).await.unwrap().result
    }
}

const HOME: &str = "192.0.2.7";
const AWAY: &str = "203.0.113.9";

#[tokio::test]
async fn who_is_let_in() {
    let lab = Lab::new(|_| ());
    add(&lab.store, "alice", "secret");
    let disabled = add(&lab.store, "bob", "secret");
    lab.store.update(&disabled, |user| user.enabled = false).unwrap();
    let suspended = add(&lab.store, "dave", "secret");
    lab.store.update(&suspended, |user| user.suspended = Some(1)).unwrap();
    let expired = add(&lab.store, "eve", "secret");
    lab.store.update(&expired, |user| user.expires = Some(1)).unwrap();
    let at_home = add(&lab.store, "frank", "secret");
    let networks = vec!["198.51.100.0/24".parse().unwrap()];
    lab.store.update(&at_home, |user| user.login_networks = networks).unwrap();
    let cases = [
        ("", "alice", "secret", AuthResult::Accepted, Some("alice")),
        ("alice", "alice", "secret", AuthResult::Accepted, Some("alice")),
        ("ALICE", "Alice", "secret", AuthResult::Accepted, Some("alice")),
        ("bob", "alice", "secret", AuthResult::OtherIdentity, Some("alice")),
        ("\u{ff}", "alice", "secret", AuthResult::OtherIdentity, Some("alice")),
        ("", "alice", "Secret", AuthResult::WrongPassword, Some("alice")),
        ("", "alice", "secret ", AuthResult::WrongPassword, Some("alice")),
        ("", "bob", "secret", AuthResult::UserDisabled, Some("bob")),
        ("", "bob", "wrong", AuthResult::WrongPassword, Some("bob")),
        ("", "carol", "secret", AuthResult::UserUnknown, Some("carol")),
        ("", "dave", "secret", AuthResult::UserSuspended, Some("dave")),
        ("", "eve", "secret", AuthResult::Expired, Some("eve")),
        ("", "frank", "secret", AuthResult::OtherNetwork, Some("frank")),
        ("", "not a name", "secret", AuthResult::UserUnknown, None),
    ];
    for (authorization, authentication, password, result, user) in cases {
        let claim = claim(authorization, authentication, password);
        let outcome = lab.authenticator.check(&claim, HOME.parse().ok()).await.unwrap();
        assert_eq!(outcome.result, result, "{authorization} {authentication} {password}");
        assert_eq!(outcome.user.as_ref().map(UserName::as_str), user);
    }
}

#[tokio::test]
async fn each_of_several_passwords_logs_in_until_it_expires_or_is_removed() {
    let lab = Lab::new(|_| ());
    let alice = add(&lab.store, "alice", "secret");
    let second = Credential::new("printer", cheap_hash("paper"), 0);
    lab.store.update(&alice, |user| user.credentials.push(second)).unwrap();
    assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::Accepted);
    assert_eq!(lab.login("alice", "paper", HOME).await, AuthResult::Accepted);
    lab.store.update(&alice, |user| user.credentials[1].expires = Some(1)).unwrap();
    assert_eq!(lab.login("alice", "paper", HOME).await, AuthResult::WrongPassword);
    lab.store.update(&alice, |user| user.credentials.truncate(1)).unwrap();
    assert_eq!(lab.login("alice", "paper", HOME).await, AuthResult::WrongPassword);
    assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::Accepted);
}

#[tokio::test]
async fn a_cached_login_ends_with_what_it_was_based_on() {
    let lab = Lab::new(|_| ());
    let alice = add(&lab.store, "alice", "secret");
    for _ in 0..3 {
        assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::Accepted);
    }
    assert_eq!(lab.login("bob", "secret", HOME).await, AuthResult::UserUnknown);
    lab.store.update(&alice, |user| user.enabled = false).unwrap();
    assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::UserDisabled);
    lab.store.update(&alice, |user| user.enable(1)).unwrap();
    lab.store.update(&alice, |user| user.set_password(cheap_hash("new"), 1)).unwrap();
    assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::WrongPassword);
    assert_eq!(lab.login("alice", "new", HOME).await, AuthResult::Accepted);
    lab.store.remove(&alice).unwrap();
    assert_eq!(lab.login("alice", "new", HOME).await, AuthResult::UserUnknown);
}

#[tokio::test]
async fn a_wrong_password_that_becomes_right_is_let_in() {
    let lab = Lab::new(|_| ());
    let alice = add(&lab.store, "alice", "secret");
    for _ in 0..3 {
        assert_eq!(lab.login("alice", "future", HOME).await, AuthResult::WrongPassword);
    }
    lab.store.update(&alice, |user| user.set_password(cheap_hash("future"), 1)).unwrap();
    assert_eq!(lab.login("alice", "future", HOME).await, AuthResult::Accepted);
}

const UNGUESSABLE: &str = "correct horse battery staple";

#[tokio::test]
async fn guessing_is_stopped_by_address_and_slowed_down_by_user() {
    let lab = Lab::new(|_| ());
    add(&lab.store, "alice", "secret");
    assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::Accepted);
    for guess in 0..20 {
        let result = lab.login("alice", &format!("guess{guess}"), AWAY).await;
        assert_eq!(result, AuthResult::WrongPassword);
    }
    assert_eq!(lab.login("alice", "secret", AWAY).await, AuthResult::LimitedAddress);
    assert_eq!(lab.login("bob", "secret", AWAY).await, AuthResult::LimitedAddress);
    // A newcomer has a turn, and takes it; the next one has to wait for a while.
    assert_eq!(lab.login("alice", "guess", "198.51.100.1").await, AuthResult::WrongPassword);
    assert_eq!(lab.login("alice", "secret", "198.51.100.2").await, AuthResult::LimitedUser);
    assert_eq!(lab.login("alice", "secret", HOME).await, AuthResult::Accepted, "it is known");
}

/// The results of fifty logins at once, of these users with these passwords from these addresses.
async fn fifty_at_once(
    lab: Lab,
    login: impl Fn(usize) -> (String, String, String),
) -> Vec<AuthResult> {
    let lab = Arc::new(lab);
    let logins = (0..50).map(|number| {
        let (lab, (user, password, from)) = (Arc::clone(&lab), login(number));
        async move { lab.login(&user, &password, &from).await }
    });
    logins.collect::<tokio::task::JoinSet<_>>().join_all().await
}

fn count(results: &[AuthResult], result: AuthResult) -> usize {
    results.iter().filter(|one| **one == result).count()
}

#[tokio::test]
async fn fifty_guesses_at_once_are_no_more_than_the_limit() {
    let lab = Lab::new(|_| ());
    add(&lab.store, "alice", "secret");
    let results = fifty_at_once(lab, |n| ("alice".into(), format!("guess{n}"), AWAY.into())).await;
    assert_eq!(count(&results, AuthResult::WrongPassword), 20);
    assert_eq!(count(&results, AuthResult::LimitedAddress), 30);

    let lab = Lab::new(|_| ());
    add(&lab.store, "alice", "secret");
    let from = |n| format!("198.51.100.{n}");
    let results = fifty_at_once(lab, |n| ("alice".into(), format!("guess{n}"), from(n))).await;
    assert_eq!(count(&results, AuthResult::WrongPassword), 20 + 1, "and a newcomer's turn");
    assert_eq!(count(&results, AuthResult::LimitedUser), 29);
}

#[tokio::test]
async fn fifty_right_passwords_at_once_are_all_let_in() {
    let lab = Lab::new(|_| ());
    for number in 0..50 {
        add(&lab.store, &format!("user{number}"), "secret");
    }
    let results = fifty_at_once(lab, |n| (format!("user{n}"), "secret".into(), AWAY.into())).await;
    assert_eq!(count(&results, AuthResult::Accepted), 50, "{results:?}");
}

#[tokio::test]
async fn strangers_cannot_slow_down_who_has_an_unguessable_password() {
    let lab = Lab::new(|_| ());
    add(&lab.store, "alice", UNGUESSABLE);
    for guess in 0..60 {
        let (password, from) = (format!("guess{guess}"), format!("198.51.100.{guess}"));
        assert_eq!(lab.login("alice", &password, &from).await, AuthResult::WrongPassword);
    }
    assert_eq!(lab.login("alice", UNGUESSABLE, HOME).await, AuthResult::Accepted);
}

#[tokio::test]
async fn a_stranger_behind_the_gateway_slows_down_one_user_at_most() {
    let lab = Lab::new(|_| ());
    add(&lab.store, "alice", "secret");
    let gateway = "::ffff:172.18.0.1";
    assert_eq!(lab.login("alice", "secret", gateway).await, AuthResult::Accepted);
    for guess in 0..21 {
        let result = lab.login("bob", &format!("guess{guess}"), gateway).await;
        assert_eq!(result, AuthResult::UserUnknown);
    }
    assert_eq!(lab.login("bob", "x", gateway).await, AuthResult::LimitedUser);
    assert_eq!(lab.login("alice", "secret", gateway).await, AuthResult::Accepted);
}

#[tokio::test]
async fn nobody_is_guessed_at_like_somebody() {
    let lab = Lab::new(|_| ());
    for guess in 0..21 {
        let (password, from) = (format!("guess{guess}"), format!("198.51.100.{guess}"));
        assert_eq!(lab.login("nobody", &password, &from).await, AuthResult::UserUnknown);
    }
    assert_eq!(lab.login("nobody", "x", AWAY).await, AuthResult::LimitedUser);
}

#[tokio::test]
async fn whether_a_password_can_be_guessed_is_learnt_at_its_login() {
    let lab = Lab::new(|_| ());
    let name = add(&lab.store, "alice", UNGUESSABLE);
    lab.store.update(&name, |user| user.credentials[0].unguessable = false).unwrap();
    assert_eq!(lab.login("alice", UNGUESSABLE, HOME).await, AuthResult::Accepted);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !lab.store.user(&name).unwrap().unwrap().credentials[0].unguessable {
        assert!(Instant::now() < deadline, "it was not learnt");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_good_login_renews_a_hash_of_another_cost_and_of_another_server() {
    let dearer = Cost { iterations: 2, ..CHEAP };
    let lab = Lab::new(|with| with.cost = dearer);
    let alice = add(&lab.store, "alice", "secret");
    let bcrypt = "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
    let bob = UserName::parse("bob").unwrap();
    lab.store
        .add(&bob, &User::new(NewHash { hash: bcrypt.into(), unguessable: false }, 0))
        .unwrap();
    for name in [alice, bob] {
        assert_eq!(lab.login(name.as_str(), "secret", HOME).await, AuthResult::Accepted);
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let user = lab.store.user(&name).unwrap().unwrap();
            if !password::is_outdated(&user.credentials[0].hash, dearer) {
                break;
            }
            assert!(Instant::now() < deadline, "the hash was not renewed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(lab.login(name.as_str(), "secret", HOME).await, AuthResult::Accepted);
    }
}
