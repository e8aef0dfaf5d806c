//! A thousand addresses guess at two names, and whoever knows the password gets in all the same.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relay_tests::lab::{HOME, in_a_lab};
use relay_tests::relay::Relay;
use relay_tests::sasl::Connection;
use relay_tests::smtp::Mechanism;
use relay_tests::wait::until;

/// Nobody finds this one by trying.
const UNGUESSABLE: &str = "correct horse battery staple";
/// Short enough to be guessed.
const CHOSEN: &str = "horse battery";
const ADDRESSES: u32 = 1_000;
const CONNECTIONS: u32 = 20;
/// Over the limit, one password in so many seconds is looked at in each of the turns: newcomers,
/// addresses that the user is known to log in from, and all others.
const PACE: u64 = 30;
const TURNS: u64 = 3;
/// "At once" for a login among guesses, on a machine that runs other tests as well.
const AT_ONCE: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_mins(2);
/// How long a person waits before trying again.
const AGAIN: Duration = Duration::from_secs(4);

fn guess(number: u32, name: &str) -> String {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + number % ADDRESSES);
    let response = BASE64.encode(format!("\0{name}\0guess {number}"));
    format!(
        "AUTH\t1\tPLAIN\tservice=smtp\tlip=192.0.2.1\trip={address}\tsecured\tresp={response}\n"
    )
}

/// One of the guessers' connections. Whoever has to wait is told so by the end of the connection,
/// of which Postfix makes 454.
fn flood(relay: &Relay<'_>, stop: &AtomicBool, guesses: &AtomicU32) -> Result<()> {
    let socket = relay.socket("sasl.sock");
    let mut connection = Connection::ready(&socket)?;
    while !stop.load(Ordering::Relaxed) {
        let number = guesses.fetch_add(1, Ordering::Relaxed);
        let name = if number.is_multiple_of(2) { "home" } else { "alice" };
        connection.send(guess(number, name))?;
        match connection.line_or_end()? {
            Some(line) => ensure!(line.starts_with("FAIL\t1\t"), "a guess is answered {line}"),
            None => connection = Connection::ready(&socket)?,
        }
    }
    Ok(())
}

/// All answers of one kind so far.
fn answered(relay: &Relay<'_>, result: &str) -> Result<u32> {
    let labels = format!("mechanism=\"PLAIN\",result=\"{result}\"");
    let value = relay.sidecar()?.metric(&format!("relay_auth_attempts_total{{{labels}}}"))?;
    Ok(value.parse()?)
}

/// Passwords of alice that were found to be wrong, and not answered unseen.
fn looked_at(relay: &Relay<'_>) -> Result<u64> {
    let log = relay.sidecar()?.output();
    let of_alice = log.lines().filter(|line| line.contains("user=alice"));
    let seen = of_alice.filter(|line| line.contains("result=wrong_password "));
    Ok(u64::try_from(seen.count())?)
}

/// Tries from a new address each time, as behind a provider that gives out another one.
fn gets_in(relay: &Relay<'_>, name: &str, password: &str, within: Duration) -> Result<Duration> {
    let started = Instant::now();
    for number in 1.. {
        let address = [203, 0, 113, number].into();
        let reply = relay.session(address, 587)?.login(Mechanism::Plain, name, password)?;
        if reply.code == 235 {
            return Ok(started.elapsed());
        }
        // Never 535: the password is right.
        reply.expect(454)?;
        ensure!(started.elapsed() < within, "{name} is kept out for {:?}", started.elapsed());
        sleep(AGAIN);
    }
    anyhow::bail!("{name} has run out of addresses")
}

#[test]
fn a_thousand_addresses_that_guess_at_a_name_lock_nobody_out() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        relay.add_user("home", UNGUESSABLE)?;
        relay.add_user("alice", CHOSEN)?;
        let (stop, guesses) = (AtomicBool::new(false), AtomicU32::new(0));
        scope(|scope| {
            let floods: Vec<_> =
                (0..CONNECTIONS).map(|_| scope.spawn(|| flood(&relay, &stop, &guesses))).collect();
            let watch = || -> Result<()> {
                // First the limit of a hundred wrong passwords a day is passed.
                until("a guess that has to wait", WITHIN, || {
                    (answered(&relay, "limited_user").ok()? > 0).then_some(())
                })?;
                let (before, started) = (looked_at(&relay)?, Instant::now());
                let took = gets_in(&relay, "home", UNGUESSABLE, Duration::ZERO)?;
                eprintln!("a generated password is taken after {took:?}");
                assert!(took < AT_ONCE, "{took:?}");
                let took = gets_in(&relay, "alice", CHOSEN, WITHIN)?;
                eprintln!("a chosen password is taken after {took:?}");
                // One for each turn, and those that were being looked at when it began.
                let most =
                    TURNS * (started.elapsed().as_secs() / PACE + 1) + u64::from(CONNECTIONS);
                let after = looked_at(&relay)?;
                eprintln!("{before} guesses at alice were looked at before, {after} in all");
                assert!(after - before <= most, "{} in {:?}", after - before, started.elapsed());
                Ok(())
            };
            let outcome = watch();
            stop.store(true, Ordering::Relaxed);
            for flood in floods {
                flood.join().ok().context("a thread panicked")??;
            }
            outcome
        })?;
        // Each of them was counted, whatever became of it.
        let results = ["wrong_password", "limited_user", "limited_address", "trouble"];
        let counted = results.into_iter().filter_map(|result| answered(&relay, result).ok());
        let good = relay.session(HOME, 587)?.login(Mechanism::Plain, "home", "wrong")?;
        good.expect(535)?;
        eprintln!("{} guesses", guesses.load(Ordering::Relaxed));
        ensure!(counted.sum::<u32>() >= guesses.load(Ordering::Relaxed), "guesses went uncounted");
        Ok(())
    })
}
