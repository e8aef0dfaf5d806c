//! The status page: one document with everything in it. Pure.

mod checkup;
mod html;
mod latest;
mod plot;
mod receivers;
mod sections;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::history::Entry;
use crate::status::{Flow, Status};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/refresh.js");

/// The Content-Security-Policy (W3C CSP Level 3) of the page: this style and this script, by their hashes, requests
/// to this server only, and nothing else.
pub static SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT)
    )
});

fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

/// The page. With `names` it shows who was refused lately; `status` has its names or not, as the caller decides.
pub fn render(status: &Status, entries: &[Entry], names: bool) -> String {
    let title = match status.flow {
        Flow::Flows => "relay: mail flows",
        Flow::Troubled => "relay: trouble",
        Flow::Stopped => "relay: mail does not flow",
        Flow::Unknown => "relay: not known yet",
    };
    let latest = if names { latest::mail(entries, status.time) } else { String::new() };
    let note = match names {
        true => "",
        false => " Names and addresses are shown when METRICS_TOKEN is set.",
    };
    [
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\"><title>",
        title,
        "</title><style>",
        STYLE,
        "</style></head><body><main>",
        &sections::flow(status),
        "<div class=\"columns\">",
        &sections::waiting(status),
        &sections::delivered(status, &receivers::said(entries)),
        "</div>",
        &checkup::found(status),
        &sections::senders(status),
        &sections::refused(status, entries, names),
        &latest,
        &sections::machine(status),
        "<footer>As of <time>",
        &utc(status.time),
        "</time>.",
        note,
        " <span id=\"stale\" hidden>The relay does not answer; this is how it was then.</span></footer>\
         </main><script>",
        SCRIPT,
        "</script></body></html>\n",
    ]
    .concat()
}

fn utc(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests;
