//! Headless Chromium, driven over the DevTools protocol (chromedevtools.github.io/devtools-protocol) through two
//! pipes, so that it needs no port.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::requirements;
use crate::wait::A_WHILE;

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// CSS pixels.
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    pub javascript: bool,
}

/// One tab of a browser of its own.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    commands: File,
    messages: Receiver<Value>,
    session: String,
    number: Cell<u64>,
    /// Errors of the console and of the network, and violations of the page's policy.
    pub complaints: Vec<String>,
}

/// fd 3 is read, fd 4 is written; each message ends with a NUL. DBus and GPU are for desktops.
const START: &str = r#"exec "$0" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --remote-debugging-pipe --user-data-dir="$1" about:blank 3< "$1/in" 4> "$1/out""#;

impl Browser {
    /// Starts it inside a namespace; `folder` is for its files.
    pub fn start(namespace: &Namespace, folder: &Path) -> Result<Self> {
        let chromium = requirements::program("/usr/bin/chromium")?;
        std::fs::create_dir_all(folder)?;
        for name in ["in", "out"] {
            let mode = rustix::fs::Mode::from(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, folder.join(name), mode)?;
        }
        // For reading and writing: that waits for nobody.
        let open = |name| OpenOptions::new().read(true).write(true).open(folder.join(name));
        let (commands, output) = (open("in")?, open("out")?);
        let process = namespace
            .command("sh")
            .args(["-c", START])
            .args([&chromium, folder])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("chromium.log"))?)
            .spawn()
            .context("starting Chromium")?;
        let messages = read(output);
        let session = String::new();
        let complaints = Vec::new();
        let mut browser =
            Self { process, commands, messages, session, number: Cell::new(0), complaints };
        let targets = browser.call("Target.getTargets", json!({}))?;
        let targets = targets.pointer("/targetInfos").and_then(Value::as_array);
        let is_page = |target: &&Value| text(target, "/type") == Some("page");
        let page = targets.and_then(|targets| targets.iter().find(is_page));
        let page = page.and_then(|page| text(page, "/targetId")).context("Chromium has no page")?;
        let attach = json!({ "targetId": page, "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach)?;
        browser.session = text(&attached, "/sessionId").context("no session")?.to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Sends this header line with every request.
    pub fn header(&mut self, name: &str, value: &str) -> Result<()> {
        self.call("Network.setExtraHTTPHeaders", json!({ "headers": { name: value } })).map(drop)
    }

    /// Opens a page, and waits until it is loaded.
    pub fn open(&mut self, url: &str, view: View) -> Result<()> {
        let View { width, height, dark, javascript } = view;
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features)?;
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !javascript }))?;
        self.call("Page.navigate", json!({ "url": url }))?;
        self.wait_for("Page.loadEventFired")
    }

    /// The value of an expression, evaluated in the page even if it may run no scripts itself.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", parameters)?;
        ensure!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        Ok(answer.pointer("/result/value").cloned().unwrap_or_default())
    }

    /// Writes a picture of the whole page.
    pub fn screenshot(&mut self, file: &Path) -> Result<()> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", parameters)?;
        let picture = BASE64.decode(text(&answer, "/data").context("no picture")?)?;
        Ok(std::fs::write(file, picture)?)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        let id = self.number.get() + 1;
        self.number.set(id);
        let session = (!self.session.is_empty()).then(|| json!({ "sessionId": self.session }));
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let (Some(command), Some(Value::Object(session))) = (command.as_object_mut(), session) {
            command.extend(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes())?;
        loop {
            let message = self.next(method)?;
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                ensure!(message.get("error").is_none(), "{method}: {message}");
                return Ok(message.get("result").cloned().unwrap_or_default());
            }
        }
    }

    fn wait_for(&mut self, event: &str) -> Result<()> {
        while text(&self.next(event)?, "/method") != Some(event) {}
        Ok(())
    }

    /// The next message; complaints are kept.
    fn next(&mut self, what: &str) -> Result<Value> {
        let Ok(message) = self.messages.recv_timeout(A_WHILE) else {
            bail!("Chromium said nothing while it was waited for {what}; see chromium.log")
        };
        if let Some("Runtime.exceptionThrown" | "Log.entryAdded") = text(&message, "/method") {
            self.complaints.push(message.to_string());
        }
        Ok(message)
    }
}

/// A string by its JSON pointer (RFC 6901).
fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn read(output: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut message = Vec::new();
        while output.read_until(0, &mut message).is_ok_and(|size| size > 0) {
            message.pop();
            if let Ok(value) = serde_json::from_slice(&message)
                && sender.send(value).is_err()
            {
                return;
            }
            message.clear();
        }
    });
    receiver
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own processes end with it.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
