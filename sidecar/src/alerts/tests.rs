use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use super::*;

/// Answers one request with this status and returns its body.
fn answer(listener: &TcpListener, status: &str) -> serde_json::Value {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(reply.as_bytes()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn alerts(listener: &TcpListener) -> Alerts {
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let webhook = WebhookUrl::parse(url.into());
    let host = "relay.example.org".to_owned();
    Alerts::start(Channels { webhook, format: Format::Json, mail: true, host }).unwrap()
}

#[test]
fn an_alert_is_sent_again_until_the_webhook_takes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let alerts = alerts(&listener);
    alerts.suspended(&UserName::parse("alice").unwrap(), "192.0.2.7", 5);
    let first = answer(&listener, "503 Service Unavailable");
    let second = answer(&listener, "302 Found\r\nlocation: /elsewhere");
    let third = answer(&listener, "200 OK");
    assert_eq!(first, second);
    assert_eq!(first, third);
    assert_eq!((&first["event"], &first["user"]), (&"user_suspended".into(), &"alice".into()));
    assert_eq!((&first["client"], &first["time"]), (&"192.0.2.7".into(), &5.into()));
    assert_eq!(first["host"], "relay.example.org");
}

#[test]
fn a_test_says_what_became_of_it_in_each_channel() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let alerts = alerts(&listener);
    let outbox = alerts.outbox.clone().unwrap();
    let relay_init = thread::spawn(move || {
        while outbox.waiting().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        outbox.taken(1);
    });
    let webhook = thread::spawn(move || answer(&listener, "404 Not Found"));
    let results = alerts.test();
    relay_init.join().unwrap();
    assert_eq!(webhook.join().unwrap()["event"], "test");
    assert_eq!(results[0], ("ALERT_WEBHOOK: the webhook answered 404".to_owned(), false));
    assert!(results[1].1 && results[1].0.starts_with("ALERT_MAIL: handed to Postfix"));
    assert_eq!(Alerts::none().test(), []);
}
