//! Logins beside Dovecot's: with a password that was right a moment ago, and with one that has to be
//! hashed.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_sidecar::password::{self, Arena, Cost, Password};
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;
use relay_tests::sasl::plain;

use crate::dovecot::{self, Users};
use crate::lines::Lines;
use crate::load::{PASSWORD, USER};
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds;
use crate::service::{Exchanged, Service, micros};

/// Users that log in.
const USERS: usize = 100;
/// More than can log in while it is measured, if each needs a hash.
const MANY_USERS: usize = 20_000;

/// A sidecar with so many users whose password has this hash.
pub fn sidecar<'lab>(
    lab: &'lab Lab,
    hash: &str,
    users: usize,
    settings: &[(&str, &str)],
) -> Result<Service<'lab>> {
    let service = Service::sidecar(lab, "sasl.sock", settings)?;
    let mut lines = Vec::new();
    for number in 0..users {
        writeln!(lines, "user{number}:{hash}::::::")?;
    }
    let lines = String::from_utf8(lines)?;
    let output = service.relay()?.place().run(&["user", "import", "-"], &lines)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the import of the benchmark's users: {complaint}");
    Ok(service)
}

/// The hash of [`PASSWORD`], at our usual cost.
pub fn hash() -> Result<String> {
    let password = Password::choose(PASSWORD.as_bytes())?;
    Ok(password::hash(&password, Cost::default(), &mut Arena::default())?)
}

fn log_in(lines: &mut Lines, user: usize) -> Result<()> {
    let name = format!("user{user}");
    let answer = lines.ask(plain(1, &name, PASSWORD).as_bytes(), b"\n")?;
    ensure!(answer.starts_with(b"OK\t1\t"), "{name} is not let in: {answer:?}");
    Ok(())
}

fn exchange(service: &Service<'_>, connections: usize, total: usize) -> Result<Exchanged> {
    service.exchange(connections, total, Lines::sasl, |lines, number| log_in(lines, number % USERS))
}

/// Services of which one says yes to every login without looking.
fn noop<'lab>(lab: &'lab Lab) -> Result<Service<'lab>> {
    let folder = lab.evidence.directory()?.join("noop");
    std::fs::create_dir_all(&folder)?;
    let socket = folder.join("sasl.sock");
    Service::of_ours(lab, "noop", &folder, socket)
}

pub fn cached(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let services = [
        ("relay".to_owned(), sidecar(&lab, &hash()?, USERS, &[])?),
        ("Dovecot".to_owned(), dovecot::start(&lab, "dovecot", Users::File, &clear(), USERS)?),
        ("no-op".to_owned(), noop(&lab)?),
    ];
    // Each hash is computed once.
    for (_, service) in &services {
        exchange(service, 10, USERS)?;
    }
    let mut rows = Vec::new();
    for connections in [1, 10] {
        let series = rounds::interleave(plan.rounds, &services, |service| {
            let done = exchange(service, connections, plan.exchanges)?;
            Ok(vec![("rate", done.per_second), ("cpu", micros(done.cpu))])
        })?;
        let what = format!("cached login, {connections} connections");
        let rate = rounds::ratio(&series, "relay", "Dovecot", "rate");
        let measure = "logins, of Dovecot with PLAIN in a file";
        rows.push(Row::new(&what, measure, "×", rate).goal(Goal::AtLeast(3.0)));
        let floor = rounds::ratio(&series, "no-op", "Dovecot", "rate");
        rows.push(Row::new(&what, "no-op: logins, of Dovecot", "×", floor));
        // One connection has the machine wake somebody for each line, which is most of what even the no-op takes.
        let goal = (connections > 1).then_some(Goal::AtMost(8.0));
        for service in ["relay", "Dovecot", "no-op"] {
            let cpu = rounds::figure(&series, service, "cpu");
            let row = Row::new(&what, &format!("{service}: CPU a login"), "µs", cpu);
            rows.push(row.goal(goal.filter(|_| service == "relay")));
        }
    }
    drop(services);
    lab.evidence.discard()?;
    Ok(rows)
}

