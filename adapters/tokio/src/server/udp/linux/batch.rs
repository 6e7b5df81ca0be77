//! Datagrams that are sent with one system call.

use std::array;
use std::fmt;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendmmsg};
use parlour_core::wire::MAX_DATAGRAM;

use super::BATCH;
use super::address::Sending;

/// How often a sending thread that waits for the socket sees whether it is still wanted, in milliseconds.
const LOOK: u8 = 50;

/// Up to [`BATCH`] datagrams and where they go.
pub(super) struct Batch {
    datagrams: [[u8; MAX_DATAGRAM]; BATCH],
    to: [Option<SockaddrStorage>; BATCH],
    /// The source address of each, one of this machine's.
    from: [Option<IpAddr>; BATCH],
    lens: [usize; BATCH],
    queued: usize,
    /// The number of datagrams already sent.
    sent: usize,
}

impl Batch {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            datagrams: [[0; MAX_DATAGRAM]; BATCH],
            to: [None; BATCH],
            from: [None; BATCH],
            lens: [0; BATCH],
            queued: 0,
            sent: 0,
        })
    }

    /// The number of waiting datagrams.
    pub(super) fn len(&self) -> usize {
        self.queued - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.queued == BATCH
    }

    /// The buffer of the next datagram. If the batch is full, this is the last one's buffer, and that datagram is
    /// lost.
    pub(super) fn place(&mut self) -> &mut [u8] {
        let place = self.queued.min(BATCH - 1);
        self.datagrams
            .get_mut(place)
            .map_or(&mut [], |place| &mut place[..])
    }

    /// Takes in the datagram that was written to [`place`](Self::place).
    pub(super) fn queue(&mut self, to: SocketAddr, from: Option<IpAddr>, len: usize) {
        let place = self.queued.min(BATCH - 1);
        if let (Some(its_to), Some(its_from), Some(its_len)) = (
            self.to.get_mut(place),
            self.from.get_mut(place),
            self.lens.get_mut(place),
        ) {
            *its_to = Some(SockaddrStorage::from(to));
            (*its_from, *its_len) = (from, len);
            self.queued = place + 1;
        }
    }

    /// Sends the waiting datagrams; false if the socket has no room for all of them now. Datagrams that cannot be
    /// sent at all are lost.
    pub(super) fn send(&mut self, socket: &UdpSocket, headers: &mut Sending) -> bool {
        while self.sent < self.queued {
            let (from, count) = self.alike();
            let slices: [_; BATCH] = array::from_fn(|n| {
                let n = n + self.sent;
                let datagram = self.datagrams.get(n).zip(self.lens.get(n));
                let bytes = datagram.and_then(|(bytes, len)| bytes.get(..*len));
                [IoSlice::new(bytes.unwrap_or_default())]
            });
            let slices = slices.get(..count).unwrap_or_default();
            let to = self.to.get(self.sent..).unwrap_or_default();
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let sent = headers.from(from, |headers, beside| {
                sendmmsg(fd, headers, slices, to, beside, flags).map(Iterator::count)
            });
            self.sent += match sent {
                Ok(sent) => sent.clamp(1, count),
                Err(Errno::EAGAIN) => return false,
                // It is about the first one; those behind it have another receiver.
                Err(error) => {
                    tracing::debug!(%error, "datagram not sent");
                    1
                }
            };
        }
        self.clear();
        true
    }

    /// The source address of the next datagrams, and their number: a system call sends from one address. Rooms with
    /// alternating address families take more calls, which cost little beside the kernel's work for each datagram.
    fn alike(&self) -> (Option<IpAddr>, usize) {
        let mut waiting = self.from.iter().take(self.queued).skip(self.sent);
        let first = waiting.next().copied().flatten();
        (
            first,
            1 + waiting.take_while(|from| **from == first).count(),
        )
    }

    pub(super) fn clear(&mut self) {
        (self.sent, self.queued) = (0, 0);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("queued", &self.queued)
            .field("waiting", &self.len())
            .finish_non_exhaustive()
    }
}

/// The work of a sending thread: it sends all of a batch, however long the socket takes. When the thread is to end,
/// datagrams that the socket does not accept at once are lost.
pub(super) fn send_whole(socket: Arc<UdpSocket>) -> impl FnMut(&mut Batch, &dyn Fn() -> bool) {
    let mut headers = Sending::new();
    move |batch, is_wanted| {
        while !batch.send(&socket, &mut headers) {
            if !is_wanted() {
                batch.clear();
                return;
            }
            let mut room = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            // Any error here shows again at the next attempt to send.
            let _ = poll(&mut room, LOOK);
        }
    }
}
