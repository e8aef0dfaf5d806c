//! Alerts that are to go by mail. They wait here until relay-init, which can send mail, asks for them.
//!
//! It asks on a socket of its own: connects, gets one JSON object a line, `{"subject":"…","text":"…"}`, and answers
//! with one line when they are in Postfix's queue: their number. What was not taken is given out again. To whom they
//! go relay-init knows by itself; nothing that it is told here could make it send to anybody else.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::alert::Alert;

/// Alerts that wait; the oldest make room.
const MAX_WAITING: usize = 50;
/// How long a test waits: relay-init asks every ten seconds.
const PATIENCE: Duration = Duration::from_secs(25);
/// relay-init answers once the mail is on disk.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of its answer.
const MAX_ANSWER: u64 = 16;

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    mails: Mutex<Mails>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Mails {
    waiting: VecDeque<Mail>,
    /// How many have come and gone.
    gone: usize,
}

/// A mail without its envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    subject: String,
    text: String,
}

impl Outbox {
    /// Adds a mail, and returns its number.
    pub fn add(&self, alert: &Alert) -> usize {
        let mut mails = self.lock();
        if mails.waiting.len() >= MAX_WAITING && mails.waiting.pop_front().is_some() {
            mails.gone += 1;
        }
        mails.waiting.push_back(Mail { subject: alert.subject(), text: alert.text.clone() });
        mails.gone + mails.waiting.len()
    }

    /// The same, and waits until it is taken; `false` if it is not. Then it is withdrawn: nobody wants a test later.
    pub fn add_and_wait(&self, alert: &Alert) -> bool {
        let number = self.add(alert);
        let mails = self.lock();
        let waits = |mails: &mut Mails| mails.gone < number;
        let waited = self.0.changed.wait_timeout_while(mails, PATIENCE, waits);
        let (mut mails, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            let place = number.saturating_sub(mails.gone + 1);
            mails.waiting.remove(place);
        }
        !timeout.timed_out()
    }

    /// What waits, the oldest first.
    pub fn waiting(&self) -> Vec<Mail> {
        self.lock().waiting.iter().cloned().collect()
    }

    /// Says that the oldest so many are in Postfix's queue.
    pub fn taken(&self, number: usize) {
        let mut mails = self.lock();
        let number = number.min(mails.waiting.len());
        mails.waiting.drain(..number);
        mails.gone += number;
        self.0.changed.notify_all();
    }

    /// Hands mails out until the process stops.
    pub async fn serve(self, listener: UnixListener, stopping: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopping.cancelled() => return,
            };
            match accepted {
                // One at a time: there is one relay-init.
                Ok((stream, _)) => {
                    // Whoever does not answer has not taken anything.
                    drop(tokio::time::timeout(TIMEOUT, self.hand_out(stream)).await);
                }
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn hand_out(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let mails = self.waiting();
        let mut lines = Vec::new();
        for mail in &mails {
            serde_json::to_writer(&mut lines, mail)?;
            lines.push(b'\n');
        }
        // An empty line ends them.
        lines.push(b'\n');
        stream.write_all(&lines).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut answer).await?;
        let number: usize = answer.trim().parse().unwrap_or_default();
        self.taken(number.min(mails.len()));
        Ok(())
    }

    /// A queue is whole whenever it is unlocked.
    fn lock(&self) -> MutexGuard<'_, Mails> {
        self.0.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_taken_is_given_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.sock");
        let outbox = Outbox::default();
        for _ in 0..MAX_WAITING + 5 {
            outbox.add(&Alert::test(5));
        }
        assert_eq!(outbox.waiting().len(), MAX_WAITING);
        let listener = UnixListener::bind(&path).unwrap();
        let stopping = CancellationToken::new();
        let serving = tokio::spawn(outbox.clone().serve(listener, stopping.clone()));
        for (answer, left) in
            [("", MAX_WAITING), ("7\n", MAX_WAITING - 7), ("x\n", MAX_WAITING - 7), ("999\n", 0)]
        {
            let stream = UnixStream::connect(&path).await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let first = lines.next_line().await.unwrap().unwrap();
            assert!(first.contains("\"subject\":\"relay: test\""), "{first}");
            while !lines.next_line().await.unwrap().unwrap().is_empty() {}
            write.write_all(answer.as_bytes()).await.unwrap();
            drop(write);
            assert!(lines.next_line().await.unwrap().is_none());
            assert_eq!(outbox.waiting().len(), left, "{answer}");
        }
        stopping.cancel();
        serving.await.unwrap();
    }
}
