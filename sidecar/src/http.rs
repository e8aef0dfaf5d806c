//! The status page, its figures as JSON, `/metrics`, `/healthz` and `/readyz` over HTTP/1.1.
//!
//! With METRICS_TOKEN only who has it may see the first three, and then with the names of users. The last two tell no
//! more than whether the process is well, to anybody: whoever checks that has no token.

pub mod access;
pub mod page;
pub mod tls;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use access::Token;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::history::Filter;
use crate::listener::Connection;
use crate::metrics::Registry;
use crate::overview::Overview;
use crate::status::Status;
use crate::store::UserStore;

/// The head of a request must have arrived by then; a scraper sends it at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this long, whatever it is doing: a peer that does not read its
/// answers would hold it, and health checks share the number of connections.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// Entries of the history that the page looks at.
const LATEST: usize = 100;

/// What all sessions share.
#[derive(Debug)]
pub struct HttpService {
    pub store: UserStore,
    pub registry: Registry,
    pub overview: Overview,
    pub token: Option<Token>,
    pub tls: Option<Tls>,
    /// Set once every socket is bound.
    pub ready: AtomicBool,
}

/// Serves one connection until the peer closes it or the process stops.
pub async fn serve(stream: Connection, service: Arc<HttpService>, stopping: CancellationToken) {
    match &service.tls {
        None => serve_http(stream, &service, stopping).await,
        Some(tls) => {
            if let Some(stream) = tls.accept(stream).await {
                serve_http(stream, &service, stopping).await;
            }
        }
    }
}

async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    service: &HttpService,
    stopping: CancellationToken,
) {
    let respond = service_fn(|request: Request<Incoming>| {
        let path = request.uri().path();
        let response = respond(service, request.method(), path, request.headers());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), respond);
    tokio::pin!(connection);
    tokio::select! {
        // A scraper that hangs up or talks nonsense is not worth a log line.
        _ = connection.as_mut() => {}
        () = tokio::time::sleep(CONNECTION_TIMEOUT) => {}
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
}

fn respond(
    service: &HttpService,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    match path {
        "/" | "/api/status" | "/metrics"
            if service.token.as_ref().is_some_and(|token| !token.is_in(headers)) =>
        {
            who_are_you(path)
        }
        "/" => status_page(service),
        "/api/status" => status_json(service),
        "/metrics" => scrape(service),
        "/healthz" => match service.store.user_count() {
            Ok(_) => plain(StatusCode::OK, "ok\n"),
            Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\n")),
        },
        "/readyz" if service.ready.load(Ordering::Acquire) => plain(StatusCode::OK, "ready\n"),
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ => plain(StatusCode::NOT_FOUND, "/, /api/status, /metrics, /healthz or /readyz\n"),
    }
}

/// A browser asks its user only if Basic is offered.
fn who_are_you(path: &str) -> Response<Full<Bytes>> {
    let scheme = if path == "/" { "Basic realm=\"METRICS_TOKEN as password\"" } else { "Bearer" };
    let mut response = plain(StatusCode::UNAUTHORIZED, "METRICS_TOKEN is needed\n");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    response
}

/// The figures, with names for those who have shown a token.
fn status(service: &HttpService) -> (Status, bool) {
    let status = service.overview.status();
    match service.token {
        Some(_) => (status, true),
        None => (status.without_names(), false),
    }
}

fn status_page(service: &HttpService) -> Response<Full<Bytes>> {
    let (status, names) = status(service);
    let latest = service.overview.history.find(&Filter::default(), LATEST);
    let page = page::render(&status, &latest.entries, names);
    let mut response = content("text/html; charset=utf-8", page);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, page::SECURITY_POLICY.as_str()),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn status_json(service: &HttpService) -> Response<Full<Bytes>> {
    // Only maps with keys other than strings can fail, and there is none.
    let text = serde_json::to_string(&status(service).0).unwrap_or_default();
    content("application/json", text + "\n")
}

/// An answer that is true now, and not to be kept.
fn content(kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    for (name, value) in
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn scrape(service: &HttpService) -> Response<Full<Bytes>> {
    match service.registry.text() {
        Ok(text) => {
            let mut response = Response::new(Full::new(Bytes::from(text)));
            let format = HeaderValue::from_static("text/plain; version=0.0.4");
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = content("text/plain; charset=utf-8", text.to_owned());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::metrics::DecisionMetrics;
    use crate::history::Redaction;
    use crate::ledger::Ledger;
    use crate::limits::limit::{Ceiling, DefaultLimits, Limits};
    use crate::recorder::Recorder;

    #[test]
    fn paths_and_their_status() {
        let folder = tempfile::tempdir().unwrap();
        let (store, registry) = (UserStore::open(folder.path()).unwrap(), Registry::default());
        let limits = DefaultLimits {
            user: Limits::default(),
            network: Limits::default(),
            ceiling: Ceiling::Off,
        };
        let ledger = Arc::new(Ledger::new(store.clone(), limits, Duration::from_secs(1)));
        let decisions = DecisionMetrics::register(&registry, 5).unwrap();
        let history = Recorder::new(Redaction::None).unwrap();
        let overview = Overview::new(registry.clone(), store.clone(), ledger, decisions, history);
        let mut service = HttpService {
            store,
            registry,
            overview,
            token: None,
            tls: None,
            ready: AtomicBool::new(false),
        };
        let without = HeaderMap::new();
        let status = |service: &HttpService, method: &Method, path: &str| {
            respond(service, method, path, &without).status()
        };
        let unready = status(&service, &Method::GET, "/readyz");
        assert_eq!(unready, StatusCode::SERVICE_UNAVAILABLE);
        service.ready.store(true, Ordering::Release);
        for (method, path, expected) in [
            (Method::GET, "/readyz", StatusCode::OK),
            (Method::HEAD, "/readyz", StatusCode::OK),
            (Method::GET, "/healthz", StatusCode::OK),
            (Method::GET, "/metrics", StatusCode::OK),
            (Method::GET, "/", StatusCode::OK),
            (Method::GET, "/api/status", StatusCode::OK),
            (Method::GET, "/else", StatusCode::NOT_FOUND),
            (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED),
        ] {
            assert_eq!(status(&service, &method, path), expected, "{method} {path}");
        }
        service.token = Token::parse(&"0123456789abcdef".to_owned().into()).ok();
        for (path, expected) in [
            ("/", StatusCode::UNAUTHORIZED),
            ("/api/status", StatusCode::UNAUTHORIZED),
            ("/metrics", StatusCode::UNAUTHORIZED),
            ("/readyz", StatusCode::OK),
            ("/healthz", StatusCode::OK),
        ] {
            assert_eq!(status(&service, &Method::GET, path), expected, "{path}");
        }
    }
}
