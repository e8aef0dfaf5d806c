//! A policy answer beside an echo of the same bytes.

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use relay_sidecar::access::Reason;
use relay_sidecar::decision::metrics::{Asker, DecisionMetrics};
use relay_sidecar::metrics::Registry;
use relay_tests::lab::Lab;
use relay_tests::requirements::Requirements;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::lines::Lines;
use crate::plan::Plan;
use crate::report::{Goal, Row};
use crate::rounds::{self, Figure};
use crate::service::{Service, micros};

/// What Postfix 3.10 asks at RCPT for a client of an allowed network.
pub const REQUEST: &[u8] = b"request=smtpd_access_policy\nprotocol_state=RCPT\n\
    protocol_name=ESMTP\nclient_address=203.0.113.5\nclient_name=unknown\nclient_port=40000\n\
    reverse_client_name=unknown\nserver_address=192.0.2.1\nserver_port=25\nhelo_name=home\n\
    sender=alice@example.org\nrecipient=bob@example.com\nrecipient_count=0\nqueue_id=\n\
    instance=1a.2b.3c.0\nsize=4096\netrn_domain=\nstress=\nsasl_method=\nsasl_username=\n\
    sasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nencryption_protocol=\n\
    encryption_cipher=\nencryption_keysize=0\npolicy_context=\ncompatibility_level=3.10\n\
    mail_version=3.10.13\n\n";
const ANSWER: &[u8] = b"action=DUNNO\n\n";

/// Answers the bytes of [`ANSWER`] to whatever ends with an empty line, until it is killed.
pub fn echo(socket: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = UnixListener::bind(socket)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut buffer = Vec::with_capacity(4096);
                while stream.read_buf(&mut buffer).await? > 0 {
                    if buffer.ends_with(b"\n\n") {
                        buffer.clear();
                        stream.write_all(ANSWER).await?;
                    }
                }
                Ok::<_, io::Error>(())
            });
        }
    })
}

/// Microseconds that the counters of one answer take.
struct Counting(Vec<f64>);

impl Counting {
    /// In percent of an answer.
    fn of(&self, answer: f64) -> Figure {
        Figure::of(&self.0.iter().map(|counting| counting * 100.0 / answer).collect::<Vec<_>>())
    }
}

/// Measured inside this process, with as many rounds as anything else.
fn counting(plan: &Plan) -> Result<Counting> {
    let metrics = DecisionMetrics::register(&Registry::default(), 20)?;
    let round = |_| {
        let started = Instant::now();
        for number in 0..plan.exchanges {
            let took = Duration::from_nanos(number as u64);
            metrics.decided(black_box(Asker::Policy), black_box(Reason::Network), took);
        }
        started.elapsed().as_secs_f64() * 1e6 / plan.exchanges as f64
    };
    Ok(Counting((0..plan.rounds).map(round).collect()))
}

pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let lab = Lab::open(Requirements::find()?)?;
    let socket = lab.evidence.directory()?.join("echo.sock");
    let services = [
        ("relay".to_owned(), Service::sidecar(&lab, "policy.sock", &[])?),
        ("echo".to_owned(), Service::of_ours(&lab, "echo", &socket, socket.clone())?),
    ];
    let mut rows = Vec::new();
    let counting = counting(plan)?;
    for connections in [1, 50] {
        let total = plan.exchanges * if connections == 1 { 1 } else { 2 };
        let series = rounds::interleave(plan.rounds, &services, |service| {
            let done = service.exchange(connections, total, Lines::open, |lines, _| {
                ensure!(lines.ask(REQUEST, b"\n\n")? == ANSWER, "a policy request was refused");
                Ok(())
            })?;
            Ok(vec![("rate", done.per_second), ("cpu", micros(done.cpu))])
        })?;
        let what = format!("policy, {connections} connections");
        let rate = rounds::ratio(&series, "relay", "echo", "rate");
        rows.push(Row::new(&what, "answers, of a tokio echo", "×", rate).goal(Goal::AtLeast(0.9)));
        let cpu = rounds::figure(&series, "relay", "cpu");
        // One connection has the machine wake somebody for each request, which is most of what even the echo takes.
        let goal = (connections > 1).then_some(Goal::AtMost(8.0));
        rows.push(Row::new(&what, "relay: CPU an answer", "µs", cpu).goal(goal));
        let cpu = rounds::figure(&series, "echo", "cpu");
        rows.push(Row::new(&what, "echo: CPU an answer", "µs", cpu));
        let share = rounds::figure(&series, "relay", "cpu").median;
        let counted = Row::new(&what, "counting it, of the answer", "%", counting.of(share));
        rows.push(counted.goal(Goal::AtMost(1.0)));
    }
    drop(services);
    lab.evidence.discard()?;
    Ok(rows)
}
