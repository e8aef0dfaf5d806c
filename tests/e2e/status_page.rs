//! The status page, as people see it: in Chromium, on a phone and on a desk, light and dark, with and without
//! JavaScript, whether all is well or nothing.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relay_tests::authority::Authority;
use relay_tests::browser::{Browser, View};
use relay_tests::lab::{Lab, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::{Builder, Relay};
use relay_tests::sink::{Manner, Sink};
use relay_tests::wait::until;

const URL: &str = "http://127.0.0.1:9154/";
const TOKEN: &str = "canary-token-0123456789";
const PASSWORD: &str = "correct-horse-battery";
/// Postfix counts as away after 30 seconds.
const STALE: Duration = Duration::from_secs(60);

const PHONE: View = View { width: 360, height: 740, dark: false, javascript: true };
const DESK: View = View { width: 1280, height: 900, dark: false, javascript: true };
const VIEWS: [(&str, View); 5] = [
    ("phone", PHONE),
    ("phone-dark", View { dark: true, ..PHONE }),
    ("desk", DESK),
    ("desk-dark", View { dark: true, ..DESK }),
    ("plain", View { javascript: false, ..DESK }),
];

fn settings(lab: &Lab) -> Builder<'_> {
    // A hash for each of three hundred users would take a while.
    lab.relay_to_sink()
        .sidecar_env("METRICS_TOKEN", TOKEN)
        .sidecar_env("METRICS_USERS", "50")
        .sidecar_env("ARGON2_MEMORY_KIB", "8")
        .sidecar_env("ARGON2_ITERATIONS", "1")
        .postfix_env("POSTFIX_smtpd_client_connection_count_limit", "400")
}

fn browser(lab: &Lab, relay: &Relay<'_>) -> Result<Browser> {
    let folder = lab.evidence.directory()?.join("browser");
    let mut browser = Browser::start(relay.namespace(), &folder)?;
    let pair = BASE64.encode(format!("anybody:{TOKEN}"));
    browser.header("Authorization", &format!("Basic {pair}"))?;
    Ok(browser)
}

/// Adds so many users with limits, and has each send a message; the first ones send more.
fn senders(relay: &Relay<'_>, number: usize) -> Result<()> {
    let users: Vec<_> = (0..number).map(|user| format!("user{user}:{PASSWORD}")).collect();
    relay.manage_user(&["import", "-"], &users.join(","))?;
    for user in 0..number {
        let name = format!("user{user}");
        if user < 3 {
            relay.manage_user(&["set", &name, "--limit", "10/hour,20/day"], "")?;
        }
        let mut client = relay.login(STRANGER, 587, &name, PASSWORD)?;
        for _ in 0..9_usize.saturating_sub(3 * user).max(1) {
            client.send("a@example.org", &["bob@example.net"], &message("x"))?.expect(250)?;
        }
        client.quit()?;
    }
    Ok(())
}

/// Looks at the page in every way; each must fit, be in order and have these words.
fn look(browser: &mut Browser, pictures: &Path, state: &str, words: &[&str]) -> Result<()> {
    for (name, view) in VIEWS {
        browser.open(URL, view)?;
        let width = browser.evaluate("document.documentElement.scrollWidth")?;
        ensure!(width.as_u64() <= Some(view.width.into()), "{state} {name}: {width} wide");
        let text = browser.evaluate("document.body.innerText")?;
        let text = text.as_str().unwrap_or_default();
        browser.screenshot(&pictures.join(format!("{state}-{name}.png")))?;
        for word in words {
            ensure!(text.contains(word), "{state} {name}: {word:?} is not in {text}");
        }
        let headings = browser.evaluate(
            "[...document.querySelectorAll('h1,h2')].slice(1).map(h => h.innerText).join()",
        )?;
        let headings = headings.as_str().unwrap_or_default().replace("Latest mail,", "");
        ensure!(headings == "Waiting,Delivered,Senders,Refused,This relay", "{headings}");
        let ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")?;
        let is_dark = ground == "rgb(18, 22, 28)";
        ensure!(is_dark == view.dark, "{state} {name}: {ground}");
    }
    ensure!(browser.complaints.is_empty(), "{state}: {:#?}", browser.complaints);
    Ok(())
}

fn wait_for(relay: &Relay<'_>, within: Duration, expected: &str) -> Result<()> {
    let header = format!("Authorization: Bearer {TOKEN}\r\n");
    until(&format!("{expected} in /api/status"), within, || {
        let page = relay.sidecar().ok()?.get_with("/api/status", &header).ok()?;
        page.contains(expected).then_some(())
    })
}

#[test]
fn with_nobody_three_and_three_hundred_users() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = settings(lab).start()?;
        wait_for(&relay, STALE, "\"flow\":\"flows\"")?;
        let mut browser = browser(lab, &relay)?;
        let pictures = lab.evidence.directory()?;
        let none = ["Mail flows", "No user has sent anything in the last day.", "0 users"];
        look(&mut browser, pictures, "nobody", &none)?;
        senders(&relay, 3)?;
        sink.wait_for(18)?;
        wait_for(&relay, STALE, "\"sent\":18")?;
        let three =
            ["Latest mail", "250 2.0.0 kept", "user0", "9 of 10/hour", "user2", "3 users", "18"];
        look(&mut browser, pictures, "three", &three)?;
        Ok(())
    })
}

