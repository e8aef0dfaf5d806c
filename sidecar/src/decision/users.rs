//! What is counted of users by their names: the messages of those who send most, and who is
//! suspended.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntCounterVec};

use super::top::{Place, Top};
use crate::metrics::{KnownGauges, Registry};
use crate::store::UserStore;
use crate::user_name::UserName;

/// The label's value for everybody who is not on the list.
const OTHER: &str = "other";

/// Messages and recipients by user. Every message counts once: under its user's name if the user is
/// on the list at that moment, else under `other`. So no series ever jumps, and a user who comes back
/// to the list begins at zero, as a counter may.
#[derive(Debug)]
pub struct TopUsers {
    messages: IntCounterVec,
    recipients: IntCounterVec,
    other: Option<Sent>,
    users: Mutex<Users>,
}

#[derive(Debug)]
struct Users {
    top: Top,
    sent: HashMap<UserName, Sent>,
}

#[derive(Debug)]
struct Sent {
    messages: IntCounter,
    recipients: IntCounter,
}

impl Sent {
    fn count(&self, recipients: u32) {
        self.messages.inc();
        self.recipients.inc_by(recipients.into());
    }
}

impl TopUsers {
    /// Counts up to `size` users by name; with 0 nothing at all.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry, size: usize) -> prometheus::Result<Self> {
        let counters = |name, help| registry.named_counters(name, help, "user");
        let mut top = Self {
            messages: counters(
                "relay_user_messages_total",
                "Accepted messages of the METRICS_USERS users who send most; other: all other users",
            )?,
            recipients: counters(
                "relay_user_recipients_total",
                "Recipients of relay_user_messages_total",
            )?,
            other: None,
            users: Mutex::new(Users { top: Top::new(size), sent: HashMap::new() }),
        };
        top.other = (size > 0).then(|| top.series(OTHER));
        Ok(top)
    }

    pub fn count(&self, now: u64, user: &UserName, recipients: u32) {
        let Some(other) = &self.other else { return };
        // This one cannot be told from the others.
        if user.as_str() == OTHER {
            return other.count(recipients);
        }
        let mut users = self.lock();
        match users.top.count(now, user, recipients.into()) {
            Place::Other => return other.count(recipients),
            Place::Listed => {}
            Place::Entered { left } => {
                if let Some(left) = left {
                    self.end(&mut users, &left);
                }
                users.sent.insert(user.clone(), self.series(user.as_str()));
            }
        }
        if let Some(sent) = users.sent.get(user) {
            sent.count(recipients);
        }
    }

    /// Ends the series of users who are no longer in the database.
    pub fn forget_removed(&self, store: &UserStore) {
        let mut users = self.lock();
        let is_gone = |user: &&UserName| matches!(store.user(user), Ok(None));
        let gone: Vec<UserName> = users.top.listed().filter(is_gone).cloned().collect();
        for user in gone {
            users.top.remove(&user);
            self.end(&mut users, &user);
        }
    }

    fn series(&self, user: &str) -> Sent {
        Sent {
            messages: self.messages.with_label_values(&[user]),
            recipients: self.recipients.with_label_values(&[user]),
        }
    }

    fn end(&self, users: &mut Users, user: &UserName) {
        users.sent.remove(user);
        for family in [&self.messages, &self.recipients] {
            // An error says that there is no such series.
            drop(family.remove_label_values(&[user.as_str()]));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is suspended at the moment. Only this process suspends; commands only lift. So those that the
/// scan after the start finds and those that are suspended later are all there are, and a scrape
/// looks again at these few.
#[derive(Debug)]
pub struct SuspendedUsers {
    names: Mutex<HashSet<UserName>>,
    /// Whether the scan has seen everybody.
    complete: AtomicBool,
    gauge: KnownGauges<()>,
}

impl SuspendedUsers {
    /// # Errors
    ///
    /// When the name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Users that are suspended; missing until the database has been read once";
        Ok(Self {
            names: Mutex::default(),
            complete: AtomicBool::new(false),
            gauge: registry.known_gauges("relay_suspended_users", help)?,
        })
    }

    pub fn add(&self, user: UserName) {
        self.lock().insert(user);
    }

    /// Those that are known, in alphabetical order; at the last scrape or later.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.lock().iter().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Says that there are no others.
    pub fn complete(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    pub fn refresh(&self, store: &UserStore) {
        let mut names = self.lock();
        // Whoever cannot be read stays.
        names.retain(|user| match store.user(user) {
            Ok(user) => user.is_some_and(|user| user.suspended.is_some()),
            Err(_) => true,
        });
        let complete = self.complete.load(Ordering::Relaxed);
        self.gauge.set((), complete.then_some(names.len() as u64));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<UserName>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{NewHash, User};

    fn name(number: usize) -> UserName {
        UserName::parse(&format!("user-{number}")).unwrap()
    }

    fn text(registry: &Registry) -> String {
        String::from_utf8(registry.text().unwrap()).unwrap()
    }

    /// The label and value of every series of a metric.
    fn series(registry: &Registry, metric: &str) -> Vec<(String, u64)> {
        let text = text(registry);
        let lines =
            text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix("{user=\""));
        let series = lines.filter_map(|line| line.split_once("\"} "));
        series.map(|(user, value)| (user.to_owned(), value.parse().unwrap())).collect()
    }

    fn store_with(users: impl Iterator<Item = UserName>) -> (tempfile::TempDir, UserStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = UserStore::open(folder.path()).unwrap();
        let user = User::new(NewHash { hash: String::new(), unguessable: true }, 0);
        users.for_each(|name| store.add(&name, &user).unwrap());
        (folder, store)
    }

    #[test]
    fn the_number_of_series_is_bounded_and_no_message_is_lost_or_counted_twice() {
        let registry = Registry::default();
        let users = TopUsers::register(&registry, 20).unwrap();
        for number in 0..5_000 {
            users.count(0, &name(number), 2);
            // A few send much more, and take turns at it.
            users.count(0, &name(number / 100), 40);
        }
        users.count(0, &UserName::parse(OTHER).unwrap(), 1);
        let messages = series(&registry, "relay_user_messages_total");
        assert_eq!(messages.len(), 21, "{messages:?}");
        assert!(messages.iter().any(|(user, _)| user == OTHER));
        // What somebody sent who left the list is no longer shown, and nothing is shown twice.
        assert!(messages.iter().map(|(_, value)| value).sum::<u64>() <= 10_001);
        assert_eq!(series(&registry, "relay_user_recipients_total").len(), 21);
    }

    #[test]
    fn with_0_no_user_is_named() {
        let registry = Registry::default();
        TopUsers::register(&registry, 0).unwrap().count(0, &name(1), 1);
        assert_eq!(text(&registry), "");
    }

    #[test]
    fn a_removed_user_loses_its_series() {
        let registry = Registry::default();
        let users = TopUsers::register(&registry, 5).unwrap();
        let (_folder, store) = store_with([name(1)].into_iter());
        users.count(0, &name(1), 3);
        users.count(0, &name(2), 3);
        users.forget_removed(&store);
        let recipients = series(&registry, "relay_user_recipients_total");
        assert_eq!(recipients, [("other".to_owned(), 0), ("user-1".to_owned(), 3)]);
    }

    #[test]
    fn suspended_users_are_counted_once_all_are_known() {
        let registry = Registry::default();
        let suspended = SuspendedUsers::register(&registry).unwrap();
        let (_folder, store) = store_with((1..4).map(name));
        for number in 1..3 {
            store.update(&name(number), |user| user.suspended = Some(7)).unwrap();
            suspended.add(name(number));
        }
        suspended.refresh(&store);
        assert_eq!(text(&registry), "");
        suspended.complete();
        suspended.refresh(&store);
        assert!(text(&registry).ends_with("relay_suspended_users 2\n"));
        store.update(&name(1), |user| user.enable(8)).unwrap();
        store.remove(&name(2)).unwrap();
        suspended.refresh(&store);
        assert!(text(&registry).ends_with("relay_suspended_users 0\n"));
    }
}
