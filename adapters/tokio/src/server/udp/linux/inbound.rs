//! What arrives at the socket, and what the kernel had no room for.

use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmmsg, recvmsg};
use parlour_core::wire::MAX_DATAGRAM;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{BATCH, Headers, headers};

/// Every so many batches the kernel is asked for its count of drops. It tells that beside a datagram, and only beside
/// one that is received alone: in a batch, nix leaves no room for it after the first call.
const LOOK: usize = 64;

/// Room for one byte too many, so that a datagram that is too long shows as such.
type Incoming = [u8; MAX_DATAGRAM + 1];

pub(in crate::server) struct Inbound {
    socket: AsyncFd<Arc<UdpSocket>>,
    incoming: Box<[Incoming; BATCH]>,
    headers: Headers,
    beside: Vec<u8>,
    batches: usize,
    drops: Arc<AtomicU64>,
    /// The kernel's own count, when it last told.
    told: u32,
}

impl Inbound {
    pub(super) fn new(socket: AsyncFd<Arc<UdpSocket>>, drops: Arc<AtomicU64>) -> Self {
        Self {
            socket,
            incoming: Box::new([[0; MAX_DATAGRAM + 1]; BATCH]),
            headers: headers(),
            beside: nix::cmsg_space!(u32),
            batches: 0,
            drops,
            told: 0,
        }
    }

    pub(in crate::server) async fn readable(&self) {
        // An error shows when something is received.
        let _ = self.socket.readable().await;
    }

    /// Hands out what is here already, at most a batch; and one more when the kernel is asked for its count.
    pub(in crate::server) fn receive(&mut self, mut each: impl FnMut(SocketAddr, &mut [u8])) {
        if self.batches.is_multiple_of(LOOK) {
            self.receive_one(&mut each);
        }
        self.batches = self.batches.wrapping_add(1);
        let mut arrived = [(None, 0); BATCH];
        let mut count = 0;
        let (incoming, headers) = (&mut self.incoming, &mut self.headers);
        let received = self.socket.try_io(Interest::READABLE, |socket| {
            count = receive_batch(socket.as_raw_fd(), incoming, headers, &mut arrived)?;
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

    /// Receives one datagram, if there is one, and what the kernel says beside it.
    fn receive_one(&mut self, each: &mut impl FnMut(SocketAddr, &mut [u8])) {
        let Some(place) = self.incoming.first_mut() else {
            return;
        };
        let mut slices = [IoSliceMut::new(place)];
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let beside = Some(&mut self.beside[..]);
        // What is wrong shows with the batch that follows.
        let Ok(received) = recvmsg::<SockaddrStorage>(fd, &mut slices, beside, flags) else {
            return;
        };
        let told = received.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| match message {
                ControlMessageOwned::RxqOvfl(count) => Some(count),
                _ => None,
            })
        });
        let (from, len) = (received.address.and_then(to_std), received.bytes);
        if let Some(told) = told {
            // It begins at 0 again after 2^32.
            let new = told.wrapping_sub(self.told);
            self.drops.fetch_add(new.into(), Ordering::Relaxed);
            self.told = told;
        }
        if let (Some(from), Some(datagram)) = (from, place.get_mut(..len)) {
            each(from, datagram);
        }
    }
}

fn receive_batch(
    fd: RawFd,
    incoming: &mut [Incoming; BATCH],
    headers: &mut Headers,
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

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}
