//! A webhook: an HTTP server that keeps what is posted, and answers as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::wait;

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Post {
    pub at: Instant,
    /// The request line and the header.
    pub head: String,
    pub body: serde_json::Value,
}

/// Listens until the test ends. Each answer serves one request, and the last one all that follow.
#[derive(Debug)]
pub struct Webhook {
    posts: Arc<Mutex<Vec<Post>>>,
    pub address: SocketAddr,
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// The connection stays open, and nothing is said.
    Hang,
}

impl Webhook {
    pub fn listen(namespace: &Namespace, address: SocketAddr, answers: &[Answer]) -> Result<Self> {
        let listener = namespace
            .enter(|| Ok(TcpListener::bind(address)?))
            .with_context(|| format!("listening on {address} as webhook"))?;
        let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
        let (shared, answers) = (Arc::clone(&posts), answers.to_vec());
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for mut client in listener.incoming().flatten() {
                // What is no request is not kept, and the test waits for it in vain.
                let Ok(post) = read(&client) else { continue };
                let number = lock(&shared).len();
                lock(&shared).push(post);
                match answers.get(number).or(answers.last()) {
                    Some(Answer::Status(status)) => {
                        let reply = format!(
                            "HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        );
                        client.write_all(reply.as_bytes()).ok();
                    }
                    Some(Answer::Hang) | None => hanging.push(client),
                }
            }
        });
        Ok(Self { posts, address })
    }

    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        lock(&self.posts).clone()
    }

    pub fn wait_for(&self, count: usize) -> Result<Vec<Post>> {
        wait::until(&format!("{count} posts at the webhook"), wait::A_WHILE, || {
            let posts = self.posts();
            (posts.len() >= count).then_some(posts)
        })
    }
}

fn read(client: &TcpStream) -> Result<Post> {
    client.set_read_timeout(Some(wait::A_WHILE))?;
    let mut input = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(input.read_line(&mut head)? > 0, "a request without an end");
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Content-Length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.context("a request without a length")?];
    input.read_exact(&mut body)?;
    Ok(Post { at: Instant::now(), head, body: serde_json::from_slice(&body)? })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
