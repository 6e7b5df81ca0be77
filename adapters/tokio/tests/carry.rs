//! A client whose datagrams the application carries, as a WebSocket server would.

mod common;

use std::net::IpAddr;

use common::{FRAME, RATE, Tone, claims, config, join, ticket, within};
use parlour_tokio::core::client::{Client, Config, Desktop, Incoming};
use parlour_tokio::core::rand_core::OsRng;
use parlour_tokio::core::signal::Redirect;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::core::time::Instant;
use parlour_tokio::{
    AudioOptions, CarriageReceiver, CarriageSender, CarryError, RoomId, Server, ServerConfig,
};

const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// A participant of the bare core.
struct Carried {
    client: Client<Desktop>,
    began: tokio::time::Instant,
    heard: usize,
}

impl Carried {
    fn new(ticket: &str) -> Self {
        let began = tokio::time::Instant::now();
        let ticket = Ticket::parse(ticket).unwrap();
        let now = Instant::from_micros(0);
        let client = Client::new(&ticket, &Config::default(), now, &mut OsRng).unwrap();
        Self {
            client,
            began,
            heard: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    /// Sends what there is to send, and takes in what comes next.
    async fn step(&mut self, sender: &CarriageSender, receiver: &mut CarriageReceiver) {
        let mut buffer = [0; 1_200];
        while let Some(len) = self.client.poll_transmit(self.now(), &mut buffer).unwrap() {
            sender.send(&buffer[..len]).await.unwrap();
        }
        while self.client.poll_event().is_some() {}
        let due = self.client.poll_timeout().unwrap_or(self.now());
        let wait = due.saturating_duration_since(self.now());
        match tokio::time::timeout(wait, receiver.next()).await {
            Ok(datagram) => {
                let mut datagram = datagram.expect("the carriage has ended").to_vec();
                let now = self.now();
                let heard = &mut self.heard;
                let hear = &mut |_: Incoming<'_>| *heard += 1;
                self.client
                    .handle_datagram(now, &mut datagram, hear)
                    .unwrap();
            }
            Err(_) => self.client.handle_timeout(self.now()),
        }
    }
}

fn two_workers() -> Server {
    Server::bind(ServerConfig {
        workers: 2,
        ..config()
    })
    .unwrap()
}

#[tokio::test]
async fn a_carried_participant_hears_one_on_udp() {
    let server = two_workers();
    let anna = join(&server, "room", "anna").await;
    let mut mic = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    let mut tone = Tone::new(440.0);
    let worker = server.worker_of(&RoomId::new("room").unwrap());
    let (sender, mut receiver) = server.carry(worker, FROM).await.unwrap();
    let mut ben = Carried::new(&ticket(&server, "room", "ben"));
    within(async {
        while ben.heard < 10 {
            mic.write(&tone.frame()[..FRAME]).unwrap();
            ben.step(&sender, &mut receiver).await;
        }
    })
    .await;
    assert_eq!(ben.client.state().participants().count(), 2);
    let leaves = ben.now();
    ben.client.leave(leaves).unwrap();
    within(async {
        let mut buffer = [0; 1_200];
        while let Some(len) = ben.client.poll_transmit(ben.now(), &mut buffer).unwrap() {
            sender.send(&buffer[..len]).await.unwrap();
        }
        while anna.with_state(|state| state.participants().count()) == 2 {
            anna.events().next().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_redirect_names_the_port_of_the_worker_to_carry_to() {
    let server = two_workers();
    let right = server.worker_of(&RoomId::new("room").unwrap());
    let wrong = 1 - right;
    let (sender, mut receiver) = server.carry(wrong, FROM).await.unwrap();
    let mut ben = Carried::new(&ticket(&server, "room", "ben"));
    within(async {
        while ben.client.redirected_to().is_none() {
            ben.step(&sender, &mut receiver).await;
        }
    })
    .await;
    let Some(Redirect::Port(port)) = ben.client.redirected_to() else {
        panic!("{:?}", ben.client.redirected_to());
    };
    assert_eq!(server.worker_at(port), Some(right));
    let (sender, mut receiver) = server.carry(right, FROM).await.unwrap();
    within(async {
        while ben.client.state().participants().count() == 0 {
            ben.step(&sender, &mut receiver).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_carried_is_told_why() {
    let server = Server::bind(ServerConfig {
        tcp_connections: 0,
        ..config()
    })
    .unwrap();
    assert_eq!(
        server.carry(1, FROM).await.unwrap_err(),
        CarryError::UnknownWorker
    );
    assert_eq!(server.carry(0, FROM).await.unwrap_err(), CarryError::Full);
    assert_eq!(server.worker_at(1), None);
    // A place that a participant has is not given away.
    let server = Server::bind(ServerConfig {
        tcp_connections: 1,
        ..config()
    })
    .unwrap();
    let (sender, mut receiver) = server.carry(0, FROM).await.unwrap();
    let mut ben = Carried::new(&server.ticket(&claims("room", "ben")).unwrap());
    within(async {
        while ben.client.state().participants().count() == 0 {
            ben.step(&sender, &mut receiver).await;
        }
    })
    .await;
    assert_eq!(server.carry(0, FROM).await.unwrap_err(), CarryError::Full);
    drop(sender);
    within(async { while receiver.next().await.is_some() {} }).await;
    within(server.carry(0, FROM)).await.unwrap();
}
