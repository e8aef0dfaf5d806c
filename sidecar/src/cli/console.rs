//! `relay status`, `relay history` and `relay top`: what the running daemon knows, on a terminal.

pub mod ask;
mod entries;
mod follow;
mod overview;
pub mod top;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use super::failure::{Exit, Failure};
use super::listing::written;
use super::options::SearchOptions;
use crate::config::{Environment as _, ProcessEnvironment};
use crate::control::protocol::{Answer, Question, line};
use crate::history::{Excerpt, Filter};
use crate::status::{Flow, Status};

/// Prints how the relay is.
pub fn status(folder: &Path, json: bool) -> Result<(), Failure> {
    let status = fetch(folder)?;
    if json {
        print(&line(&status))?;
    } else {
        let style = overview::Style::of_terminal();
        print(overview::render(&status, &style, overview::WIDTH).as_bytes())?;
    }
    let trouble = |text| Err(Failure::new(Exit::NotWell, text));
    match status.flow {
        Flow::Flows => Ok(()),
        Flow::Troubled => trouble("mail flows, and something needs attention"),
        Flow::Stopped => trouble("mail does not flow"),
        Flow::Unknown => {
            trouble("not known: Postfix has not been heard of since the sidecar started")
        }
    }
}

fn fetch(folder: &Path) -> Result<Status, Failure> {
    match ask::daemon(folder, &Question::Status)? {
        Answer::Status(status) => Ok(*status),
        _ => Err(ask::another_version()),
    }
}

/// Prints what is remembered of mail, and with `follow` what happens from now on.
pub fn history(
    folder: &Path,
    search: SearchOptions,
    json: bool,
    follow: bool,
) -> Result<(), Failure> {
    let SearchOptions { text, user, sender, recipient, queue_id, reason, limit: most } = search;
    let filter = Filter { user, sender, recipient, queue_id, reason, text };
    let question = Question::History { filter, most, since: 0 };
    let found = look(folder, &question)?;
    match (follow, json) {
        (true, _) => follow::run(folder, question, found, json),
        (false, true) => print(&line(&found)),
        (false, false) => print(entries::render(&found).as_bytes()),
    }
}

fn look(folder: &Path, question: &Question) -> Result<Excerpt, Failure> {
    match ask::daemon(folder, question)? {
        Answer::History(found) => Ok(found),
        _ => Err(ask::another_version()),
    }
}

/// Sends a test alert to everywhere, and says what became of it.
pub fn alert_test(folder: &Path) -> Result<(), Failure> {
    let answer = ask::daemon(folder, &Question::AlertTest)?;
    let Answer::AlertTest(results) = answer else { return Err(ask::another_version()) };
    if results.is_empty() {
        let text = "alerts go nowhere: set ALERT_WEBHOOK or ALERT_MAIL and restart the relay";
        return Err(Failure::new(Exit::BadInput, text));
    }
    for (text, _) in &results {
        print(format!("{text}\n").as_bytes())?;
    }
    match results.iter().all(|(_, worked)| *worked) {
        true => Ok(()),
        false => Err(Failure::trouble("not every channel took the test")),
    }
}

/// Whoever closes the pipe early has seen enough.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    written(output.write_all(bytes).and_then(|()| output.flush()))
}

/// Whether a person reads, and wants colours (no-color.org).
pub fn wants_colours() -> bool {
    let refused = ProcessEnvironment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal() && !refused
}

/// Whether colours and a live view make sense.
fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
