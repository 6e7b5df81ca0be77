//! A way to the rooms on which UDP can be held up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlour_tokio::core::ticket::Ticket;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Forwards datagrams between one participant and the server that its ticket names.
pub struct Relay {
    /// The ticket by which the participant comes this way.
    pub ticket: String,
    is_cut: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn to(ticket: &str) -> Self {
        let ticket = Ticket::parse(ticket).unwrap();
        let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        outside.connect((ticket.host, ticket.port)).await.unwrap();
        let address = inside.local_addr().unwrap();
        let host = address.ip().to_string();
        let port = address.port();
        let is_cut = Arc::new(AtomicBool::new(false));
        Self {
            ticket: Ticket {
                host: &host,
                port,
                ..ticket
            }
            .to_string(),
            task: tokio::spawn(forward(inside, outside, Arc::clone(&is_cut))),
            is_cut,
        }
    }

    /// Loses all datagrams from now on, or none any more.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(inside: UdpSocket, outside: UdpSocket, is_cut: Arc<AtomicBool>) {
    let (mut sent, mut received) = ([0; 2_048], [0; 2_048]);
    let mut participant: Option<SocketAddr> = None;
    loop {
        // An error is that of an ICMP message: the other end is gone, or not there yet.
        tokio::select! {
            Ok((len, from)) = inside.recv_from(&mut sent) => {
                participant = Some(from);
                if !is_cut.load(Ordering::Relaxed) {
                    let _ = outside.send(&sent[..len]).await;
                }
            }
            Ok(len) = outside.recv(&mut received) => {
                if let Some(to) = participant.filter(|_| !is_cut.load(Ordering::Relaxed)) {
                    let _ = inside.send_to(&received[..len], to).await;
                }
            }
            else => tokio::task::yield_now().await,
        }
    }
}
