//! The glue to indymilter: which stages Postfix tells us of, and what we keep of each.
//!
//! Callbacks collect facts and answer nothing; the decision is made once, at end of message. Every
//! answer would cost Postfix a round trip, and a message has two: the negotiation and the end of
//! message. Nothing is ever answered with ACCEPT, which would skip what follows.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use indymilter::{
    Actions, Callbacks, Context, EomContext, MacroStage, NegotiateContext, ProtoOpts,
    SetErrorReply, Status,
};

use super::rules;
use super::session::{Message, Session};
use crate::access::{Action, Verdict};
use crate::addresses;
use crate::decision::Decider;
use crate::decision::metrics::Asker;
use crate::labels::Label;
use crate::printable::Printable;
use crate::reply::Reply;
use crate::service::{Service, ServiceMetrics};

/// What all sessions share.
#[derive(Debug)]
pub struct MilterService {
    pub decider: Arc<Decider>,
    pub services: ServiceMetrics,
}

/// Stages that we need nothing from, and stages after which Postfix need not wait.
fn wanted_options() -> ProtoOpts {
    ProtoOpts::NO_CONNECT
        | ProtoOpts::NO_HELO
        | ProtoOpts::NO_DATA
        | ProtoOpts::NO_EOH
        | ProtoOpts::NO_BODY
        | ProtoOpts::NO_UNKNOWN
        | ProtoOpts::NOREPLY_MAIL
        | ProtoOpts::NOREPLY_RCPT
        | ProtoOpts::NOREPLY_HEADER
}

/// The macros we ask for. The client comes with them, at MAIL, and not by the connect stage, which
/// would be one more write of Postfix and one more read here. Every list has a macro that is always
/// there ({mail_addr}, {rcpt_addr}, i): indymilter keeps the macros of an earlier message when a
/// list comes empty, and the login of one client would become another's.
fn wanted_macros() -> HashMap<MacroStage, CString> {
    let at_mail = c"{mail_addr} {client_addr} {daemon_port} {auth_authen} {tls_version}";
    let lists =
        [(MacroStage::Mail, at_mail), (MacroStage::Rcpt, c"{rcpt_addr}"), (MacroStage::Eom, c"i")];
    lists.into_iter().map(|(stage, list)| (stage, list.to_owned())).collect()
}

/// The callbacks of the milter.
pub fn callbacks(service: &Arc<MilterService>) -> Callbacks<Session> {
    let at_eom = Arc::clone(service);
    Callbacks::new()
        .on_negotiate(|context, actions, options| {
            Box::pin(async move { negotiate(context, actions, options) })
        })
        .on_mail(|context, arguments| Box::pin(async move { mail(context, &arguments) }))
        .on_rcpt(|context, arguments| Box::pin(async move { rcpt(context, &arguments) }))
        .on_header(|context, name, value| Box::pin(async move { header(context, &name, &value) }))
        .on_eom(move |context| {
            let service = Arc::clone(&at_eom);
            Box::pin(async move { end_of_message(&service, context).await })
        })
        .on_abort(|context| Box::pin(async move { abort(context) }))
}

/// Asks for no more than is offered: Postfix and indymilter end the session otherwise.
fn negotiate(
    context: &mut NegotiateContext<Session>,
    offered_actions: Actions,
    offered_options: ProtoOpts,
) -> Status {
    let agreed = wanted_options() & offered_options;
    context.requested_opts = agreed;
    context.requested_actions = Actions::REQUEST_MACROS & offered_actions;
    if offered_actions.contains(Actions::REQUEST_MACROS) {
        context.requested_macros = wanted_macros();
    }
    context.data = Some(Session::new(agreed));
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

fn header(context: &mut Context<Session>, name: &CStr, value: &CStr) -> Status {
    let Some(session) = &mut context.data else { return Status::Tempfail };
    session.message.author_fields.add(name.to_bytes(), value.to_bytes());
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

/// Question, answer, effects.
async fn end_of_message(service: &MilterService, context: &mut EomContext<Session>) -> Status {
    let queue_id = text(context.macros.get(c"i"));
    let Some(session) = &mut context.data else { return Status::Tempfail };
    let status = match service.decider.answer(Asker::Milter, rules::question(session)).await {
        Ok(verdict) => {
            log_decision(session, &queue_id, &verdict);
            match verdict.action {
                Action::Permit => Status::Continue,
                Action::Refuse(reply) => {
                    let status =
                        if reply.is_temporary() { Status::Tempfail } else { Status::Reject };
                    refuse(&mut context.reply, &reply, status)
                }
            }
        }
        Err(error) => {
            service.services.trouble.inc(Service::Milter);
            tracing::error!(
                %queue_id, %error,
                "message not decided; the client is told to try again later"
            );
            let reply = Reply::temporary(51, "3.0", "Temporary failure, please try again later");
            refuse(&mut context.reply, &reply, Status::Tempfail)
        }
    };
    session.message = Message::default();
    status
}

/// Sets the reply that goes with the status. Should indymilter refuse it, Postfix has a text of its
/// own for the same status.
fn refuse(place: &mut impl SetErrorReply, reply: &Reply, status: Status) -> Status {
    // A lone percent sign is removed by Postfix.
    let line = reply.text().replace('%', "%%");
    let set = place.set_error_reply(&reply.code(), Some(&reply.enhanced_status_code()), [line]);
    if let Err(error) = set {
        tracing::error!(%error, %reply, "reply not set; Postfix sends its own text");
    }
    status
}

/// The one line of a message, whether it is accepted or refused.
fn log_decision(session: &Session, queue_id: &str, verdict: &Verdict) {
    let message = &session.message;
    let client = message.client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
    let named = message.named_recipients.iter().map(|to| Printable(to).to_string());
    let mut to = named.collect::<Vec<_>>().join(",");
    if message.recipients as usize > message.named_recipients.len() {
        to.push_str(",…");
    }
    tracing::info!(
        action = %verdict.reason.action(),
        reason = %verdict.reason.label(),
        %client,
        port = %message.server_port,
        tls = message.tls,
        user = %Printable(message.user.as_deref().unwrap_or_default()),
        sender = %Printable(&message.sender),
        recipients = message.recipients,
        %to,
        %queue_id,
        "milter"
    );
}

/// A macro's value or an argument as text that is safe to print.
fn text(value: Option<&CStr>) -> String {
    value.map(|value| Printable(value.to_bytes()).to_string()).unwrap_or_default()
}
