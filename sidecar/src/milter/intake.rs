//! Bounds what a milter connection may make us keep, where the bytes enter.
//!
//! indymilter takes packets of up to 1 MiB and buffers each until it is complete, so a thousand
//! connections could hold a gigabyte. Here every packet has a bound, large ones share a budget, and
//! a packet that has begun must end in time. Packets are watched as they pass, where they lie;
//! those that nobody reads end here.

mod packet;
mod unread;

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::PollSemaphore;

use self::packet::Packet;
use self::unread::Filter;
use super::negotiation::Reading;

/// Packets up to this size, nearly all of them, are free; larger ones come out of the budget.
const SMALL_PACKET: usize = 8 * 1024;
/// What the unfinished large packets of all connections may take together, in KiB.
const BUDGET_KIB: usize = 16 * 1024;
/// Postfix writes a packet in one go; whoever takes longer only holds memory.
const PACKET_DEADLINE: Duration = Duration::from_secs(30);

/// The budget that connections share.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_KIB)))
    }
}

/// A connection whose packets are bounded.
#[derive(Debug)]
pub struct Intake<S> {
    stream: S,
    packet: Packet,
    filter: Filter,
    /// How much the current packet needs from the budget, in KiB, and what it has been given.
    needs: u32,
    permit: Option<OwnedSemaphorePermit>,
    budget: PollSemaphore,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Intake<S> {
    pub fn new(stream: S, budget: &Budget) -> Self {
        Self {
            stream,
            packet: Packet::default(),
            filter: Filter::default(),
            needs: 0,
            permit: None,
            budget: PollSemaphore::new(Arc::clone(&budget.0)),
            deadline: None,
        }
    }

    /// Ends with an error once the current packet has taken too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "unfinished milter packet"))
    }

    /// Waits until an unfinished large packet has its share of the budget.
    fn poll_budget(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.needs > 0 && self.permit.is_none() {
            // The semaphore is never closed, so there always is a permit in the end.
            self.permit = ready!(self.budget.poll_acquire_many(cx, self.needs));
        }
        Poll::Ready(())
    }

    fn follow(&mut self, bytes: &[u8]) -> io::Result<()> {
        let was_between = self.packet.is_between();
        let unfinished = self.packet.follow(bytes)?;
        if unfinished == 0 {
            (self.needs, self.permit, self.deadline) = (0, None, None);
            return Ok(());
        }
        let needs = if unfinished > SMALL_PACKET { unfinished.div_ceil(1024) } else { 0 };
        let needs = u32::try_from(needs).unwrap_or(u32::MAX);
        if needs != self.needs {
            (self.needs, self.permit) = (needs, None);
        }
        if was_between || self.deadline.is_none() {
            let due = Instant::now() + PACKET_DEADLINE;
            self.deadline = Some(Box::pin(tokio::time::sleep_until(due)));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Intake<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            let read = match this.poll_budget(cx) {
                Poll::Ready(()) => Pin::new(&mut this.stream).poll_read(cx, buf),
                Poll::Pending => Poll::Pending,
            };
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return this.poll_deadline(cx).map(Err),
            }
            let bytes = buf.filled_mut().get_mut(before..).unwrap_or_default();
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let begins_packet = this.packet.is_between();
            if let Err(error) = this.follow(bytes) {
                // Nothing may seem to be read together with an error.
                buf.set_filled(before);
                return Poll::Ready(Err(error));
            }
            let kept = if begins_packet { this.filter.take_out(bytes) } else { bytes.len() };
            buf.set_filled(before + kept);
            // Nothing at all would say that the peer has closed the connection.
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Intake<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // It goes out before anything that it is about comes in.
        if let Some(reading) = Reading::agreed_on(buf) {
            self.filter.reading = reading;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Nothing: indymilter drops the stream next, and closing it says the same to Postfix.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
