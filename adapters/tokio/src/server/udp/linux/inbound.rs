//! Datagrams that arrive at the socket, and the count of those that the kernel dropped.

use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmmsg};
use parlour_core::wire::MAX_DATAGRAM;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::BATCH;
use super::address::{Headers, Told, is_cut, receiving};

/// Room for one byte too many, so that a datagram that is too long shows as such.
type Incoming = [u8; MAX_DATAGRAM + 1];

pub(in crate::server) struct Inbound {
    socket: AsyncFd<Arc<UdpSocket>>,
    /// Whether the socket has several addresses, so that the kernel reports the destination of each datagram.
    has_several: bool,
    incoming: Box<[Incoming; BATCH]>,
    headers: Headers,
    drops: Arc<AtomicU64>,
    /// The kernel's own count, when it last told.
    told: u32,
}

/// A datagram in its place.
#[derive(Debug, Default, Clone, Copy)]
struct Arrived {
    from: Option<SocketAddr>,
    len: usize,
    told: Told,
    is_cut: bool,
}

impl Inbound {
    pub(super) fn new(socket: AsyncFd<Arc<UdpSocket>>, drops: Arc<AtomicU64>) -> Self {
        let address = socket.get_ref().local_addr();
        Self {
            socket,
            has_several: address.is_ok_and(|address| address.ip().is_unspecified()),
            incoming: Box::new([[0; MAX_DATAGRAM + 1]; BATCH]),
            headers: receiving(),
            drops,
            told: 0,
        }
    }

    pub(in crate::server) async fn readable(&self) {
        // An error shows when something is received.
        let _ = self.socket.readable().await;
    }

    /// Hands out the datagrams already here, at most a batch: the sender, the address of this machine, and the bytes.
    pub(in crate::server) fn receive(
        &mut self,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &mut [u8]),
    ) {
        let mut arrived = [Arrived::default(); BATCH];
        let mut count = 0;
        let (incoming, headers) = (&mut self.incoming, &mut self.headers);
        let received = self.socket.try_io(Interest::READABLE, |socket| {
            count = receive_batch(socket, incoming, headers, &mut arrived)?;
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
        let arrived = arrived.iter().take(count);
        if arrived.clone().any(|arrived| arrived.is_cut) {
            // The first loss since the socket was made: from now on the kernel tells of losses as well.
            self.headers = receiving();
        }
        for (datagram, arrived) in self.incoming.iter_mut().zip(arrived) {
            if let Some(drops) = arrived.told.drops {
                // It begins at 0 again after 2^32.
                let new = drops.wrapping_sub(self.told);
                self.drops.fetch_add(new.into(), Ordering::Relaxed);
                self.told = drops;
            }
            if self.has_several && arrived.told.local.is_none() {
                // Cut off: as lost as those before it, since nobody knows where to answer from.
                self.drops.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if let (Some(from), Some(datagram)) = (arrived.from, datagram.get_mut(..arrived.len)) {
                each(from, arrived.told.local, datagram);
            }
        }
    }
}

fn receive_batch(
    socket: &UdpSocket,
    incoming: &mut [Incoming; BATCH],
    headers: &mut Headers,
    arrived: &mut [Arrived; BATCH],
) -> io::Result<usize> {
    let mut slices = incoming.each_mut().map(|place| [IoSliceMut::new(place)]);
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    let received = recvmmsg(fd, headers, &mut slices, flags, None);
    // Some errors tell that an earlier datagram did not arrive: there is nothing to be done about that.
    let received = received.map_err(|error| match error {
        Errno::EAGAIN => ErrorKind::WouldBlock.into(),
        error => io::Error::from(error),
    })?;
    let mut count = 0;
    for (message, arrived) in received.zip(arrived) {
        *arrived = Arrived {
            from: message.address.and_then(to_std),
            len: message.bytes,
            told: Told::of(&message),
            is_cut: is_cut(&message),
        };
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