#[test]
fn a_page_of_three_hundred_users_shows_twenty() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = settings(lab).start()?;
        senders(&relay, 300)?;
        wait_for(&relay, STALE, "\"users\":300")?;
        let mut browser = browser(lab, &relay)?;
        let pictures = lab.evidence.directory()?;
        look(&mut browser, pictures, "many", &["user0", "all others", "300 users"])?;
        let rows = "document.querySelectorAll('section')[2].querySelectorAll('tbody tr').length";
        // And one row for all others.
        ensure!(browser.evaluate(rows)? == 21);
        Ok(())
    })
}

/// Mail that is put off, a stranger, a thief, a certificate that ends, and in the end no Postfix.
fn break_everything(relay: &mut Relay<'_>, sink: &Sink) -> Result<()> {
    sink.behave(Manner::RefuseRecipients("451 4.7.1 greylisted"));
    senders(relay, 3)?;
    let mut stranger = relay.session(STRANGER, 587)?;
    stranger.command("MAIL FROM:<eve@example.com>")?.expect(250)?;
    stranger.command("RCPT TO:<bob@example.net>")?.expect(554)?;
    relay.add_user("thief", PASSWORD)?;
    let mut thief = relay.login(STRANGER, 587, "thief", PASSWORD)?;
    thief.command("MAIL FROM:<a@example.org>")?.expect(250)?;
    for number in 0..13 {
        thief.command(&format!("RCPT TO:<r{number}@example.net>"))?.expect(250)?;
    }
    thief.data(&message("too much"))?.expect(554)?;
    wait_for(relay, STALE, "\"suspended\":1")?;
    wait_for(relay, STALE, "\"deferred\":18")?;
    wait_for(relay, STALE, "{\"name\":\"deferred\",\"messages\":18")?;
    if let Some(postfix) = relay.postfix.take() {
        postfix.kill()?;
    }
    wait_for(relay, STALE, "postfix_silent")
}

#[test]
fn with_everything_broken_it_says_what_first_and_refreshes_itself() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = settings(lab)
            .env("TLS_CERT", "/certs/cert.pem")
            .env("TLS_KEY", "/certs/key.pem")
            .env("SUSPEND_AFTER", "12/hour")
            .build()?;
        let end = SystemTime::now() + Duration::from_secs(5 * 86_400);
        let (certificate, key) = (relay.certs().join("cert.pem"), relay.certs().join("key.pem"));
        Authority::new()?.write_pair_until(end, "relay.test", &certificate, &key)?;
        relay.start()?;
        break_everything(&mut relay, &sink)?;
        let mut browser = browser(lab, &relay)?;
        let pictures = lab.evidence.directory()?;
        let broken = [
            "Mail does not flow",
            "Postfix has not been heard of for",
            "ports 587 and 465 ends in",
            "deliveries of the last hour were put off",
            "1 user is suspended",
            "no login, and not from an allowed network",
            "198.51.100.7",
        ];
        look(&mut browser, pictures, "broken", &broken)?;

        // A page that is open sees what changes, and says so when the relay is gone.
        browser.open(URL, DESK)?;
        relay.manage_user(&["add", "new", "--generate"], "")?;
        let text = "document.body.innerText";
        until("the page to refresh itself", STALE, || {
            browser.evaluate(text).ok()?.as_str()?.contains("5 users").then_some(())
        })?;
        relay.sidecar.take().map(|sidecar| sidecar.stop()).transpose()?;
        until("the page to say that it is old", STALE, || {
            browser.evaluate(text).ok()?.as_str()?.contains("does not answer").then_some(())
        })
    })
}

#[test]
fn without_a_token_it_names_nobody_and_with_one_it_asks_for_it() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = settings(lab).sidecar_env("METRICS_TOKEN", "").start()?;
        senders(&relay, 3)?;
        let mut stranger = relay.session(STRANGER, 587)?;
        stranger.command("MAIL FROM:<eve@example.com>")?.expect(250)?;
        stranger.command("RCPT TO:<bob@example.net>")?.expect(554)?;
        wait_for(&relay, STALE, "\"messages_day\":9")?;
        for path in ["/", "/api/status"] {
            let page = relay.sidecar()?.get(path)?;
            let reason = if path == "/" { "no login, and not from" } else { "not_allowed" };
            ensure!(page.contains("user 1") && page.contains(reason), "{page}");
            for name in ["user0", "eve@", "bob@", "198.51.100.7", "example.org"] {
                ensure!(!page.contains(name), "{path}: {name} is in {page}");
            }
        }
        let head = relay.sidecar()?.get("/")?;
        for line in [
            "content-security-policy: default-src 'none'; style-src 'sha256-",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            ensure!(head.to_ascii_lowercase().contains(line), "{line}: {head}");
        }
        let with_token = settings(lab).build()?;
        drop(relay);
        let mut relay = with_token;
        relay.start_sidecar()?;
        for path in ["/", "/api/status"] {
            let page = relay.sidecar()?.get(path)?;
            ensure!(page.starts_with("HTTP/1.1 401"), "{path}: {page}");
        }
        Ok(())
    })
}
