//! `DOCTOR_DAILY`: looks once a day, shows what it found, and tells what became worse.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::alerts::Alerts;
use crate::alerts::alert::Alert;
use crate::clock::now;
use crate::config::DoctorConfig;
use crate::doctor::changes::{is_over, worse};
use crate::doctor::checks;
use crate::doctor::finding::{Finding, State, Verdict};
use crate::doctor::gather::{self, Questions, senders};
use crate::history::{Filter, MAX_ENTRIES};
use crate::overview::Overview;
use crate::status::{Advice, Checkup};
use crate::store::UserStore;

const DAY: u64 = 86_400;
/// How often it is asked whether a day has passed.
const LOOK: Duration = Duration::from_secs(10);
/// Postfix's container, as Compose names it.
const POSTFIX: &str = "postfix";
const FILE: &str = "doctor.json";

/// What is kept between runs, so that a restart tells nothing again.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// Seconds since 1970.
    time: u64,
    findings: Vec<Finding>,
}

/// What a daily run needs.
pub struct Daily {
    pub config: DoctorConfig,
    pub folder: PathBuf,
    pub store: UserStore,
    pub overview: Overview,
    pub alerts: Alerts,
}

impl Daily {
    /// Until the process stops.
    pub async fn run(self, stopping: CancellationToken) {
        let mut memory = read(&self.folder);
        self.show(&memory);
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            // Before Postfix is there, half of it would be wrong. A clock that was set back makes it due, too.
            let is_due = !(memory.time..memory.time.saturating_add(DAY)).contains(&now());
            if is_due && self.overview.status().postfix.up == Some(true) {
                memory = self.look(memory).await;
            }
        }
    }

    async fn look(&self, before: Memory) -> Memory {
        // Thousands of users are read, and nobody who logs in shall wait for that.
        let (store, named) = (self.store.clone(), self.config.sender_domains.clone());
        let found = spawn_blocking(move || senders::domains(&store, &named)).await;
        let (domains, keys) = match found.map_err(|error| error.to_string()).and_then(words) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(error, "relay doctor's daily run cannot read the database");
                return Memory { time: now(), ..before };
            }
        };
        let entries = self.overview.history.find(&Filter::default(), MAX_ENTRIES).entries;
        let since = now().saturating_sub(DAY);
        let entries = entries.into_iter().filter(|entry| entry.time >= since).collect();
        let questions = Questions {
            settings: self.config.settings.clone(),
            domains,
            keys,
            postfix: POSTFIX.to_owned(),
            allowed: self.config.allowed.clone(),
            daemon: Ok((Box::new(self.overview.status()), entries)),
            only: Vec::new(),
            quick: false,
        };
        let findings = checks::all(&Box::pin(gather::facts(questions)).await);
        let memory = Memory { time: now(), findings };
        self.tell(&before.findings, &memory.findings);
        self.show(&memory);
        self.keep(&memory).await;
        memory
    }

    async fn keep(&self, memory: &Memory) {
        // Only maps with keys other than strings can fail, and there is none.
        let text = serde_json::to_vec(memory).unwrap_or_default();
        let folder = self.folder.clone();
        let kept = spawn_blocking(move || write(&folder, &text)).await;
        if let Err(error) = kept.map_err(|error| error.to_string()).and_then(words) {
            tracing::warn!(
                error,
                "what relay doctor found is not kept; after a restart it is told again"
            );
        }
    }

    fn tell(&self, before: &[Finding], found: &[Finding]) {
        let worse = worse(before, found);
        if !worse.is_empty() {
            let lines: Vec<String> = worse.iter().map(|finding| line(finding)).collect();
            let text = lines.join("; ");
            tracing::warn!(event = "doctor", "{text}");
            self.alerts.raise(Alert::doctor(&text, worse.len(), now()));
        } else if is_over(before, found) {
            tracing::info!(event = "doctor", "relay doctor finds nothing to mend any more");
            self.alerts.raise(Alert::doctor_is_content(now()));
        }
    }

    fn show(&self, memory: &Memory) {
        if memory.time == 0 {
            return;
        }
        let bad = memory.findings.iter().filter(|finding| finding.state >= State::Warn);
        let advice = bad.map(|finding| Advice {
            is_serious: finding.state == State::Fail,
            found: format!("{}: {}", finding.subject, finding.found),
            remedy: finding.remedy.clone(),
        });
        let can_mail_arrive = match Verdict::of(&memory.findings) {
            Verdict::Yes => Some(true),
            Verdict::NotYet | Verdict::No => Some(false),
            Verdict::Unknown => None,
        };
        self.overview.set_checkup(Checkup {
            time: memory.time,
            can_mail_arrive,
            advice: advice.collect(),
        });
    }
}

fn line(finding: &Finding) -> String {
    let Finding { check, subject, found, remedy, .. } = finding;
    let remedy = if remedy.is_empty() { String::new() } else { format!(" → {remedy}") };
    format!("{check}, {subject}: {found}{remedy}")
}

/// What is not there or cannot be read is a first run.
fn read(folder: &Path) -> Memory {
    let text = fs::read(folder.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn write(folder: &Path, text: &[u8]) -> io::Result<()> {
    let (file, part) = (folder.join(FILE), folder.join(format!("{FILE}.part")));
    fs::write(&part, text)?;
    fs::rename(part, file)
}

fn words<T>(done: Result<T, impl ToString>) -> Result<T, String> {
    done.map_err(|error| error.to_string())
}
