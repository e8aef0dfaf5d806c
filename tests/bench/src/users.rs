//! The user database: a lookup beside LMDB alone, and what many users cost.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use heed::types::Bytes;
use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions};
use relay_sidecar::store::UserStore;
use relay_sidecar::user_name::UserName;
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;

use crate::lines::Lines;
use crate::logins;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::{self, Figure};
use crate::views;

/// Import, start, list, file size and lookup with 100, 10,000 and 1,000,000 users; fewer in a smoke test.
pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let sizes: &[usize] = if plan.rounds > 1 { &[100, 10_000, 1_000_000] } else { &[100, 1_000] };
    let mut rows = Vec::new();
    for &count in sizes {
        rows.extend(with(count, plan)?);
    }
    Ok(rows)
}

fn with(count: usize, plan: &Plan) -> Result<Vec<Row>> {
    let what = format!("{count} users");
    let row = |measure, unit, figure| Row::new(&what, measure, unit, figure);
    let lab = Lab::open(Requirements::find()?)?;
    let started = Instant::now();
    let service = logins::sidecar(&lab, &logins::hash()?, count, &[])?;
    let imported = started.elapsed();
    let relay = service.relay()?;
    let started = Instant::now();
    let list = relay.place().run(&["user", "list"], "")?;
    let listed = started.elapsed();
    ensure!(
        list.stdout.iter().filter(|byte| **byte == b'\n').count() == count + 1,
        "users missing"
    );
    let file = std::fs::metadata(relay.users().join("users.mdb"))?.len();
    let folder = relay.users();
    let views = views::rows(relay, &what, plan)?;
    drop(service);

    let mut ready = Vec::new();
    for _ in 0..plan.rounds {
        let mut container = lab.relay().build()?;
        let socket = container.socket("sasl.sock");
        let started = Instant::now();
        container.sidecar = Some(container.place().spawn(&lab.evidence.log("sidecar")?)?);
        let shaken = || Lines::sasl(&socket).ok();
        relay_tests::wait::until("the sidecar", relay_tests::wait::A_WHILE, shaken)?;
        ready.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    let lookup = lookups(&folder, count, plan)?;
    lab.evidence.discard()?;
    let once = |value: f64| Figure::of(&[value]);
    let mut rows = vec![
        row("import, start of the sidecar included", "s", once(imported.as_secs_f64())),
        row("user list", "s", once(listed.as_secs_f64())),
        row("file", "MiB", once(file as f64 / 1_048_576.0)),
        row("start to ready", "ms", Figure::of(&ready)).goal(Goal::AtMost(100.0)),
    ];
    rows.extend(
        lookup
            .into_iter()
            .map(|(measure, unit, figure, goal)| row(measure, unit, figure).goal(goal)),
    );
    rows.extend(views);
    Ok(rows)
}

type Measured = (&'static str, &'static str, Figure, Option<Goal>);

/// A lookup with everything that a decision needs done, beside `mdb_get` of the same key in a transaction
/// of its own.
fn lookups(folder: &std::path::Path, count: usize, plan: &Plan) -> Result<Vec<Measured>> {
    enum Reader {
        Store(UserStore),
        Lmdb,
    }
    // Two copies of our own: LMDB does not open one file twice in a process.
    let own = tempfile::tempdir()?;
    std::fs::copy(folder.join("users.mdb"), own.path().join("users.mdb"))?;
    let readers = [
        ("store".to_owned(), Reader::Store(UserStore::open(own.path())?)),
        ("lmdb".to_owned(), Reader::Lmdb),
    ];
    let copy = own.path().join("copy.mdb");
    std::fs::copy(folder.join("users.mdb"), &copy)?;
    let env = open(&copy)?;
    let opened = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
        let users = opener.create_database::<Bytes, Bytes>(txn, Some("users"))?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, Infallible>::Commit(users))
    });
    let users = match opened? {
        CommitOrAbort::Commit(users) => users,
        CommitOrAbort::Abort(never) => match never {},
    };
    // As many users as send at one time, and not all there are: those come from the page cache.
    let names: Vec<String> =
        (0..1_000).map(|number| format!("user{}", number * count / 1_000)).collect();
    let series = rounds::interleave(plan.rounds, &readers, |reader| {
        let started = Instant::now();
        let mut found = 0;
        for name in names.iter().cycle().take(plan.exchanges) {
            found += match reader {
                Reader::Store(store) => {
                    let name = UserName::parse(name)?;
                    usize::from(black_box(store.user(&name)?).is_some())
                }
                Reader::Lmdb => {
                    let txn = env.read_txn()?;
                    let record = users.get(&txn, name.as_bytes())?;
                    usize::from(black_box(record.map(<[u8]>::to_vec)).is_some())
                }
            };
        }
        ensure!(found == plan.exchanges, "{found} of {} users found", plan.exchanges);
        let each = started.elapsed() / u32::try_from(plan.exchanges)?;
        Ok(vec![("ns", nanos(each))])
    })?;
    let ratio = rounds::ratio(&series, "store", "lmdb", "ns");
    Ok(vec![
        ("a lookup", "ns", rounds::figure(&series, "store", "ns"), None),
        ("a lookup, of LMDB alone", "×", ratio, Some(Goal::AtMost(1.2))),
    ])
}

#[expect(
    unsafe_code,
    reason = "heed's open maps a file; it is a copy of the benchmark's own that nobody else knows"
)]
fn open(path: &std::path::Path) -> Result<heed::Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(16 << 30).max_dbs(8);
    // SAFETY: as the reason above says.
    Ok(unsafe { options.flags(EnvFlags::NO_SUB_DIR).open(path)? })
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}
