//! Random operations and random faults; then all relays are equal, and every change that was confirmed is there.
//!
//! `RELAY_TEST_FLEET_SECONDS=600` is a long run; `RELAY_TEST_FLEET_SEED` repeats one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use relay_tests::fleet::Fleet;
use relay_tests::fleet::network::Site;
use relay_tests::lab::in_a_lab;
use relay_tests::relay::Relay;
use relay_tests::sidecar::Place;
use relay_tests::wait;
use rustix::process::Signal;

const SECONDS: u64 = 25;
const NAMES: u64 = 6;
/// Changes without which a run has shown nothing.
const FEW: usize = 10;

/// A generator of numbers that the seed repeats (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One operation, when it was under way, and whether it was confirmed.
#[derive(Debug, Clone)]
struct Operation {
    name: String,
    /// The note that the user has after it, or none: it was removed.
    after: Option<String>,
    began: Instant,
    ended: Instant,
    confirmed: bool,
}

fn number(variable: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is not a number")),
        Err(_) => Ok(otherwise),
    }
}

/// Adds, changes and removes users until it is told to stop.
fn operate(
    place: Place<'_>,
    mut dice: Dice,
    stop: &AtomicBool,
    log: &Mutex<Vec<Operation>>,
) -> Result<()> {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("user{}", dice.below(NAMES));
        count += 1;
        let note = format!("{}-{count}", dice.0);
        let (arguments, after) = match dice.below(4) {
            0 => (vec!["user", "remove", &name], None),
            1 => (vec!["user", "add", &name, "--generate", "--note", &note], Some(note.clone())),
            _ => (vec!["user", "set", &name, "--note", &note], Some(note.clone())),
        };
        let began = Instant::now();
        let output = place.run(&arguments, "")?;
        let ended = Instant::now();
        let (confirmed, happened) = match output.status.code() {
            Some(0) => (true, true),
            // It exists, it does not, somebody was faster: nothing was changed.
            Some(3 | 4 | 13) => (false, false),
            Some(12) => {
                (false, !String::from_utf8_lossy(&output.stderr).contains("nothing was changed"))
            }
            _ => anyhow::bail!("{arguments:?}: {output:?}"),
        };
        if happened {
            let operation = Operation { name, after, began, ended, confirmed };
            log.lock().unwrap_or_else(|error| error.into_inner()).push(operation);
        }
    }
    Ok(())
}

/// One fault after the other, each mended before the next.
fn disturb(fleet: &mut Fleet<'_>, dice: &mut Dice, until: Instant) -> Result<()> {
    let pause =
        |dice: &mut Dice| std::thread::sleep(Duration::from_millis(500 + dice.below(2_500)));
    while Instant::now() < until {
        pause(dice);
        match dice.below(4) {
            0 => {
                let victim = usize::try_from(dice.below(3))?;
                fleet.servers.kill(victim);
                pause(dice);
                fleet.servers.start_one(victim)?;
            }
            1 => {
                fleet.network.cut()?;
                pause(dice);
                fleet.network.heal()?;
            }
            2 => {
                fleet.servers.signal_all(Signal::STOP)?;
                pause(dice);
                fleet.servers.signal_all(Signal::CONT)?;
            }
            _ => {
                fleet.servers.kill_all();
                pause(dice);
                fleet.servers.start_all()?;
            }
        }
    }
    Ok(())
}

fn confirmed(operations: &[Operation]) -> usize {
    operations.iter().filter(|one| one.confirmed).count()
}

/// Names and notes, in order.
fn users(relay: &Relay<'_>) -> Result<Vec<(String, Option<String>)>> {
    let listed = relay.manage_user(&["list", "--json"], "")?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let text = |user: &serde_json::Value, key: &str| {
        user.get(key).and_then(|value| value.as_str()).map(str::to_owned)
    };
    let users = listed.as_array().context("no list")?.iter();
    users.map(|user| Ok((text(user, "name").context("no name")?, text(user, "note")))).collect()
}

/// Whether the end follows from what was done: no confirmed operation began after the last one had ended.
fn explain(name: &str, end: Option<&str>, operations: &[Operation]) -> Result<()> {
    let of_name: Vec<&Operation> = operations.iter().filter(|one| one.name == name).collect();
    let overwritten = |last: &Operation| {
        of_name.iter().any(|one| one.confirmed && one.began > last.ended && one.after != last.after)
    };
    let possible = of_name.iter().any(|one| one.after.as_deref() == end && !overwritten(one));
    let untouched = end.is_none() && !of_name.iter().any(|one| one.confirmed);
    ensure!(
        possible || untouched,
        "{name} ended as {end:?}, which follows from none of: {of_name:#?}"
    );
    Ok(())
}

#[test]
fn after_random_faults_all_relays_are_equal_and_every_confirmed_change_is_there() -> Result<()> {
    in_a_lab(|lab| {
        let seed = number("RELAY_TEST_FLEET_SEED", u64::from(std::process::id()) + 1)?;
        println!("RELAY_TEST_FLEET_SEED={seed}");
        let length = Duration::from_secs(number("RELAY_TEST_FLEET_SECONDS", SECONDS)?);
        let mut fleet = Fleet::at(lab, &[Site::East, Site::East, Site::West])?;
        let relays = [
            fleet.relay_at("a", Site::East)?,
            fleet.relay_at("b", Site::East)?,
            fleet.relay_at("c", Site::West)?,
        ];
        let (stop, log) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let until = Instant::now() + length;
        std::thread::scope(|scope| -> Result<()> {
            let mut threads = Vec::new();
            for (position, relay) in relays.iter().enumerate() {
                let dice = Dice(seed.wrapping_mul(1_000_003) + position as u64 + 1);
                let (place, stop, log) = (relay.place(), &stop, &log);
                threads.push(scope.spawn(move || operate(place, dice, stop, log)));
            }
            let disturbed = disturb(&mut fleet, &mut Dice(seed), until).and_then(|()| {
                // In a short run there is little time between two faults.
                wait::until("some changes to be confirmed", wait::A_WHILE * 4, || {
                    (confirmed(&log.lock().ok()?) > FEW).then_some(())
                })
            });
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            disturbed
        })?;
        fleet.servers.wait_for_agreement()?;
        wait::until("a last change", wait::A_WHILE * 4, || {
            relays[0].manage_user(&["add", "last", "--generate"], "").ok()
        })?;
        for relay in &relays {
            relay.wait_for_user("last", Some("enabled"))?;
        }
        let exports: Vec<Vec<u8>> = relays
            .iter()
            .map(|relay| Ok(relay.place().run(&["user", "export"], "")?.stdout))
            .collect::<Result<_>>()?;
        ensure!(exports[0] == exports[1] && exports[0] == exports[2], "the relays differ");
        let operations = log.into_inner().unwrap_or_else(|error| error.into_inner());
        let confirmed = confirmed(&operations);
        println!("{confirmed} changes confirmed, {} not known", operations.len() - confirmed);
        let found = users(&relays[0])?;
        for number in 0..NAMES {
            let name = format!("user{number}");
            let end = found
                .iter()
                .find(|(known, _)| *known == name)
                .and_then(|(_, note)| note.as_deref());
            explain(&name, end, &operations)?;
        }
        Ok(())
    })
}
