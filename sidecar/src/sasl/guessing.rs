//! Who may have a password looked at now: the limits on guessing, for logins that run side by side.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};

use super::metrics::AuthMetrics;
use super::outcome::AuthResult;
use crate::clock::now;
use crate::gateways::Gateways;
use crate::limits::guessing::{Attempt, GuessLimits, Guesses, Judgement};

/// How long a login waits for others that are looked at. With the wait for a hashing thread it stays
/// below the 10 s after which Postfix gives up.
const MAX_WAIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Guessing {
    guesses: Mutex<Guesses>,
    /// Some password was looked at.
    looked_at: Notify,
    /// Addresses that many clients share.
    gateways: Gateways,
    gateway_seen: Once,
    metrics: AuthMetrics,
    /// Who hears of addresses that guessed too much, and until when that counts.
    blocked: OnceLock<Sender<(IpAddr, u64)>>,
}

/// What becomes of a login.
#[derive(Debug)]
pub enum Admission<'a> {
    /// Its password is looked at.
    Look(Look<'a>),
    /// The password was wrong before.
    KnownWrong,
    Refused(AuthResult),
}

impl Guessing {
    pub fn new(limits: GuessLimits, gateways: Gateways, metrics: AuthMetrics) -> Self {
        Self {
            guesses: Mutex::new(Guesses::new(limits)),
            looked_at: Notify::new(),
            gateways,
            gateway_seen: Once::new(),
            metrics,
            blocked: OnceLock::new(),
        }
    }

    /// The client as somebody to hold guesses against. Counting them by the gateway's address would
    /// let one stranger lock everybody out.
    pub fn guesser(&self, client: Option<IpAddr>) -> Option<IpAddr> {
        let client = client?.to_canonical();
        if !self.gateways.is_shared(client) {
            return Some(client);
        }
        self.gateway_seen.call_once(|| {
            tracing::warn!(
                gateway = %client,
                "clients arrive from the container's gateway and cannot be told apart, so limits \
                 by address do not apply to them (IPv6: give the Docker network an IPv6 subnet; \
                 rootless: use a port driver that keeps source addresses)"
            );
        });
        None
    }

    /// Waits, if need be, until it is known whether this password may be looked at.
    pub async fn admit<'a>(&'a self, attempt: &'a Attempt<'a>) -> Admission<'a> {
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            let mut other_looked_at = std::pin::pin!(self.looked_at.notified());
            // Before the judgement, so that what is looked at right behind it is not missed.
            other_looked_at.as_mut().enable();
            if let Some(admission) = self.judge(attempt) {
                return admission;
            }
            if timeout_at(deadline, other_looked_at).await.is_err() {
                return Admission::Refused(AuthResult::LimitedUser);
            }
        }
    }

    /// `None` if it has to wait.
    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>) -> Option<Admission<'a>> {
        let mut guesses = self.guesses();
        // To repeat that a password is wrong gives nothing away.
        if guesses.is_known_wrong(attempt) {
            guesses.count_wrong(now(), attempt);
            return Some(Admission::KnownWrong);
        }
        match guesses.judge(now(), attempt) {
            Judgement::Check => Some(Admission::Look(Look { guessing: self, attempt })),
            Judgement::Wait => None,
            Judgement::AddressOverLimit => Some(Admission::Refused(AuthResult::LimitedAddress)),
            Judgement::ComeBack => Some(Admission::Refused(AuthResult::LimitedUser)),
        }
    }

    /// Tells somebody of addresses that guess too much from now on. Only the first one who asks.
    pub fn tell(&self, blocked: Sender<(IpAddr, u64)>) {
        drop(self.blocked.set(blocked));
    }

    /// Takes it from another relay that this address guessed too much there.
    pub fn block(&self, address: IpAddr, until: u64) {
        // An address that many clients share elsewhere may be one that many share here.
        if !self.gateways.is_shared(address) {
            self.guesses().block(address, until);
        }
    }

    /// Addresses that are over their limit now.
    pub fn blocked_addresses(&self) -> usize {
        self.guesses().blocked_addresses(now())
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password that is being looked at. It counts as a guess until this is dropped, and after that if
/// it was [`Look::wrong`]: a login that is given up half-way holds nobody up.
#[derive(Debug)]
pub struct Look<'a> {
    guessing: &'a Guessing,
    attempt: &'a Attempt<'a>,
}

impl Look<'_> {
    pub fn wrong(self) {
        let mut guesses = self.guessing.guesses();
        guesses.count_wrong(now(), self.attempt);
        let blocked = guesses.blocked_until(now(), self.attempt);
        let evicted = guesses.take_evicted();
        self.guessing.metrics.guesses(guesses.remembered(), evicted);
        drop(guesses);
        if let (Some(blocked), Some(told)) = (blocked, self.guessing.blocked.get()) {
            // Under a flood some are not told of; they are blocked here all the same.
            let _told = told.try_send(blocked);
        }
        if evicted > 0 {
            tracing::warn!(
                evicted,
                "wrong passwords come from so many addresses that the oldest records were dropped"
            );
        }
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.guessing.guesses().looked_at(self.attempt);
        self.guessing.looked_at.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::guessing::{GuessLimit, Target};
    use crate::metrics::Registry;

    fn guessing() -> Guessing {
        let limit = GuessLimit { most: 1, window: 3600 };
        let limits = GuessLimits { per_address: limit, per_user: limit };
        let metrics = AuthMetrics::register(&Registry::default()).unwrap();
        Guessing::new(limits, Gateways::of(&[]), metrics)
    }

    fn guess(password: u64) -> Attempt<'static> {
        let address = Some("192.0.2.7".parse().unwrap());
        Attempt { address, user: "alice", target: Target::Guessable, password, known: false }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_waits_for_the_one_before_it_and_then_has_its_answer() {
        for (is_wrong, is_admitted) in [(true, false), (false, true)] {
            let (guessing, first, second) = (guessing(), guess(1), guess(2));
            let Admission::Look(look) = guessing.admit(&first).await else { panic!("not first") };
            let finish = async {
                tokio::time::sleep(MAX_WAIT / 2).await;
                // One that is not wrong was right, or given up half-way.
                if is_wrong { look.wrong() } else { drop(look) }
            };
            let (admission, ()) = tokio::join!(guessing.admit(&second), finish);
            match is_admitted {
                true => assert!(matches!(admission, Admission::Look(_)), "{admission:?}"),
                false => assert!(
                    matches!(admission, Admission::Refused(AuthResult::LimitedAddress)),
                    "{admission:?}"
                ),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_waits_too_long_is_asked_to_come_back() {
        let (guessing, first, second) = (guessing(), guess(1), guess(2));
        let _look = guessing.admit(&first).await;
        let admission = guessing.admit(&second).await;
        assert!(matches!(admission, Admission::Refused(AuthResult::LimitedUser)), "{admission:?}");
    }
}
