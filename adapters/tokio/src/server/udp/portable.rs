//! One datagram per system call.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket as Std};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parlour_core::wire::MAX_DATAGRAM;
use tokio::net::UdpSocket;

use super::BATCH;

/// The socket before the worker's thread has it.
#[derive(Debug)]
pub(in crate::server) struct Bound(UdpSocket);

impl Bound {
    /// Needs a runtime. A socket with several addresses answers from the one that the system prefers, whichever was
    /// asked. Drops are not counted, and there are no sending threads: a configuration that asks for them does not
    /// get here.
    pub(in crate::server) fn new(
        socket: Std,
        _name: &str,
        _senders: usize,
        _drops: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        if socket.local_addr()?.ip().is_unspecified() {
            tracing::warn!(
                "on this system, answers leave from the address that it prefers: UDP clients who ask another one fall back to TCP; \
                 listen at one address"
            );
        }
        UdpSocket::from_std(socket).map(Self)
    }

    pub(in crate::server) fn split(self) -> (Inbound, Outbound) {
        let socket = Arc::new(self.0);
        let inbound = Inbound {
            socket: Arc::clone(&socket),
            incoming: Box::new([0; MAX_DATAGRAM + 1]),
        };
        let outbound = Outbound {
            socket,
            outgoing: Box::new([0; MAX_DATAGRAM]),
            queued: None,
        };
        (inbound, outbound)
    }
}

#[derive(Debug)]
pub(in crate::server) struct Inbound {
    socket: Arc<UdpSocket>,
    /// One byte too many, so that a datagram that is too long shows as such.
    incoming: Box<[u8; MAX_DATAGRAM + 1]>,
}

impl Inbound {
    pub(in crate::server) async fn readable(&self) {
        // An error shows when something is received.
        let _ = self.socket.readable().await;
    }

    /// Hands out what is here already, at most a batch.
    pub(in crate::server) fn receive(
        &mut self,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &mut [u8]),
    ) {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut self.incoming[..]) {
                Ok((len, from)) => {
                    if let Some(datagram) = self.incoming.get_mut(..len) {
                        each(from, None, datagram);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Some systems tell here that an earlier datagram did not arrive.
                Err(error) => tracing::trace!(%error, "nothing received"),
            }
        }
    }
}

#[derive(Debug)]
pub(in crate::server) struct Outbound {
    socket: Arc<UdpSocket>,
    outgoing: Box<[u8; MAX_DATAGRAM]>,
    /// The destination and length.
    queued: Option<(SocketAddr, usize)>,
}

impl Outbound {
    /// Whether [`flush`](Self::flush) has to come before another datagram is queued.
    pub(in crate::server) fn is_full(&self) -> bool {
        self.queued.is_some()
    }

    /// Whether all that was queued is sent.
    pub(in crate::server) fn is_empty(&self) -> bool {
        self.queued.is_none()
    }

    /// The buffer of the next datagram. If the queue is full, this is the last one's buffer, and that datagram is
    /// lost.
    pub(in crate::server) fn place(&mut self) -> &mut [u8] {
        &mut self.outgoing[..]
    }

    /// Has the datagram that was written to [`place`](Self::place) sent with the next [`flush`](Self::flush).
    pub(in crate::server) fn queue(&mut self, to: SocketAddr, _from: Option<IpAddr>, len: usize) {
        self.queued = Some((to, len));
    }

    /// Sends the queue; false if the socket has no room for it now. A datagram that cannot be sent at all is lost.
    pub(in crate::server) fn flush(&mut self) -> bool {
        let Some((to, len)) = self.queued else {
            return true;
        };
        let datagram = self.outgoing.get(..len).unwrap_or_default();
        match self.socket.try_send_to(datagram, to) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => tracing::debug!(%to, %error, "datagram not sent"),
            Ok(_) => {}
        }
        self.queued = None;
        true
    }

    /// Waits until the socket takes something more, if anything waits for that.
    pub(in crate::server) async fn writable(&mut self) {
        match self.queued {
            // An error shows when something is sent.
            Some(_) => drop(self.socket.writable().await),
            None => std::future::pending().await,
        }
    }

    /// The time that other threads have been sending for the worker: there are none.
    pub(in crate::server) fn busiest(&mut self) -> Duration {
        Duration::ZERO
    }
}
