//! The socket on which `relay status`, `relay top`, `relay history` and `relay alert test` ask the running daemon.
//!
//! It is in the data folder, which the Postfix container does not see, and only its owner may connect. One question
//! and one answer a connection, each a line of JSON.

pub mod protocol;

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::alerts::Alerts;
use crate::overview::Overview;
use crate::user_name::UserName;
use protocol::{Answer, MAX_QUESTION, Question};

/// The name of the socket in the data folder.
pub const SOCKET: &str = "control.sock";
/// A command asks at once and reads at once.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The test of alerts takes longest to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);
/// Commands that are answered at one time; others wait.
const MAX_CONNECTIONS: usize = 16;
/// How long to pause after an accept error, which usually means too few descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is asked about.
#[derive(Debug, Clone)]
pub struct Desk {
    pub overview: Overview,
    pub alerts: Alerts,
}

/// Takes the place of what an earlier process left.
///
/// # Errors
///
/// When the system refuses.
pub fn bind(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(SOCKET);
    // Nobody can connect before it has its mode: it is bound in a folder that only we may enter.
    let private = folder.join(format!("{SOCKET}.{}", std::process::id()));
    if let Err(error) = std::fs::remove_dir_all(&private)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    std::fs::DirBuilder::new().mode(0o700).create(&private)?;
    let temporary = private.join("s");
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, &path)?;
    std::fs::remove_dir(&private)?;
    Ok(listener)
}

/// Answers until the process stops.
pub async fn serve(listener: UnixListener, desk: Desk, stopping: CancellationToken) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so there is always a permit in the end.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    // Whoever does not ask in time, or does not read, is gone.
                    drop(session(stream, desk).await);
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn session(mut stream: UnixStream, desk: Desk) -> io::Result<()> {
    let question = timeout(TIMEOUT, read(&mut stream)).await??;
    // Away from the thread that mail waits for; a test of alerts waits for a webhook, too.
    let answer = tokio::task::spawn_blocking(move || protocol::answer(&answer(&question, &desk)));
    let answer = timeout(ANSWER_TIMEOUT, answer).await?.map_err(io::Error::other)?;
    timeout(TIMEOUT, stream.write_all(&answer)).await??;
    stream.shutdown().await
}

async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut question = Vec::new();
    let mut limited = stream.take(MAX_QUESTION as u64 + 1);
    while !question.ends_with(b"\n") && limited.read_buf(&mut question).await? > 0 {}
    Ok(question)
}

fn answer(question: &[u8], desk: &Desk) -> Answer {
    match protocol::decode(question) {
        Ok(Question::Status) => Answer::Status(Box::new(desk.overview.status())),
        Ok(Question::History { filter, most, since }) => {
            let mut found = desk.overview.history.find(&filter, most);
            found.entries.retain(|entry| entry.time >= since);
            Answer::History(found)
        }
        Ok(Question::UsedElsewhere { user }) => match UserName::parse(&user) {
            Ok(name) => Answer::UsedElsewhere(desk.overview.used_elsewhere(&name)),
            Err(error) => Answer::Error(error.to_string()),
        },
        Ok(Question::AlertTest) => Answer::AlertTest(desk.alerts.test()),
        Err(mistake) => Answer::Error(mistake),
    }
}

#[cfg(test)]
mod tests;
