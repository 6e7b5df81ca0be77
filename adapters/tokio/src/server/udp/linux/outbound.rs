//! Datagrams that leave through the socket: sent by the worker, or by threads on its behalf.

use std::future::{pending, poll_fn};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::Interest;

use super::address::Sending;
use super::batch::Batch;
use super::sending::SendingThread;
use crate::server::watch::watch;

/// Up to this many datagrams the worker sends itself when no thread has anything to do for the same receivers: waking
/// one costs about as much as sending a few, and takes longer.
pub(super) const FEW: usize = 8;

pub(in crate::server) struct Outbound {
    socket: Arc<UdpSocket>,
    headers: Sending,
    /// At least one. A receiver belongs to one of them, so what it gets keeps its order.
    lanes: Vec<Lane>,
}

/// The way of some of the receivers.
#[derive(Debug)]
struct Lane {
    batch: Box<Batch>,
    /// The sending thread; without one, the worker sends.
    thread: Option<SendingThread>,
}

impl Outbound {
    pub(super) fn new(socket: Arc<UdpSocket>, threads: Vec<SendingThread>) -> Self {
        let mut lanes: Vec<_> = threads
            .into_iter()
            .map(|thread| Lane::new(Some(thread)))
            .collect();
        if lanes.is_empty() {
            lanes.push(Lane::new(None));
        }
        Self {
            socket,
            headers: Sending::new(),
            lanes,
        }
    }

    /// Whether [`flush`](Self::flush) has to come before another datagram is queued.
    pub(in crate::server) fn is_full(&self) -> bool {
        self.lanes.iter().any(|lane| lane.batch.is_full())
    }

    /// Whether all that was queued was sent before the last [`flush`](Self::flush).
    pub(in crate::server) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// The buffer of the next datagram. If the queue is full, this is the last one's buffer, and that datagram is
    /// lost.
    pub(in crate::server) fn place(&mut self) -> &mut [u8] {
        let first = self.lanes.first_mut();
        first.map_or(&mut [], |lane| lane.batch.place())
    }

    /// Has the datagram that was written to [`place`](Self::place) sent with the next [`flush`](Self::flush), from that
    /// address of this machine.
    pub(in crate::server) fn queue(&mut self, to: SocketAddr, from: Option<IpAddr>, len: usize) {
        let its = lane_of(to, self.lanes.len());
        let Some((first, others)) = self.lanes.split_first_mut() else {
            return;
        };
        let lane = match its.checked_sub(1).and_then(|n| others.get_mut(n)) {
            // The destination is known only after the datagram is sealed.
            Some(lane) => {
                let sealed = first.batch.place().get(..len);
                if let (Some(sealed), Some(place)) = (sealed, lane.batch.place().get_mut(..len)) {
                    place.copy_from_slice(sealed);
                }
                lane
            }
            None => first,
        };
        lane.batch.queue(to, from, len);
    }

    /// Sends or hands over the queue; false if there is no room for all of it now: see [`writable`](Self::writable).
    /// Datagrams that cannot be sent at all are lost.
    pub(in crate::server) fn flush(&mut self) -> bool {
        // Every one of them, whatever the others say.
        let mut has_room = true;
        for lane in &mut self.lanes {
            has_room &= lane.flush(&self.socket, &mut self.headers);
        }
        has_room
    }

    /// Waits until there is room for something more, or something more is sent.
    pub(in crate::server) async fn writable(&mut self) {
        let is_ours = |lane: &Lane| lane.thread.is_none() && !lane.batch.is_empty();
        let socket = (self.lanes.iter().any(is_ours)).then_some(&self.socket);
        let lanes = &mut self.lanes;
        let sent = poll_fn(|context| {
            let mut threads = lanes.iter_mut().filter_map(|lane| lane.thread.as_mut());
            match threads.any(|thread| thread.poll_sent(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        tokio::select! {
            () = has_room(socket) => {}
            () = sent => {}
        }
    }

    /// The time that the busiest thread has been sending since the last call.
    pub(in crate::server) fn busiest(&mut self) -> Duration {
        let threads = self
            .lanes
            .iter_mut()
            .filter_map(|lane| lane.thread.as_mut());
        threads.map(SendingThread::busy).max().unwrap_or_default()
    }
}

impl Lane {
    fn new(thread: Option<SendingThread>) -> Self {
        Self {
            batch: Batch::new(),
            thread,
        }
    }

    fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.thread.as_ref().is_none_or(SendingThread::is_idle)
    }

    fn flush(&mut self, socket: &UdpSocket, headers: &mut Sending) -> bool {
        if let Some(thread) = &mut self.thread {
            thread.collect();
            if thread.is_gone() {
                self.thread = None;
            }
        }
        if self.batch.is_empty() {
            return true;
        }
        let Some(thread) = &mut self.thread else {
            return self.batch.send(socket, headers);
        };
        // Nothing is overtaken then.
        let is_few = thread.is_idle() && self.batch.len() <= FEW;
        (is_few && self.batch.send(socket, headers)) || thread.hand_over(&mut self.batch)
    }
}

/// The same for a receiver each time.
fn lane_of(to: SocketAddr, lanes: usize) -> usize {
    if lanes < 2 {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    to.hash(&mut hasher);
    // The remainder is smaller than a usize.
    (hasher.finish() % lanes as u64) as usize
}

/// Waits until the socket takes something; without one, for ever.
async fn has_room(socket: Option<&Arc<UdpSocket>>) {
    // Of its own, and only now: the runtime looks for one thing at a descriptor, and this would wake the worker often.
    let writable = socket.and_then(|socket| {
        let socket = socket.try_clone();
        socket
            .and_then(|socket| watch(socket, Interest::WRITABLE))
            .ok()
    });
    match writable {
        // An error shows when something is sent.
        Some(socket) => drop(socket.writable().await),
        // Short of files: the worker tries again when its time is up.
        None => pending().await,
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound")
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}
