//! Facts, decision, effects: what policy and milter have in common.
//!
//! Both ask the same question of [`access::decide`], and both get the limits' answer after it:
//! policy hears at RCPT whether there is room, the milter charges the message at end of message,
//! where it is accepted.

pub mod metrics;
mod top;
pub mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::access::header_from::AuthorFields;
use crate::access::senders::ToldSender;
use crate::access::{self, Action, Facts, Rules, Verdict};
use crate::alerts::Alerts;
use crate::clock::now;
use crate::gateways::Gateways;
use crate::ledger::{Charged, Ledger, Subject};
use crate::recorder::Recorder;
use crate::store::{ChangeError, StoreError, UserStore};
use crate::user_name::UserName;
use crate::users::{self as user_records, User};
use metrics::{Asker, DecisionMetrics};

/// May this client relay this message?
#[derive(Debug)]
pub struct Question<'a> {
    /// `None` when Postfix does not know the address.
    pub client: Option<IpAddr>,
    /// The name that Postfix got from our own OK reply.
    pub user: Option<&'a [u8]>,
    pub tls: bool,
    pub sender: ToldSender<'a>,
    pub authors: &'a AuthorFields,
    pub stage: Stage,
}

/// How far the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// At RCPT, with so many recipients, the one that is asked about included.
    Recipient { recipients: u32 },
    /// At end of message, with the recipients that were accepted.
    Message { recipients: u32 },
    /// Any other stage, at which no limit is asked.
    Other,
}

/// Answers questions, and carries out what follows from the answer for the database.
#[derive(Debug)]
pub struct Decider {
    pub rules: Rules,
    pub gateways: Gateways,
    pub store: UserStore,
    pub ledger: Arc<Ledger>,
    pub alerts: Alerts,
    pub history: Recorder,
    pub metrics: DecisionMetrics,
}

impl Decider {
    /// Decides, with the user as the database has it now, and counts the answer.
    ///
    /// # Errors
    ///
    /// When the database cannot be read. There is no answer then; a guess could relay mail that
    /// must not be relayed.
    pub async fn answer(
        &self,
        asker: Asker,
        question: Question<'_>,
    ) -> Result<Verdict, StoreError> {
        let started = Instant::now();
        let verdict = self.decide(question).await?;
        self.metrics.decided(asker, verdict.reason, started.elapsed());
        Ok(verdict)
    }

    async fn decide(&self, question: Question<'_>) -> Result<Verdict, StoreError> {
        let now = now();
        let name = question.user.and_then(UserName::from_bytes);
        let user = match &name {
            Some(name) => self.store.user(name)?,
            None => None,
        };
        let up_to_date = match (&name, &user, question.client) {
            (Some(name), Some(user), Some(client)) => {
                self.ledger.logged_in_since_change(name, user, client)?
            }
            // Without an address there is no way to tell.
            _ => true,
        };
        let facts = Facts {
            client: question.client,
            client_is_gateway: question.client.is_some_and(|client| self.gateways.contains(client)),
            login: question.user.map(|name| {
                user_records::login(name, user.as_deref(), question.client, up_to_date, now)
            }),
            tls: question.tls,
            sender: question.sender,
            authors: question.authors,
        };
        let verdict = access::decide(&self.rules, &facts);
        if verdict.action != Action::Permit {
            return Ok(verdict);
        }
        let subject = self.subject(name.as_ref(), user.as_deref(), question.client);
        let Some(subject) = subject else { return Ok(verdict) };
        let charged = match question.stage {
            Stage::Recipient { recipients } => self.ledger.look_ahead(&subject, now, recipients)?,
            Stage::Message { recipients } => self.ledger.charge(&subject, now, recipients)?,
            Stage::Other => Charged::Within,
        };
        match charged {
            Charged::Within => {
                if let Stage::Message { recipients } = question.stage {
                    self.metrics.accepted(now, name.as_ref(), recipients);
                }
                Ok(verdict)
            }
            Charged::Exceeded(exceeded) => {
                self.metrics.limit_hit(name.as_ref(), &exceeded.limit);
                Ok(access::over_limit(&exceeded.limit))
            }
            Charged::OverCeiling => {
                if let Some(name) = name {
                    self.suspend(name, question.client).await?;
                }
                Ok(access::suspended())
            }
        }
    }

    fn subject(
        &self,
        name: Option<&UserName>,
        user: Option<&User>,
        client: Option<IpAddr>,
    ) -> Option<Subject> {
        match (name, user) {
            (Some(name), Some(user)) => Some(self.ledger.user(name, user)),
            _ => client.map(|client| self.ledger.network(client)),
        }
    }

    /// Marks the user in the database, so that login and mail are refused from now on, and raises
    /// the alarm once: a user sends over many connections.
    async fn suspend(&self, name: UserName, client: Option<IpAddr>) -> Result<(), StoreError> {
        let (store, user) = (self.store.clone(), name.clone());
        let marked = tokio::task::spawn_blocking(move || store.suspend(&user, now()));
        match marked.await {
            Ok(Ok(true)) => {}
            // Marked by another connection, or removed a moment ago.
            Ok(Ok(false) | Err(ChangeError::Unknown(_) | ChangeError::Exists(_))) => return Ok(()),
            Ok(Err(ChangeError::Store(error))) => return Err(error),
            Err(error) => return Err(std::io::Error::other(error).into()),
        }
        let client = client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
        tracing::error!(
            user = %name, %client,
            "user suspended for trying to send more than SUSPEND_AFTER allows; the password may be \
             stolen: change it, then run relay user enable {name}"
        );
        self.alerts.suspended(&name, &client, now());
        self.metrics.user_suspended(name);
        Ok(())
    }
}
