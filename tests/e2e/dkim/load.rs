//! Many messages at once: bodies pass by and nothing of them stays, and nobody waits for a signature but its
//! own message.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, Lab, in_a_lab};
use relay_tests::measure::{Times, memory_kib};
use relay_tests::relay::Relay;

const AT_ONCE: usize = 200;
/// Postfix's `MILTER_CHUNK_SIZE`.
const PIECE: usize = 65_535;
/// All of them together are a gigabyte: kept, it would show. An unoptimised build takes a minute and a half
/// for 25 MB each: `RELAY_TEST_MESSAGE_BYTES=25000000`.
const LARGE: usize = 5_000_000;
const SMALL: usize = 1_000;
/// What the buffers of connections may differ by: each may hold two pieces that are just arriving.
const BUFFERS_KIB: u64 = (AT_ONCE * 2 * 64) as u64;

/// Postfix's end of a milter connection.
struct Postfix(UnixStream);

impl Postfix {
    fn send(&mut self, command: u8, data: &[u8]) -> Result<()> {
        let length = u32::try_from(data.len() + 1)?.to_be_bytes();
        Ok(self.0.write_all(&[&length, &[command][..], data].concat())?)
    }

    fn reply(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        self.0.read_exact(&mut frame)?;
        let (command, data) = frame.split_first().context("an empty reply")?;
        Ok((*command, data.to_vec()))
    }

    /// Everything up to the end of the header.
    fn begin(socket: &Path) -> Result<Self> {
        let mut postfix = Self(UnixStream::connect(socket)?);
        postfix.0.set_read_timeout(Some(Duration::from_secs(120)))?;
        let offer = [6_u32, 0x1ff, 0x1f_ffff].map(u32::to_be_bytes).concat();
        postfix.send(b'O', &offer)?;
        ensure!(postfix.reply()?.0 == b'O', "no negotiation");
        // The sidecar asks for the client among the macros of MAIL, and not for a connect stage.
        let macros = format!("M{{mail_addr}}\0a@example.org\0{{client_addr}}\0{HOME}\0");
        postfix.send(b'D', macros.as_bytes())?;
        postfix.send(b'M', b"<a@example.org>\0")?;
        postfix.send(b'R', b"<b@example.net>\0")?;
        postfix.send(b'L', b"From\0a@example.org\0")?;
        postfix.send(b'N', b"")?;
        ensure!(postfix.reply()?.0 == b'c', "the message is not to be signed");
        Ok(postfix)
    }

    fn body(&mut self, mut size: usize) -> Result<()> {
        let line = [&[b'x'; 76][..], b"\r\n"].concat();
        let piece: Vec<u8> = line.iter().copied().cycle().take(PIECE).collect();
        while size > 0 {
            let now = size.min(PIECE);
            self.send(b'B', piece.get(..now).unwrap_or_default())?;
            size -= now;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.send(b'E', b"")?;
        for _ in 0..2 {
            let (command, data) = self.reply()?;
            ensure!(command == b'i' && data.windows(14).any(|text| text == b"DKIM-Signature"));
        }
        ensure!(self.reply()?.0 == b'c', "the message is not accepted");
        Ok(())
    }
}

/// Sends so many messages of this size at once; returns the most memory that the sidecar had.
fn most_memory(socket: &Path, sidecar: u32, size: usize) -> Result<u64> {
    let (all_there, done) = (Barrier::new(AT_ONCE), AtomicUsize::new(0));
    let message = || -> Result<()> {
        let begun = Postfix::begin(socket);
        all_there.wait();
        let mut postfix = begun?;
        postfix.body(size)?;
        postfix.end()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let result = message();
                    done.fetch_add(1, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        let mut most = 0;
        while done.load(Ordering::Relaxed) < AT_ONCE {
            most = most.max(memory_kib(sidecar)?);
            std::thread::sleep(Duration::from_millis(20));
        }
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(most)
    })
}

fn signing_sidecar(lab: &Lab) -> Result<Relay<'_>> {
    let mut relay = lab.relay_to_sink().sidecar_env("DKIM_REQUIRE_DNS", "false").build()?;
    relay.manage_dkim(&["add", "example.org"])?;
    relay.start_sidecar()?;
    Ok(relay)
}

#[test]
fn two_hundred_large_messages_at_once_take_no_more_memory_than_small_ones() -> Result<()> {
    in_a_lab(|lab| {
        let relay = signing_sidecar(lab)?;
        let (socket, sidecar) = (relay.socket("milter.sock"), relay.sidecar()?.id());
        let small = most_memory(&socket, sidecar, SMALL)?;
        let started = Instant::now();
        let size = match std::env::var("RELAY_TEST_MESSAGE_BYTES") {
            Ok(number) => number.parse().context("RELAY_TEST_MESSAGE_BYTES is not a number")?,
            Err(_) => LARGE,
        };
        let large = most_memory(&socket, sidecar, size)?;
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "{AT_ONCE} at once: {small} KiB with {SMALL} bytes each, {large} KiB with {size}, in \
             {seconds:.1} s"
        );
        assert!(large <= small + BUFFERS_KIB, "{large} KiB, {small} KiB with small messages");
        Ok(())
    })
}

/// What a client of policy is promised, and of how many percent of its questions: this build is not
/// optimised, and shares the machine with whatever else runs there.
const PROMISED: Duration = Duration::from_millis(50);
const PERCENT: usize = 95;
const QUESTIONS: usize = 500;
const PACE: Duration = Duration::from_millis(6);
const SENDERS: usize = 50;

/// A question of Postfix's policy client, and its answer.
fn ask(policy: &mut UnixStream) -> Result<()> {
    let question = format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address={HOME}\n\
         sender=a@example.org\nrecipient=b@example.net\n\n"
    );
    policy.write_all(question.as_bytes())?;
    let mut answer = [0; 14];
    policy.read_exact(&mut answer)?;
    ensure!(&answer == b"action=DUNNO\n\n", "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

#[test]
fn policy_answers_in_time_while_every_thread_signs() -> Result<()> {
    in_a_lab(|lab| {
        let relay = signing_sidecar(lab)?;
        let (milter, stop) = (relay.socket("milter.sock"), AtomicBool::new(false));
        let signed = AtomicUsize::new(0);
        let send = || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let mut postfix = Postfix::begin(&milter)?;
                postfix.body(SMALL)?;
                postfix.end()?;
                signed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let mut times = Times::default();
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
            let mut policy = UnixStream::connect(relay.socket("policy.sock"))?;
            policy.set_read_timeout(Some(Duration::from_secs(10)))?;
            let asked = (0..QUESTIONS).try_for_each(|_| {
                std::thread::sleep(PACE);
                times.time(|| ask(&mut policy))
            });
            stop.store(true, Ordering::Relaxed);
            for sender in senders {
                sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            asked
        })?;
        eprintln!(
            "{} messages signed; policy: {}",
            signed.load(Ordering::Relaxed),
            times.summary()
        );
        assert!(times.percentile(PERCENT) <= PROMISED, "{}", times.summary());
        Ok(())
    })
}
