//! `recvmmsg` and `sendmmsg`, and threads that send.

mod address;
mod batch;
mod inbound;
mod outbound;
mod sending;
#[cfg(test)]
mod tests;

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::BATCH;
use crate::server::watch::watch;
use batch::send_whole;
pub(in crate::server) use inbound::Inbound;
pub(in crate::server) use outbound::Outbound;
use sending::SendingThread;

/// The socket before the worker's thread has it.
#[derive(Debug)]
pub(in crate::server) struct Bound {
    readable: AsyncFd<Arc<UdpSocket>>,
    threads: Vec<SendingThread>,
    drops: Arc<AtomicU64>,
}

impl Bound {
    /// Starts `senders` threads that send for the worker `name`, on the same socket. Datagrams that the kernel has no
    /// room for on arrival are counted in `drops`. Needs a runtime.
    pub(in crate::server) fn new(
        socket: UdpSocket,
        name: &str,
        senders: usize,
        drops: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        if let Err(error) = setsockopt(&socket, sockopt::RxqOvfl, &1) {
            // No reason not to serve.
            tracing::warn!(%error, "drops on arrival are not counted");
        }
        address::ask(&socket)?;
        let socket = Arc::new(socket);
        let threads = (0..senders).map(|n| {
            let socket = Arc::clone(&socket);
            SendingThread::start(&format!("{name}-s{n}"), || send_whole(socket))
        });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            // Not for writing: the worker would be woken by every datagram that leaves the socket.
            readable: watch(socket, Interest::READABLE)?,
            drops,
        })
    }

    pub(in crate::server) fn split(self) -> (Inbound, Outbound) {
        let socket = Arc::clone(self.readable.get_ref());
        (
            Inbound::new(self.readable, self.drops),
            Outbound::new(socket, self.threads),
        )
    }
}
