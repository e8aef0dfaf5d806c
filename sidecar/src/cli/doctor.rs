//! `relay doctor`: will mail arrive?

mod command;
mod send;

use std::path::Path;

pub use command::DoctorOptions;

use super::console::{ask, wants_colours};
use super::database::open_to_change;
use super::failure::{Exit, Failure};
use super::progress::Progress;
use crate::access::senders::canonical_domain;
use crate::clock::now;
use crate::config::{Config, DoctorConfig, ProcessEnvironment};
use crate::control::protocol::{Answer, Question, line};
use crate::doctor::checks;
use crate::doctor::finding::{Finding, State, Verdict};
use crate::doctor::gather::senders::domains;
use crate::doctor::gather::{self, Questions};
use crate::doctor::report::{Colours, Report, table};
use crate::history::{Entry, Filter};
use crate::status::Status;

const DAY: u64 = 86_400;

/// Looks, and prints what it found; or sends a message and says what became of it.
///
/// # Errors
///
/// When something is not as it should be: the exit code says how bad the worst of it is.
pub fn run(options: DoctorOptions) -> Result<(), Failure> {
    let config = Config::doctor(&ProcessEnvironment)?;
    let mut named = parsed(&options.domains)?;
    named.extend(config.sender_domains.iter().cloned());
    let store = open_to_change(&options.data.path)?;
    let (domains, keys) = domains(&store, &named).map_err(Failure::trouble)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::trouble)?;
    if let Some(recipient) = &options.send {
        let from =
            options.from.clone().or_else(|| Some(format!("postmaster@{}", domains.first()?)));
        return runtime.block_on(send::run(&store, &options, &config, recipient, from.as_deref()));
    }
    let daemon = state(&options.data.path);
    let DoctorConfig { settings, allowed, .. } = config;
    let questions = Questions {
        settings,
        domains,
        keys,
        postfix: options.at.clone(),
        allowed,
        daemon,
        only: options.only.clone(),
        quick: options.quick,
    };
    let progress = Progress::working("asking DNS, receivers and this relay");
    let facts = runtime.block_on(gather::facts(questions));
    drop(progress);
    // A lookup that was given up may still hold a thread of the system's resolver.
    runtime.shutdown_background();
    let mut findings = checks::all(&facts);
    // Some facts serve several checks.
    findings.retain(|finding| options.only.is_empty() || options.only.contains(&finding.check));
    print(&findings, options.json)?;
    end(&findings)
}

/// Domains that were typed, as DNS has them.
pub fn parsed(texts: &[String]) -> Result<Vec<String>, Failure> {
    let domain = |text: &String| {
        let domain = canonical_domain(text).filter(|domain| domain.contains('.'));
        let mistake = || format!("{text:?} is no domain: write example.org");
        domain.ok_or_else(|| Failure::new(Exit::BadName, mistake()))
    };
    texts.iter().map(domain).collect()
}

fn print(findings: &[Finding], json: bool) -> Result<(), Failure> {
    if json {
        let can_mail_arrive = Verdict::of(findings);
        return super::console::print(&line(&Report { can_mail_arrive, findings }));
    }
    super::console::print(table(findings, Colours(wants_colours())).as_bytes())
}

/// The exit code is of the worst.
fn end(findings: &[Finding]) -> Result<(), Failure> {
    match findings.iter().map(|finding| finding.state).max() {
        Some(State::Fail) => Err(Failure::new(Exit::DoctorFails, "something has to be mended")),
        Some(State::Warn) => Err(Failure::new(Exit::DoctorWarns, "something could be better")),
        Some(State::Ok | State::Skipped) | None => Ok(()),
    }
}

/// How the running relay is, and what became of its mail in the last day.
fn state(folder: &Path) -> Result<(Box<Status>, Vec<Entry>), String> {
    let words = |failure: Failure| failure.text;
    let Answer::Status(status) = ask::daemon(folder, &Question::Status).map_err(words)? else {
        return Err(ask::another_version().text);
    };
    let since = now().saturating_sub(DAY);
    let question =
        Question::History { filter: Filter::default(), most: crate::history::MAX_ENTRIES, since };
    match ask::daemon(folder, &question).map_err(words)? {
        Answer::History(found) => Ok((status, found.entries)),
        _ => Err(ask::another_version().text),
    }
}
