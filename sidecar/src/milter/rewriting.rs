//! What the milter does to a message that it lets pass: header fields out and in, and signatures.
//!
//! What a message needs is known at the end of its header. Only a message that is to be signed has
//! its body sent, and nothing of it is kept but its hash so far.

use std::ffi::CString;
use std::net::IpAddr;
use std::sync::Arc;

use indymilter::{ActionError, ContextActions};
use thiserror::Error;

use super::header_edits::{Edit, HeaderRules, SeenFields, edits};
use crate::access::header_from::AuthorFields;
use crate::clock::now;
use crate::dkim::canonical::BodyHash;
use crate::dkim::choice::Outcome;
use crate::dkim::fields::{SignedFields, TooMuchHeader};
use crate::dkim::present::PresentSignatures;
use crate::dkim::signature;
use crate::reply::Reply;
use crate::signing::keyring::{KeyTrouble, Keyring, ReadyKey};
use crate::signing::metrics::DkimMetrics;
use crate::signing::pool::{PoolError, SigningPool, Task};

/// What all sessions share.
#[derive(Debug)]
pub struct Rewriting {
    pub keyring: Keyring,
    pub pool: SigningPool,
    pub metrics: DkimMetrics,
    pub headers: HeaderRules,
}

/// What a session looks at, as it was when the session began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    /// There are keys, so that a message may need a signature.
    pub keys: bool,
    /// There are rules for header fields.
    pub headers: bool,
}

/// What is noted of a message's header, and what follows from it.
#[derive(Debug, Default)]
pub struct Content {
    fields: SignedFields,
    present: PresentSignatures,
    seen: SeenFields,
    /// The keys that sign, and the body that they sign.
    signing: Option<(Vec<Arc<ReadyKey>>, BodyHash)>,
}

/// Why a message that is to be signed is not.
#[derive(Debug, Error)]
pub enum Trouble {
    #[error(transparent)]
    Keys(#[from] KeyTrouble),
    #[error(transparent)]
    Signing(#[from] PoolError),
    #[error("Postfix does not take the change: {0}")]
    Postfix(#[from] ActionError),
    #[error("the first DKIM key was made during this session, which was not told to send bodies")]
    NotWatched,
}

impl Trouble {
    /// What the client hears: to come again, unless that would not help.
    pub fn reply(&self) -> Reply {
        match self {
            Self::Signing(PoolError::Header(TooMuchHeader)) => {
                Reply::permanent(54, "6.0", "Message header too large to be signed")
            }
            _ => Reply::temporary(51, "7.0", "Message could not be signed, please try again later"),
        }
    }
}

impl Rewriting {
    /// What a session that begins now looks at. Trouble with the database counts as keys: the
    /// message will tell.
    pub fn watching(&self) -> Watching {
        let keys = !self.keyring.is_empty().unwrap_or(false);
        Watching { keys, headers: !self.headers.is_empty() }
    }

    /// Notes a header field.
    pub fn note(
        &self,
        watching: Watching,
        content: &mut Content,
        client: Option<IpAddr>,
        name: &[u8],
        value: &[u8],
    ) {
        if watching.headers {
            content.seen.add(&self.headers, client, name, value);
        }
        if watching.keys || watching.headers {
            content.present.add(name, value);
        }
        if watching.keys {
            content.fields.add(name, value);
        }
    }

    /// Finds out at the end of the header whether a permitted message is to be signed.
    ///
    /// # Errors
    ///
    /// When that cannot be found out, unless `DKIM_FAIL_OPEN` lets it pass.
    pub fn plan(
        &self,
        watching: Watching,
        content: &mut Content,
        authors: &AuthorFields,
    ) -> Result<(), Trouble> {
        if !watching.keys && self.keyring.is_empty().map_err(KeyTrouble::from)? {
            return Ok(());
        }
        let author = authors.author();
        let author = author.as_ref().map(|author| author.domain());
        let chosen = self.keyring.choose(author, &content.present).map_err(Trouble::from);
        match chosen {
            Ok(Ok(keys)) if watching.keys => {
                content.signing = Some((keys, BodyHash::default()));
                Ok(())
            }
            Ok(Ok(_)) => self.failed(Trouble::NotWatched),
            Ok(Err(outcome)) => {
                self.metrics.messages.inc(outcome);
                Ok(())
            }
            Err(trouble) => self.failed(trouble),
        }
    }

    /// Counts a failure; an error, unless `DKIM_FAIL_OPEN` lets the message pass unsigned.
    fn failed(&self, trouble: Trouble) -> Result<(), Trouble> {
        if self.keyring.rules().fail_open {
            self.metrics.messages.inc(Outcome::FailedOpen);
            tracing::warn!(error = %trouble, "a message leaves unsigned, as DKIM_FAIL_OPEN says");
            return Ok(());
        }
        self.metrics.messages.inc(Outcome::Failed);
        Err(trouble)
    }

    /// The changes to the header, before it is signed.
    pub fn edits(&self, content: &Content, user: Option<&str>) -> Vec<Edit> {
        edits(&self.headers, &content.seen, &content.present, user)
    }

    /// Changes the header, and signs. Returns the keys that signed, as the log names them.
    ///
    /// # Errors
    ///
    /// When the message could not be signed, unless `DKIM_FAIL_OPEN` lets it pass; or when Postfix
    /// is gone.
    pub async fn carry_out(
        &self,
        content: &mut Content,
        user: Option<&str>,
        postfix: &impl ContextActions,
    ) -> Result<Option<String>, Trouble> {
        let edits = self.edits(content, user);
        for edit in &edits {
            match edit {
                Edit::Remove { name, number } => {
                    content.fields.remove(name, &[*number]);
                    let number = i32::try_from(*number).unwrap_or(i32::MAX);
                    postfix.change_header(c_string(name), number, None::<CString>).await?;
                }
                Edit::Add { name, value } => {
                    content.fields.add(name.as_bytes(), value.as_bytes());
                    postfix.add_header(c_string(name), c_string(value)).await?;
                }
            }
        }
        let Some((keys, body)) = content.signing.take() else { return Ok(None) };
        let names: Vec<String> =
            keys.iter().map(|key| format!("{}/{}", key.domain, key.selector)).collect();
        let task = Task {
            keys: keys.clone(),
            fields: std::mem::take(&mut content.fields),
            body_hash: body.finish(),
            now: now(),
        };
        match self.pool.sign(task).await {
            Ok(signatures) => {
                for (value, key) in signatures.iter().zip(&keys).rev() {
                    postfix.insert_header(0, c_string(signature::NAME), c_string(value)).await?;
                    self.metrics.signatures.inc(key.facts.algorithm);
                }
                self.metrics.messages.inc(Outcome::Signed);
                Ok(Some(names.join(",")))
            }
            Err(error) => self.failed(error.into()).map(|()| None),
        }
    }
}

impl Content {
    /// Whether the body is needed.
    pub fn is_to_be_signed(&self) -> bool {
        self.signing.is_some()
    }

    /// Takes a piece of the body.
    pub fn body(&mut self, piece: &[u8]) {
        if let Some((_, hash)) = &mut self.signing {
            hash.update(piece);
        }
    }
}

/// Neither field names nor values of ours have a NUL; should one, it ends there.
fn c_string(text: &str) -> CString {
    let bytes = text.split('\0').next().unwrap_or_default();
    CString::new(bytes).unwrap_or_default()
}
