//! A server behind several addresses, some of which die.

use parlour_core::signal::Recipients;
use parlour_core::ticket::Ticket;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::*;
use crate::token::{ApiKey, Claims};
use crate::{JoinOptions, Room, Server, ServerConfig, TransportChoice};

fn serve() -> Server {
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    Server::bind(ServerConfig {
        workers: 1,
        ..ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)
    })
    .unwrap()
}

/// Another address of the server, for one participant, by UDP.
async fn front(server: &Server) -> (SocketAddr, AbortHandle) {
    let (inside, outside) = (bind().await, bind().await);
    outside.connect(server.addresses()[0]).await.unwrap();
    let address = inside.local_addr().unwrap();
    let relaying = tokio::spawn(async move {
        let (mut there, mut here, mut peer) = ([0; 1500], [0; 1500], None);
        loop {
            tokio::select! {
                Ok((len, from)) = inside.recv_from(&mut there) => {
                    peer = Some(from);
                    let _ = outside.send(&there[..len]).await;
                }
                Ok(len) = outside.recv(&mut here) => {
                    if let Some(peer) = peer {
                        let _ = inside.send_to(&here[..len], peer).await;
                    }
                }
            }
        }
    });
    (address, relaying.abort_handle())
}

async fn bind() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Joins by UDP at one of `servers`. A second lookup of the name leads to the server itself, or nowhere.
async fn join(server: &Server, servers: &[SocketAddr], leads: bool) -> Room {
    let claims = Claims::new("room", "anna", Duration::from_secs(600)).unwrap();
    let text = server.ticket(&claims).unwrap();
    let ticket = Ticket::parse(&text).unwrap();
    let options = JoinOptions {
        transport: TransportChoice::Udp,
        ..JoinOptions::default()
    };
    let name = if leads {
        ticket.host
    } else {
        "no-such-host.invalid"
    };
    let host = Host {
        name: name.to_owned(),
        port: ticket.port,
    };
    let ways = Ways::new(&options, &host).unwrap();
    let joined = Room::join_found(&ticket, options, ways, host, servers);
    within(joined).await.unwrap()
}

async fn within<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(30);
    let done = tokio::time::timeout(limit, future);
    done.await.expect("it takes far too long")
}

/// Rebinds, and says how long it takes until the server answers again.
async fn comes_back(room: &Room) -> Duration {
    let began = Instant::now();
    within(room.rebind()).await.unwrap();
    // An error means that the connection was made anew meanwhile.
    within(async {
        while room
            .send_message(&Recipients::All, "t", b"!")
            .await
            .is_err()
        {}
    })
    .await;
    began.elapsed()
}

#[tokio::test]
async fn an_address_that_swallows_everything_costs_a_second() {
    let server = serve();
    let (hole, (there, _relaying)) = (bind().await, front(&server).await);
    let began = Instant::now();
    join(&server, &[hole.local_addr().unwrap(), there], false).await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(3),
        "{took:?}"
    );
}

#[tokio::test]
async fn when_one_address_dies_the_next_takes_over() {
    let server = serve();
    let ((first, relaying), (second, _relaying)) = (front(&server).await, front(&server).await);
    let room = join(&server, &[first, second], false).await;
    // Swallows from now on.
    relaying.abort();
    let _hole = within(async {
        loop {
            match UdpSocket::bind(first).await {
                Ok(hole) => return hole,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let took = comes_back(&room).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_name_that_has_moved_is_asked_for_again() {
    let server = serve();
    let (first, relaying) = front(&server).await;
    let room = join(&server, &[first], true).await;
    relaying.abort();
    let took = comes_back(&room).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}
