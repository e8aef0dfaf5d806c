//! `relay status`, `relay history` and `relay top`: what the running daemon knows, on a terminal.

mod ask;
mod entries;
mod follow;
mod overview;
mod search;
pub mod top;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use super::failure::{Exit, Failure};
use super::listing::written;
use crate::control::protocol::{Answer, Question, line};
use crate::history::Excerpt;
use crate::status::{Flow, Status};
pub use search::SearchOptions;

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
    let (most, filter) = (search.limit, search.filter());
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

/// Whoever closes the pipe early has seen enough.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    written(output.write_all(bytes).and_then(|()| output.flush()))
}

/// Whether colours and a live view make sense.
fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
