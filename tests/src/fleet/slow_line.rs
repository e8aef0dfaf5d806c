//! A line to the engine that takes its time and loses packets. The kernel may lack netem, so the delay is made by a
//! program in the middle, and the loss by the firewall.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Fleet;
use super::network::Site;
use crate::namespace::Namespace;

const PORT: u16 = 4222;

#[derive(Debug)]
pub struct SlowLine {
    /// Where a relay reaches the first server by this line only.
    pub far: Namespace,
    /// Keeps the other end.
    _middle: Namespace,
}

impl SlowLine {
    /// Bytes take `delay` in each direction, and so many percent of the packets are lost.
    pub fn to_the_first_server(
        fleet: &mut Fleet<'_>,
        delay: Duration,
        percent: u32,
    ) -> Result<Self> {
        let server = fleet.servers.address(0)?;
        let (near, _) = fleet.network.attach(Site::East)?;
        let (middle, far) = (Namespace::new()?, Namespace::new()?);
        middle.cable(&format!("{server}/24"), &far, "10.99.0.200/24")?;
        lose(&far, percent)?;
        let listener = middle.enter(|| Ok(TcpListener::bind((server.as_str(), PORT))?))?;
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = server.clone();
                let engine = near.enter(|| Ok(TcpStream::connect((target.as_str(), PORT))?));
                if let Ok(engine) = engine {
                    // One that ends in an error is one that ended.
                    drop(join(&client, &engine, delay));
                }
            }
        });
        Ok(Self { far, _middle: middle })
    }
}

fn lose(namespace: &Namespace, percent: u32) -> Result<()> {
    let probability = format!("{:.2}", f64::from(percent) / 100.0);
    let rule =
        ["-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", &probability];
    let mut command = namespace.command("iptables");
    let output = command.args(rule).args(["-j", "DROP"]).output()?;
    ensure!(output.status.success(), "iptables: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn join(client: &TcpStream, engine: &TcpStream, delay: Duration) -> Result<()> {
    for (from, to) in [(client, engine), (engine, client)] {
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (sender, receiver) = channel();
        std::thread::spawn(move || read(from, delay, &sender));
        std::thread::spawn(move || write(to, &receiver));
    }
    Ok(())
}

type Chunk = (Instant, Vec<u8>);

fn read(mut from: TcpStream, delay: Duration, sender: &std::sync::mpsc::Sender<Chunk>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let chunk = buffer.get(..size).unwrap_or_default().to_vec();
        if sender.send((Instant::now() + delay, chunk)).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, receiver: &Receiver<Chunk>) {
    while let Ok((when, chunk)) = receiver.recv() {
        std::thread::sleep(when.saturating_duration_since(Instant::now()));
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    // The other side learns of the end.
    drop(to.shutdown(Shutdown::Both).context("already ended"));
}
