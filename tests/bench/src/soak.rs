//! Everything at once, for a while: is it as fast, as small and as honest at the end as at the start?
//!
//! The sidecar has 64 MiB, as a small server gives it. Clients send with and without a login, strangers
//! guess, others connect and stall, users come and go, the certificate is renewed, the volume of the users
//! fills and is emptied again, and the sidecar is stopped and killed. In the end every message that was accepted has
//! arrived once.

mod sample;
mod trouble;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, Lab};
use relay_tests::relay::Relay;
use relay_tests::requirements::Requirements;

use crate::load::{self, PASSWORD, USER};
use crate::sink::CountingSink;
use crate::stack::Mount;
use sample::Samples;

/// What the sidecar may take.
const MEMORY: u64 = 64 << 20;
/// Room for the users: enough for all there are, and soon full.
const USERS_VOLUME: &str = "mode=0700,uid=10027,gid=10025,size=8m";
/// Between two messages of one client.
const PAUSE: Duration = Duration::from_millis(100);
/// A memory that is filled at first use (argon2id's arenas, the caches) is filled by then.
const WARM: Duration = Duration::from_secs(60);

/// What the threads share.
pub(crate) struct Shared {
    stop: AtomicBool,
    accepted: AtomicU64,
    /// Messages that a client was told to bring again: it may have been stopped half-way.
    put_off: AtomicU64,
}

impl Shared {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// Runs for so long, and says what it was like.
pub fn run(length: Duration) -> Result<String> {
    let lab = Lab::open(Requirements::find()?)?;
    let mut relay = lab
        .relay_to_sink()
        .env("TLS_CERT", "/certs/cert.pem")
        .env("TLS_KEY", "/certs/key.pem")
        .sidecar_env("HASHING_THREADS", "1")
        .build()?;
    trouble::renew_certificate(&relay)?;
    let users = Mount::make(&relay.users(), USERS_VOLUME)?;
    let limit = trouble::MemoryLimit::new(MEMORY)?;
    relay.break_sidecar_container(&limit.join())?;
    let sink = CountingSink::listen(relay.namespace())?;
    relay.start()?;
    relay.add_user(USER, PASSWORD)?;
    let shared = Shared {
        stop: AtomicBool::new(false),
        accepted: AtomicU64::new(0),
        put_off: AtomicU64::new(0),
    };
    let samples = soak(&mut relay, &shared, length)?;
    let accepted = shared.accepted.load(Ordering::Relaxed);
    sink.wait_for(accepted, Duration::from_secs(60))?;
    // One that came twice would come now.
    thread::sleep(Duration::from_secs(2));
    let received = sink.received();
    let put_off = shared.put_off.load(Ordering::Relaxed);
    ensure!(
        received >= accepted && received <= accepted + put_off,
        "{accepted} messages were accepted and {put_off} put off, but {received} have arrived"
    );
    let report = samples.judge(WARM.min(length / 3))?;
    let log = relay.postfix()?.output();
    let renewed = log.matches("now using the renewed certificate").count();
    ensure!(renewed > 0, "no certificate was renewed");
    drop(relay);
    drop(users);
    lab.evidence.discard()?;
    Ok(format!(
        "{accepted} accepted, {put_off} put off, {received} arrived, {renewed} certificates were renewed\n{report}"
    ))
}

fn soak(relay: &mut Relay<'_>, shared: &Shared, length: Duration) -> Result<Samples> {
    let until = Instant::now() + length;
    let mut samples = Samples::default();
    while Instant::now() < until {
        // What needs the relay for itself (it is stopped and started) is done between two stretches.
        let stretch = (until - Instant::now()).min(Duration::from_secs(60));
        shared.stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let relay = &*relay;
            for port in [25, 25, 587, 587] {
                scope.spawn(move || client(relay, shared, port));
            }
            for number in 0..5 {
                scope.spawn(move || trouble::guess(relay, shared, number));
            }
            scope.spawn(move || trouble::stall(relay, shared));
            scope.spawn(move || trouble::users_come_and_go(relay, shared));
            scope.spawn(move || trouble::certificates_are_renewed(relay, shared));
            scope.spawn(move || trouble::volume_fills(relay, shared));
            let sampled = samples.take(relay, Instant::now() + stretch);
            shared.stop.store(true, Ordering::Relaxed);
            sampled
        })?;
        if Instant::now() < until {
            trouble::restart_sidecar(relay, samples.stretches().is_multiple_of(2))?;
            samples.restarted();
        }
    }
    Ok(samples)
}

/// One message after the other; what is refused for now is brought again, as a mail server does.
fn client(relay: &Relay<'_>, shared: &Shared, port: u16) {
    let message = load::message(4096);
    while shared.goes_on() {
        let sent = (|| -> Result<u16> {
            let mut client = if port == 587 {
                relay.login(HOME, port, USER, PASSWORD)?
            } else {
                relay.session(HOME, port)?
            };
            let reply = client.send("alice@example.org", &["bob@example.net"], &message)?;
            client.quit().ok();
            Ok(reply.code)
        })();
        match sent {
            Ok(250) => shared.accepted.fetch_add(1, Ordering::Relaxed),
            Ok(_) | Err(_) => shared.put_off.fetch_add(1, Ordering::Relaxed),
        };
        thread::sleep(PAUSE);
    }
}

/// The one process of the sidecar.
pub(crate) fn sidecar_id(relay: &Relay<'_>) -> Result<u32> {
    Ok(relay.sidecar().context("the sidecar is stopped")?.id())
}
