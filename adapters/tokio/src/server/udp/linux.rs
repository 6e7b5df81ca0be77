//! `recvmmsg` and `sendmmsg`.

use std::array;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use parlour_core::wire::MAX_DATAGRAM;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::BATCH;

/// Room for one byte too many, so that a datagram that is too long shows as such.
type Incoming = [u8; MAX_DATAGRAM + 1];

pub(in crate::server) struct Udp {
    socket: UdpSocket,
    incoming: Box<[Incoming; BATCH]>,
    in_headers: MultiHeaders<SockaddrStorage>,
    outgoing: Box<[[u8; MAX_DATAGRAM]; BATCH]>,
    out_headers: MultiHeaders<SockaddrStorage>,
    /// Where to, and how long: of those that wait in `outgoing`.
    to: [Option<SockaddrStorage>; BATCH],
    lens: [usize; BATCH],
    queued: usize,
    /// How many of those are sent already.
    sent: usize,
}

impl Udp {
    pub(in crate::server) fn new(socket: UdpSocket) -> Self {
        Self {
            socket,
            incoming: Box::new([[0; MAX_DATAGRAM + 1]; BATCH]),
            in_headers: MultiHeaders::preallocate(BATCH, None),
            outgoing: Box::new([[0; MAX_DATAGRAM]; BATCH]),
            out_headers: MultiHeaders::preallocate(BATCH, None),
            to: [None; BATCH],
            lens: [0; BATCH],
            queued: 0,
            sent: 0,
        }
    }

    pub(in crate::server) async fn readable(&self) {
        // An error shows when something is received.
        let _ = self.socket.readable().await;
    }

    /// Waits until what is queued may be sent.
    pub(in crate::server) async fn writable(&self) {
        let _ = self.socket.writable().await;
    }

    /// Hands out what is here already, at most a batch.
    pub(in crate::server) fn receive(&mut self, mut each: impl FnMut(SocketAddr, &mut [u8])) {
        let mut arrived = [(None, 0); BATCH];
        let mut count = 0;
        let fd = self.socket.as_raw_fd();
        let (incoming, headers) = (&mut self.incoming, &mut self.in_headers);
        let received = self.socket.try_io(Interest::READABLE, || {
            count = receive_batch(fd, incoming, headers, &mut arrived)?;
            // A batch that is not full has emptied the socket: what comes later wakes us anew.
            match count {
                BATCH => Ok(()),
                _ => Err(ErrorKind::WouldBlock.into()),
            }
        });
        match received {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                tracing::trace!(%error, "nothing received");
            }
            _ => {}
        }
        for (datagram, (from, len)) in self.incoming.iter_mut().zip(arrived).take(count) {
            if let (Some(from), Some(datagram)) = (from, datagram.get_mut(..len)) {
                each(from, datagram);
            }
        }
    }

    /// Whether [`flush`](Self::flush) has to come before another datagram is queued.
    pub(in crate::server) fn is_full(&self) -> bool {
        self.queued == BATCH
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Where the next datagram is to be written. Of a full queue it is the last one's, which is lost then.
    pub(in crate::server) fn place(&mut self) -> &mut [u8] {
        let place = self.queued.min(BATCH - 1);
        self.outgoing
            .get_mut(place)
            .map_or(&mut [], |place| &mut place[..])
    }

    /// Has the datagram that was written to [`place`](Self::place) sent with the next [`flush`](Self::flush).
    pub(in crate::server) fn queue(&mut self, to: SocketAddr, len: usize) {
        let place = self.queued.min(BATCH - 1);
        if let (Some(its_to), Some(its_len)) = (self.to.get_mut(place), self.lens.get_mut(place)) {
            *its_to = Some(SockaddrStorage::from(to));
            *its_len = len;
            self.queued = place + 1;
        }
    }

    /// Sends what is queued; false if the socket has no room for all of it now. What cannot be sent at all is lost.
    pub(in crate::server) fn flush(&mut self) -> bool {
        while self.sent < self.queued {
            let fd = self.socket.as_raw_fd();
            let range = self.sent..self.queued;
            let (outgoing, lens, to) = (&self.outgoing, &self.lens, &self.to);
            let headers = &mut self.out_headers;
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                let slices: [[IoSlice<'_>; 1]; BATCH] = array::from_fn(|n| {
                    let datagram = outgoing.get(n).zip(lens.get(n));
                    let bytes = datagram.and_then(|(bytes, len)| bytes.get(..*len));
                    [IoSlice::new(bytes.unwrap_or_default())]
                });
                let slices = slices.get(range.clone()).unwrap_or_default();
                let to = to.get(range.clone()).unwrap_or_default();
                let sent = sendmmsg(fd, headers, slices, to, [], MsgFlags::MSG_DONTWAIT)?;
                Ok(sent.count())
            });
            match sent {
                Ok(sent) => self.sent += sent.max(1),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // It is about the first one; those behind it have another receiver.
                Err(error) => {
                    tracing::debug!(%error, "datagram not sent");
                    self.sent += 1;
                }
            }
        }
        (self.sent, self.queued) = (0, 0);
        true
    }
}

fn receive_batch(
    fd: RawFd,
    incoming: &mut [Incoming; BATCH],
    headers: &mut MultiHeaders<SockaddrStorage>,
    arrived: &mut [(Option<SocketAddr>, usize); BATCH],
) -> io::Result<usize> {
    let mut slices = incoming.each_mut().map(|place| [IoSliceMut::new(place)]);
    let received = recvmmsg(fd, headers, &mut slices, MsgFlags::MSG_DONTWAIT, None);
    // Some errors tell that an earlier datagram did not arrive: there is nothing to be done about that.
    let received = received.map_err(|error| match error {
        Errno::EAGAIN => ErrorKind::WouldBlock.into(),
        error => io::Error::from(error),
    })?;
    let mut count = 0;
    for (message, arrived) in received.zip(arrived) {
        *arrived = (message.address.and_then(to_std), message.bytes);
        count += 1;
    }
    Ok(count)
}

fn to_std(address: SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::V6((*v6).into()))
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udp")
            .field("queued", &self.queued)
            .finish_non_exhaustive()
    }
}