pub fn cold(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let hash = hash()?;
    let theirs = format!("{{ARGON2ID}}{hash}");
    let cores = thread::available_parallelism()?.get();
    let no_cache = [("LOGIN_CACHE_SIZE", "0")];
    let services = [
        ("relay".to_owned(), sidecar(&lab, &hash, USERS, &no_cache)?),
        ("file".to_owned(), dovecot::start(&lab, "dovecot-file", Users::File, &theirs, USERS)?),
        ("sqlite".to_owned(), dovecot::start(&lab, "dovecot-sql", Users::Sqlite, &theirs, USERS)?),
    ];
    let total = (plan.exchanges / 200).max(10);
    let series = rounds::interleave(plan.rounds, &services, |service| {
        let done = exchange(service, 10, total)?;
        let kernel = kernel(&hash, cores, total)?;
        Ok(vec![("rate", done.per_second), ("kernel", done.per_second / kernel)])
    })?;
    let what = "login, argon2id of 19 MiB and 2 passes, 10 connections";
    let rate = |reference| rounds::ratio(&series, "relay", reference, "rate");
    let of_kernel = rounds::figure(&series, "relay", "kernel");
    let rows = vec![
        Row::new(what, "logins, of Dovecot with a file", "×", rate("file"))
            .goal(Goal::AtLeast(2.2)),
        Row::new(what, "logins, of Dovecot with SQLite and workers", "×", rate("sqlite"))
            .goal(Goal::AtLeast(1.15)),
        Row::new(what, "logins, of argon2 alone on all cores", "×", of_kernel)
            .goal(Goal::AtLeast(0.95)),
    ];
    drop(services);
    lab.evidence.discard()?;
    Ok(rows)
}

/// Hashes a second that the machine computes on so many cores when it does nothing else.
fn kernel(hash: &str, cores: usize, total: usize) -> Result<f64> {
    let started = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let password = Password::choose(PASSWORD.as_bytes())?;
                    let mut arena = Arena::default();
                    for _ in 0..total.div_ceil(cores) {
                        ensure!(password::verify(&password, hash, &mut arena)?, "a wrong hash");
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok((total.div_ceil(cores) * cores) as f64 / started.elapsed().as_secs_f64())
}

/// A cached login while ten others keep the hashing threads busy.
pub fn cached_beside_cold(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let service = sidecar(&lab, &hash()?, MANY_USERS, &[])?;
    // Whom the relay knows to have a password that cannot be guessed, from an address it knows.
    service.relay()?.add_user(USER, PASSWORD)?;
    let mut warm = Lines::sasl(&service.socket)?;
    let mut log_in_again = || {
        let answer = warm.ask(plain(1, USER, PASSWORD).as_bytes(), b"\n")?;
        ensure!(answer.starts_with(b"OK\t1\t"), "{USER} is not let in: {answer:?}");
        Ok::<_, anyhow::Error>(())
    };
    log_in_again()?;
    let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut times = crate::load::histogram()?;
    thread::scope(|scope| {
        for _ in 0..10 {
            let (stop, service, next) = (&stop, &service, &next);
            scope.spawn(move || {
                let mut lines = Lines::sasl(&service.socket)?;
                while !stop.load(Ordering::Relaxed) {
                    // Nobody comes twice, so each costs a hash.
                    log_in(&mut lines, next.fetch_add(1, Ordering::Relaxed))?;
                }
                Ok::<_, anyhow::Error>(())
            });
        }
        let until = Instant::now() + Duration::from_millis(200 * plan.rounds as u64);
        let measured = (|| -> Result<()> {
            while Instant::now() < until {
                let started = Instant::now();
                log_in_again()?;
                times.saturating_record(crate::load::micros(started.elapsed()));
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        })();
        stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let what = "a cached login while 10 cold ones are checked at any time";
    let at = |quantile| {
        let value = times.value_at_quantile(quantile) as f64 / 1_000.0;
        rounds::Figure::of(&[value])
    };
    drop(service);
    lab.evidence.discard().context("ending the benchmark of logins")?;
    Ok(vec![
        Row::new(what, "p50", "ms", at(0.5)).goal(Goal::AtMost(0.1)),
        Row::new(what, "p99", "ms", at(0.99)).goal(Goal::AtMost(4.0)),
    ])
}

fn clear() -> String {
    format!("{{PLAIN}}{PASSWORD}")
}
