//! How a command ends: what it says, and its exit code.

use std::process::ExitCode;

use crate::config::Mistakes;
use crate::store::shared::EngineError;
use crate::store::{ChangeError, StoreError};

/// What the process tells its caller; README has the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    /// Something is wrong with the system, a file or the network.
    Trouble = 1,
    // 2 is clap's, for a wrong command line.
    /// A user, or a DKIM key.
    UserExists = 3,
    /// A user, or a DKIM key.
    UserUnknown = 4,
    BadName = 5,
    BadPassword = 6,
    /// The value of an option or an imported line is wrong.
    BadInput = 7,
    /// DNS does not have a DKIM record as it has to be.
    RecordWrong = 8,
    /// `relay status`: something needs attention, or is not known.
    NotWell = 9,
    /// `relay doctor`: something could be better.
    DoctorWarns = 10,
    /// `relay doctor`: something has to be mended.
    DoctorFails = 11,
    /// The fleet's engine does not answer, or did not confirm a change.
    EngineAway = 12,
    /// Somebody else in the fleet changed it at the same time.
    ChangedMeanwhile = 13,
    /// A bad setting: EX_USAGE of sysexits(3).
    BadSetting = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends a command: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl ToString) -> Self {
        Self { exit, text: text.to_string() }
    }

    /// For what is wrong with the system.
    pub fn trouble(error: impl ToString) -> Self {
        Self::new(Exit::Trouble, error)
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::new(Exit::BadSetting, format!("bad settings:\n{mistakes}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::Engine(EngineError::Away(_) | EngineError::Unsure(_)) => Exit::EngineAway,
            StoreError::Engine(EngineError::Meanwhile) => Exit::ChangedMeanwhile,
            _ => Exit::Trouble,
        };
        Self::new(exit, error)
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Exists(name) => Self::new(
                Exit::UserExists,
                format!("user {name} already exists; for a new password: relay user passwd {name}"),
            ),
            ChangeError::Unknown(name) => Self::new(
                Exit::UserUnknown,
                format!("there is no user {name}; relay user list shows all users"),
            ),
            ChangeError::Store(error) => error.into(),
        }
    }
}
