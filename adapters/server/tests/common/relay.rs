//! A way to the rooms on which UDP can be held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlour_tokio::core::ticket::Ticket;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::datagrams::{Towards, relay};

/// Forwards datagrams between one participant and the server that its ticket names.
pub struct Relay {
    /// The ticket by which the participant comes this way.
    pub ticket: String,
    is_cut: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn to(ticket: &str) -> Self {
        Self::new(ticket, false).await
    }

    /// One that [cuts](Self::cut) itself as soon as the server answers, before the participant has the answer.
    pub async fn that_holds_up_the_answer(ticket: &str) -> Self {
        Self::new(ticket, true).await
    }

    async fn new(ticket: &str, mut cuts_at_answer: bool) -> Self {
        let ticket = Ticket::parse(ticket).unwrap();
        let server = tokio::net::lookup_host((ticket.host, ticket.port)).await;
        let server = server.unwrap().next().unwrap();
        let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = inside.local_addr().unwrap();
        let host = address.ip().to_string();
        let port = address.port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        let passes = move |towards| {
            if towards == Towards::Participant && std::mem::take(&mut cuts_at_answer) {
                cut.store(true, Ordering::Relaxed);
            }
            !cut.load(Ordering::Relaxed)
        };
        Self {
            ticket: Ticket {
                host: &host,
                port,
                ..ticket
            }
            .to_string(),
            task: tokio::spawn(relay(inside, server, passes)),
            is_cut,
        }
    }

    /// Whether datagrams are lost now.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
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
