//! A question to the running daemon.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::control::SOCKET;
use crate::control::protocol::{self, Answer, MAX_ANSWER, Question};

/// The daemon answers in milliseconds, and a test of alerts within this.
const TIMEOUT: Duration = Duration::from_secs(45);

/// Asks, and waits for the answer.
pub fn daemon(folder: &Path, question: &Question) -> Result<Answer, Failure> {
    let path = folder.join(SOCKET);
    let answer = exchange(&path, question).map_err(|error| {
        let place = path.display();
        Failure::trouble(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("relay serve does not run here: nobody listens on {place}")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{place}: only root and the user that relay serve runs as may ask")
            }
            _ => format!("no answer on {place}: {error}"),
        })
    })?;
    match protocol::decode_answer(&answer) {
        Ok(Answer::Error(mistake)) | Err(mistake) => Err(Failure::trouble(mistake)),
        Ok(answer) => Ok(answer),
    }
}

/// A daemon that was not restarted after an upgrade.
pub fn another_version() -> Failure {
    Failure::trouble("the running relay serve is another version: restart the container")
}

fn exchange(path: &Path, question: &Question) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&protocol::question(question))?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}
