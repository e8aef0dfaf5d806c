//! The glue to indymilter: what we keep of each stage, and what follows at the last.
//!
//! Callbacks collect facts and answer nothing; the decision is made once. Every answer would cost
//! Postfix a round trip, and a message has one.
//!
//! The decision is made at the end of the header, which Postfix sends only after it has the whole
//! message. One that is refused or needs no signature ends there: its body is never sent, and ACCEPT
//! says that nothing follows. For one that is signed the body follows in one stream, and the end of
//! message is the third answer. Where there are rules for header fields and no keys, the decision is
//! made at the end of message, together with the changes.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use indymilter::{
    Actions, Callbacks, Context, ContextActions, EomContext, NegotiateContext, ProtoOpts,
    SetErrorReply, Status,
};

use super::effects;
use super::negotiation::{wanted_actions, wanted_macros, wanted_options};
use super::rewriting::{Rewriting, Trouble, Watching};
use super::rules;
use super::session::{Message, Session};
use crate::access::{Action, Verdict};
use crate::addresses;
use crate::decision::Decider;
use crate::decision::metrics::Asker;
use crate::printable::Printable;
use crate::reply::Reply;
use crate::service::{Service, ServiceMetrics};

/// What all sessions share.
#[derive(Debug)]
pub struct MilterService {
    pub decider: Arc<Decider>,
    pub services: ServiceMetrics,
    pub rewriting: Rewriting,
}

/// The callbacks of the milter.
pub fn callbacks(service: &Arc<MilterService>) -> Callbacks<Session> {
    let (at_start, at_header) = (Arc::clone(service), Arc::clone(service));
    let (at_eoh, at_eom) = (Arc::clone(service), Arc::clone(service));
    Callbacks::new()
        .on_negotiate(move |context, actions, options| {
            let watching = at_start.rewriting.watching();
            Box::pin(async move { negotiate(context, watching, actions, options) })
        })
        .on_mail(|context, arguments| Box::pin(async move { mail(context, &arguments) }))
        .on_rcpt(|context, arguments| Box::pin(async move { rcpt(context, &arguments) }))
        .on_header(move |context, name, value| {
            let service = Arc::clone(&at_header);
            Box::pin(async move { header(&service, context, &name, &value) })
        })
        .on_eoh(move |context| {
            let service = Arc::clone(&at_eoh);
            Box::pin(async move { end_of_header(&service, context).await })
        })
        .on_body(|context, piece| Box::pin(async move { body(context, &piece) }))
        .on_eom(move |context| {
            let service = Arc::clone(&at_eom);
            Box::pin(async move { end_of_message(&service, context).await })
        })
        .on_abort(|context| Box::pin(async move { abort(context) }))
}

/// Asks for no more than is offered: Postfix and indymilter end the session otherwise.
fn negotiate(
    context: &mut NegotiateContext<Session>,
    watching: Watching,
    offered_actions: Actions,
    offered_options: ProtoOpts,
) -> Status {
    let agreed = wanted_options(watching) & offered_options;
    context.requested_opts = agreed;
    context.requested_actions = wanted_actions(watching) & offered_actions;
    if offered_actions.contains(Actions::REQUEST_MACROS) {
        context.requested_macros = wanted_macros();
    }
    context.data = Some(Session::new(agreed, watching));
    Status::Continue
}

fn mail(context: &mut Context<Session>, arguments: &[CString]) -> Status {
    let value = |name| context.macros.get(name).map(CStr::to_bytes).unwrap_or_default();
    let user = Some(value(c"{auth_authen}")).filter(|user| !user.is_empty());
    let client = addresses::parse_macro(value(c"{client_addr}"));
    let server_port = text(context.macros.get(c"{daemon_port}"));
    let message = Message {
        client,
        server_port,
        user: user.map(<[u8]>::to_vec),
        tls: !value(c"{tls_version}").is_empty(),
        sender: arguments.first().map(|sender| sender.to_bytes().to_vec()).unwrap_or_default(),
        ..Message::default()
    };
    let Some(session) = &mut context.data else { return Status::Tempfail };
    session.message = message;
    go_on(session, ProtoOpts::NOREPLY_MAIL)
}

fn rcpt(context: &mut Context<Session>, arguments: &[CString]) -> Status {
    let Some(session) = &mut context.data else { return Status::Tempfail };
    session.message.add_recipient(arguments.first().map(|recipient| recipient.to_bytes()));
    go_on(session, ProtoOpts::NOREPLY_RCPT)
}

fn header(
    service: &MilterService,
    context: &mut Context<Session>,
    name: &CStr,
    value: &CStr,
) -> Status {
    let Some(session) = &mut context.data else { return Status::Tempfail };
    let (name, value) = (name.to_bytes(), value.to_bytes());
    session.message.author_fields.add(name, value);
    let content = &mut session.message.content;
    service.rewriting.note(session.watching, content, session.message.client, name, value);
    go_on(session, ProtoOpts::NOREPLY_HEADER)
}

