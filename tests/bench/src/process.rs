//! What a process does and holds: its system calls, its memory, how soon it is ready.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, Lab, RELAY};
use relay_tests::measure::memory_kib;
use relay_tests::process::signal;
use relay_tests::requirements::Requirements;
use relay_tests::wait;
use rustix::process::Signal;

use crate::dovecot::{self, Users};
use crate::lines::Lines;
use crate::load::{Load, PASSWORD};
use crate::logins;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::Figure;
use crate::stack::{Queue, Stack, Variant};

/// The sidecar's system calls for each message.
pub fn system_calls(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let stack = Stack::start(&lab, "calls", Variant::Relay, Queue::Memory)?;
    let load = Load::default();
    stack.run(&load, plan.messages)?;
    let counts = lab.evidence.directory()?.join("strace");
    let counted = (0..plan.rounds).map(|_| {
        let mut strace = Command::new("strace")
            .args(["-f", "-c", "-qq", "-U", "calls,name", "-o"])
            .arg(&counts)
            .arg(format!("--attach={}", stack.sidecar_id()?))
            .stdin(Stdio::null())
            .spawn()
            .context("strace is missing: run `make bench`, which installs it")?;
        std::thread::sleep(Duration::from_millis(300));
        stack.run(&load, plan.messages)?;
        signal(strace.id(), Signal::INT)?;
        strace.wait()?;
        let text = std::fs::read_to_string(&counts)?;
        let total = text.lines().find_map(|line| line.trim().strip_suffix(" total"));
        let total: f64 = total.with_context(|| format!("no total in {text}"))?.trim().parse()?;
        Ok(total / plan.messages as f64)
    });
    let figure = Figure::of(&counted.collect::<Result<Vec<_>>>()?);
    drop(stack);
    lab.evidence.discard()?;
    let what = "port 25, allowed network, 10 sessions, 1 message each";
    Ok(vec![
        Row::new(what, "system calls of the sidecar a message", "", figure)
            .goal(Goal::AtMost(16.0)),
    ])
}

/// Anonymous memory of the sidecar: idle, with 10,000 users, and while 100 logins are checked at once.
pub fn memory(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let service = logins::sidecar(&lab, &logins::hash()?, 10_000, &[("HASHING_THREADS", "2")])?;
    let pid = *service.processes()?.first().context("no process")?;
    let mib = || Ok::<_, anyhow::Error>(memory_kib(pid)? as f64 / 1024.0);
    let idle = mib()?;
    let mut peak = idle;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|number| {
                let service = &service;
                scope.spawn(move || {
                    let mut lines = Lines::sasl(&service.socket)?;
                    let name = format!("user{number}");
                    let line = relay_tests::sasl::plain(1, &name, PASSWORD);
                    // Whoever would wait too long is sent away to come back, by a closed connection.
                    lines.ask(line.as_bytes(), b"\n").ok();
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            peak = peak.max(mib()?);
            std::thread::sleep(Duration::from_millis(2));
        }
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    // What is given back, is given back after a pause without work.
    std::thread::sleep(Duration::from_secs(if plan.rounds > 1 { 5 } else { 0 }));
    let after = mib()?;
    let what = "memory of the sidecar, 10,000 users, 2 hashing threads";
    let row = |measure, value, goal| {
        Row::new(what, measure, "MiB", Figure::of(&[value])).goal(Goal::AtMost(goal))
    };
    let rows = vec![
        row("idle", idle, 6.0),
        row("highest, 100 cold logins at once", peak, 2.0 * 19.0 + 10.0),
        row("five seconds after", after, 2.0 * 19.0 + 10.0),
    ];
    drop(service);
    lab.evidence.discard()?;
    Ok(rows)
}

/// From the start of a process until it serves.
pub fn start(plan: &Plan) -> Result<Vec<Row>> {
    let (mut empty, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut relay, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let lab = Lab::open(Requirements::find()?)?;
        let mut container = lab.relay().build()?;
        let socket = container.socket("sasl.sock");
        let spoke = container.place().time_to_speak(&["--version"])?;
        empty.push(spoke.as_secs_f64() * 1_000.0);
        let started = Instant::now();
        container.sidecar = Some(container.place().spawn(&lab.evidence.log("sidecar")?)?);
        let ready = || Lines::sasl(&socket).ok();
        wait::until_every(wait::GLANCE, "the sidecar's handshake", wait::A_WHILE, ready)?;
        ours.push(milliseconds(started));
        drop(container);

        let folder = lab.evidence.directory()?.join("dovecot").join("auth");
        let started = Instant::now();
        let dovecot = dovecot::start(&lab, "dovecot", Users::File, "{PLAIN}x", 1)?;
        let ready = || Lines::sasl(&folder).ok();
        wait::until_every(wait::GLANCE, "Dovecot's handshake", wait::A_WHILE, ready)?;
        theirs.push(milliseconds(started));
        drop(dovecot);
        lab.evidence.discard()?;
        relay.push(until_greeting(Variant::Relay)?);
        bare.push(until_greeting(Variant::Bare)?);
    }
    let what = "from start to ready";
    let row = |measure, values: &[f64]| Row::new(what, measure, "ms", Figure::of(values));
    let of_bare: Vec<f64> = relay.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    let alone: Vec<f64> = ours.iter().zip(&empty).map(|(ours, empty)| ours - empty).collect();
    Ok(vec![
        row("the sidecar's container, until a command in it says its version", &empty),
        row("the sidecar's container, until the SASL handshake", &ours),
        row("sidecar, the difference", &alone).goal(Goal::AtMost(15.0)),
        row("Dovecot, without a container", &theirs),
        row("relay-init, until the greeting of port 25", &relay),
        row("stock Postfix, until the greeting of port 25", &bare),
        Row::new(what, "relay-init, of stock Postfix", "×", Figure::of(&of_bare))
            .goal(Goal::AtMost(1.0)),
    ])
}

/// Starts Postfix on a queue that is there already.
fn until_greeting(variant: Variant) -> Result<f64> {
    let lab = Lab::open(Requirements::find()?)?;
    let mut stack = Stack::start(&lab, "start", variant, Queue::Memory)?;
    stack.relay.postfix.take().context("Postfix is stopped")?.stop()?;
    let started = Instant::now();
    stack.relay.spawn_postfix()?;
    let greeted = || {
        let to = std::net::SocketAddr::new(RELAY, 25);
        let mut client =
            relay_tests::smtp::Client::connect(stack.relay.namespace(), HOME, to).ok()?;
        client.reply().ok()
    };
    let what = "the greeting of port 25";
    let reply = wait::until_every(wait::GLANCE, what, wait::A_WHILE, greeted)?;
    let took = milliseconds(started);
    ensure!(reply.code == 220, "port 25 says {reply:?}");
    drop(stack);
    lab.evidence.discard()?;
    Ok(took)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}
