//! The network between the participants and the server: UDP on this machine, with a chosen impairment.
//!
//! ```text
//! participant ──► port of the network ──► one socket per participant ──► server
//! ```
//!
//! Participants send to the network's port instead of the server's. Each of their addresses has a *flow* with its own
//! socket, so that the server sees as many addresses as there are, and a new one when a participant replaces its
//! socket.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlour_core::wire::MAX_DATAGRAM;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::impair::{Accidents, Impairment};

/// The counters of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Datagrams to the server, and the lost ones among them.
    pub up: Passed,
    /// Datagrams from the server.
    pub down: Passed,
    /// Hellos among those to the server.
    pub hellos: u32,
    /// Retries among those from the server: each costs a round trip.
    pub retries: u32,
}

/// Datagrams in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Datagrams that were sent.
    pub datagrams: u64,
    /// Datagrams that were lost.
    pub lost: u64,
}

/// The first bytes of packets that show the progress of a join.
const HELLO: u8 = 8;
const RETRY: u8 = 9;

impl Flow {
    fn count(&mut self, up: bool, datagram: &[u8], lost: bool) {
        match datagram.first() {
            Some(&HELLO) if up => self.hellos += 1,
            Some(&RETRY) if !up => self.retries += 1,
            _ => {}
        }
        let passed = if up { &mut self.up } else { &mut self.down };
        passed.datagrams += 1;
        passed.lost += u64::from(lost);
    }
}

type Flows = Arc<Mutex<Vec<Flow>>>;

/// The network. Dropping it stops it.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    flows: Flows,
    _tasks: JoinSet<()>,
}

impl Network {
    /// A network in front of `server`.
    ///
    /// # Errors
    /// The operating system has no port for it.
    pub async fn start(server: SocketAddr, impairment: Impairment, seed: u64) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = front.local_addr()?;
        let flows = Flows::default();
        let (post, letters) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(deliver(letters));
        let accept = Accept {
            front,
            server,
            impairment,
            seed,
            flows: Arc::clone(&flows),
            post,
        };
        tasks.spawn(accept.run());
        Ok(Self {
            address,
            flows,
            _tasks: tasks,
        })
    }

    /// The address to which participants send.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The flows so far, in the order of their first datagrams.
    pub fn flows(&self) -> Vec<Flow> {
        self.flows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A datagram under way.
struct Letter {
    due: Instant,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    datagram: Vec<u8>,
}

/// Delivers waiting datagrams when they are due.
async fn deliver(mut letters: mpsc::UnboundedReceiver<Letter>) {
    let mut under_way = BTreeMap::new();
    let mut number = 0_u64;
    loop {
        let next = under_way.first_key_value().map(|(&(due, _), _)| due);
        let due = async {
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            letter = letters.recv() => {
                let Some(letter) = letter else { return };
                number += 1;
                under_way.insert((letter.due, number), letter);
            }
            () = due => {}
        }
        let now = Instant::now();
        while let Some(entry) = under_way.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let letter = entry.remove();
            // A datagram that cannot be delivered is lost, as in any network.
            let _ = letter.socket.send_to(&letter.datagram, letter.to).await;
        }
    }
}

/// One direction of one flow.
struct Direction {
    flow: usize,
    up: bool,
    accidents: Accidents,
    flows: Flows,
    post: mpsc::UnboundedSender<Letter>,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
}

impl Direction {
    fn send(&mut self, datagram: &[u8]) {
        let fate = self.accidents.fate();
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flow) = flows.get_mut(self.flow) {
            flow.count(self.up, datagram, fate.is_none());
        }
        drop(flows);
        let Some(delay) = fate else { return };
        let letter = Letter {
            due: Instant::now() + delay,
            socket: Arc::clone(&self.socket),
            to: self.to,
            datagram: datagram.to_vec(),
        };
        // An error means that the network is being stopped.
        let _ = self.post.send(letter);
    }
}

/// Receives the participants' datagrams, and opens flows.
struct Accept {
    front: Arc<UdpSocket>,
    server: SocketAddr,
    impairment: Impairment,
    seed: u64,
    flows: Flows,
    post: mpsc::UnboundedSender<Letter>,
}

impl Accept {
    async fn run(self) {
        let mut upstream: BTreeMap<SocketAddr, Direction> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            let Some((len, from)) = receive(&self.front, &mut buffer).await else {
                continue;
            };
            let direction = match upstream.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let Ok((up, down)) = self.open(from).await else {
                        continue;
                    };
                    tasks.spawn(bring_back(Arc::clone(&up.socket), down));
                    new.insert(up)
                }
            };
            direction.send(&buffer[..len]);
        }
    }

    async fn open(&self, participant: SocketAddr) -> io::Result<(Direction, Direction)> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = flows.len();
        flows.push(Flow::default());
        let direction = |up: bool, socket: &Arc<UdpSocket>, to| Direction {
            flow,
            up,
            accidents: Accidents::new(self.impairment, self.seed, 2 * flow as u64 + u64::from(up)),
            flows: Arc::clone(&self.flows),
            post: self.post.clone(),
            socket: Arc::clone(socket),
            to,
        };
        let down = direction(false, &self.front, participant);
        Ok((direction(true, &socket, self.server), down))
    }
}

/// Receives the server's datagrams for one participant.
async fn bring_back(socket: Arc<UdpSocket>, mut direction: Direction) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        if let Some((len, _)) = receive(&socket, &mut buffer).await {
            direction.send(&buffer[..len]);
        }
    }
}

/// A datagram; `None` if an error was reported, such as that the other end is gone.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer).await {
        Ok(received) => Some(received),
        Err(_) => {
            // Errors are about earlier datagrams; the pause prevents a busy loop on a permanent one.
            tokio::time::sleep(Duration::from_millis(1)).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = [0; 100];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                socket.send_to(&buffer[..len], from).await.unwrap();
            }
        });
        (address, tasks)
    }

    #[tokio::test]
    async fn what_goes_out_comes_back_to_whom_it_belongs() {
        let (server, _echo) = echo().await;
        let network = Network::start(server, Impairment::default(), 1)
            .await
            .unwrap();
        let mut clients = Vec::new();
        for _ in 0..2 {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            client.connect(network.address()).await.unwrap();
            clients.push(client);
        }
        clients[0].send(&[HELLO, 0]).await.unwrap();
        clients[1].send(&[11, 1]).await.unwrap();
        for (number, client) in clients.iter().enumerate() {
            let mut buffer = [0; 100];
            let received = tokio::time::timeout(Duration::from_secs(20), client.recv(&mut buffer));
            assert_eq!(received.await.unwrap().unwrap(), 2);
            assert_eq!(usize::from(buffer[1]), number);
        }
        let flows = network.flows();
        assert_eq!((flows.len(), flows[0].hellos, flows[1].hellos), (2, 1, 0));
        assert_eq!((flows[0].up.datagrams, flows[0].down.datagrams), (1, 1));
    }

    #[tokio::test]
    async fn a_network_that_loses_everything_delivers_nothing() {
        let (server, _echo) = echo().await;
        let all = Impairment {
            loss: 1.0,
            ..Impairment::default()
        };
        let network = Network::start(server, all, 1).await.unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.send_to(&[11], network.address()).await.unwrap();
        while network.flows().is_empty() || network.flows()[0].up.datagrams == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            network.flows()[0].up,
            Passed {
                datagrams: 1,
                lost: 1
            }
        );
        assert_eq!(network.flows()[0].down, Passed::default());
    }
}