fn abort(context: &mut Context<Session>) -> Status {
    if let Some(session) = &mut context.data {
        session.message = Message::default();
    }
    Status::Continue
}

/// Postfix does not wait for an answer where that was agreed on.
fn go_on(session: &Session, no_reply: ProtoOpts) -> Status {
    if session.agreed.contains(no_reply) { Status::Noreply } else { Status::Continue }
}

/// The decision: see the top of this file.
async fn end_of_header(service: &MilterService, context: &mut Context<Session>) -> Status {
    let queue_id = text(context.macros.get(c"i"));
    let Some(session) = &mut context.data else { return Status::Tempfail };
    let status = match decide(service, session, &queue_id).await {
        Ok(verdict) if goes_on(service, session) => {
            session.message.permit = Some(verdict);
            return Status::Continue;
        }
        Ok(verdict) => {
            effects::decided(&service.decider.history, session, &queue_id, &verdict, None);
            Status::Accept
        }
        Err(reply) => refuse(&mut context.reply, &reply),
    };
    session.message = Message::default();
    status
}

/// Whether there is something to do at end of message.
fn goes_on(service: &MilterService, session: &Session) -> bool {
    let message = &session.message;
    let edited = || !service.rewriting.edits(&message.content, message.user_name()).is_empty();
    message.content.is_to_be_signed() || edited()
}

fn body(context: &mut Context<Session>, piece: &[u8]) -> Status {
    let Some(session) = &mut context.data else { return Status::Tempfail };
    session.message.content.body(piece);
    go_on(session, ProtoOpts::NOREPLY_BODY)
}

async fn end_of_message(service: &MilterService, context: &mut EomContext<Session>) -> Status {
    let queue_id = text(context.macros.get(c"i"));
    let Some(session) = &mut context.data else { return Status::Tempfail };
    let permit = match session.message.permit.take() {
        Some(verdict) => Ok(verdict),
        None => decide(service, session, &queue_id).await,
    };
    let status = match permit {
        Ok(verdict) => match rewrite(service, session, &context.actions).await {
            Ok(dkim) => {
                let history = &service.decider.history;
                effects::decided(history, session, &queue_id, &verdict, dkim.as_deref());
                Status::Continue
            }
            Err(trouble) => {
                let reply = not_signed(service, session, &queue_id, &trouble);
                refuse(&mut context.reply, &reply)
            }
        },
        Err(reply) => refuse(&mut context.reply, &reply),
    };
    session.message = Message::default();
    status
}

/// Question, answer, effects; then what the message needs. An error is the refusal.
async fn decide(
    service: &MilterService,
    session: &mut Session,
    queue_id: &str,
) -> Result<Verdict, Reply> {
    let answer = service.decider.answer(Asker::Milter, rules::question(session)).await;
    let verdict = answer.map_err(|error| {
        service.services.trouble.inc(Service::Milter);
        tracing::error!(
            %queue_id, %error,
            "message not decided; the client is told to try again later"
        );
        Reply::temporary(51, "3.0", "Temporary failure, please try again later")
    })?;
    if let Action::Refuse(reply) = &verdict.action {
        effects::decided(&service.decider.history, session, queue_id, &verdict, None);
        return Err(reply.clone());
    }
    let Message { content, author_fields, .. } = &mut session.message;
    let planned = service.rewriting.plan(session.watching, content, author_fields);
    planned.map_err(|trouble| not_signed(service, session, queue_id, &trouble))?;
    Ok(verdict)
}

async fn rewrite(
    service: &MilterService,
    session: &mut Session,
    postfix: &impl ContextActions,
) -> Result<Option<String>, Trouble> {
    let user = session.message.user_name().map(str::to_owned);
    let content = &mut session.message.content;
    service.rewriting.carry_out(content, user.as_deref(), postfix).await
}

fn not_signed(
    service: &MilterService,
    session: &Session,
    queue_id: &str,
    trouble: &Trouble,
) -> Reply {
    service.services.trouble.inc(Service::Milter);
    let reply = trouble.reply();
    tracing::error!(
        %queue_id, error = %trouble, %reply,
        "a message of a domain with a DKIM key could not be signed, and is not accepted"
    );
    effects::not_signed(&service.decider.history, session, queue_id, &reply);
    reply
}

/// Sets the reply that goes with the status. Should indymilter refuse it, Postfix has a text of its
/// own for the same status.
fn refuse(place: &mut impl SetErrorReply, reply: &Reply) -> Status {
    let status = if reply.is_temporary() { Status::Tempfail } else { Status::Reject };
    // A lone percent sign is removed by Postfix.
    let line = reply.text().replace('%', "%%");
    let set = place.set_error_reply(&reply.code(), Some(&reply.enhanced_status_code()), [line]);
    if let Err(error) = set {
        tracing::error!(%error, %reply, "reply not set; Postfix sends its own text");
    }
    status
}

/// A macro's value or an argument as text that is safe to print.
fn text(value: Option<&CStr>) -> String {
    value.map(|value| Printable(value.to_bytes()).to_string()).unwrap_or_default()
}
