//! UDP that stops and comes back, and servers that send participants round in a circle.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::relay::relay;
use common::*;
use parlour_tokio::core::secure::KeyPair;
use parlour_tokio::core::server::{self, Path};
use parlour_tokio::core::signal::{Recipients, Redirect};
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::core::time::Instant as CoreInstant;
use parlour_tokio::{Event, JoinError, JoinOptions, Room, Transport, TransportChoice};
use rand_core::OsRng;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

/// A way to the server that lets TCP through always, and UDP of one participant when it is `open`.
async fn way(server: SocketAddr, open: watch::Receiver<bool>) -> SocketAddr {
    let (listener, inside) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, udp);
        }
    };
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let mut outside = TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    tokio::spawn(relay(inside, server, move |_| *open.borrow()));
    address
}

async fn until_transport(events: &mut parlour_tokio::Events) -> Transport {
    until(events, |event| match event {
        Event::TransportChanged(transport) => Some(transport),
        _ => None,
    })
    .await
}

/// Returns when the server has answered.
async fn is_answered(room: &Room) {
    // An error means that the connection was made anew meanwhile.
    let asked = async {
        while room
            .send_message(&Recipients::All, "t", b"!")
            .await
            .is_err()
        {}
    };
    within(asked).await;
}

#[tokio::test]
async fn when_udp_stops_tcp_takes_over_until_it_is_back() {
    let server = serve();
    let (udp, open) = watch::channel(true);
    let via = way(server.addresses()[0], open).await;
    let anna = within(Room::join(&ticket_via(&server, "anna", via)))
        .await
        .unwrap();
    let mut events = anna.events();
    let ben = join(&server, "room", "ben").await;
    hears(&ben, &anna).await;

    udp.send(false).unwrap();
    let began = Instant::now();
    within(anna.rebind()).await.unwrap();
    assert_eq!(until_transport(&mut events).await, Transport::Tcp);
    is_answered(&anna).await;
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    hears(&ben, &anna).await;

    udp.send(true).unwrap();
    assert_eq!(until_transport(&mut events).await, Transport::Udp);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    hears(&ben, &anna).await;
    hears(&anna, &ben).await;
}

#[tokio::test]
async fn who_joins_by_tcp_is_told_and_a_vain_probe_costs_nothing() {
    let server = serve();
    let (_udp, open) = watch::channel(false);
    let via = way(server.addresses()[0], open).await;
    let anna = within(Room::join(&ticket_via(&server, "anna", via)))
        .await
        .unwrap();
    let mut events = anna.events();
    assert_eq!(until_transport(&mut events).await, Transport::Tcp);
    // The first probe is after ten seconds.
    let quiet = tokio::time::timeout(Duration::from_secs(12), async {
        while let Some(event) = events.next().await {
            assert!(!matches!(event, Event::TransportChanged(_)), "{event:?}");
        }
    });
    assert!(quiet.await.is_err());
    is_answered(&anna).await;
}

/// A server that sends everybody to itself.
async fn circle(keys: KeyPair, hellos: Arc<std::sync::atomic::AtomicUsize>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let began = Instant::now();
        let now = move || CoreInstant::from_micros(began.elapsed().as_micros() as u64);
        let mut server = server::Server::new(server::Config::default(), keys, now(), &mut OsRng);
        let mut buffer = [0; 1500];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            hellos.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let _ = server.handle_datagram(now(), Path::udp(from), &mut buffer[..len]);
            while let Some(event) = server.poll_event() {
                if let server::Event::JoinRequested { join, .. } = event {
                    server
                        .redirect(now(), join, Redirect::Port(address.port()))
                        .unwrap();
                }
            }
            while let Ok(Some(sent)) = server.poll_transmit(now(), &mut buffer) {
                socket.send_to(&buffer[..sent.len], from).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_circle_of_redirects_is_followed_slowly() {
    let keys = KeyPair::generate(&mut OsRng);
    let key = *keys.public();
    let hellos = Arc::default();
    let at = circle(keys, Arc::clone(&hellos)).await;
    let host = at.ip().to_string();
    let ticket = Ticket {
        host: &host,
        port: at.port(),
        server_key: key,
        token: "any",
    };
    let options = JoinOptions {
        transport: TransportChoice::Udp,
        timeout: Duration::from_secs(5),
        ..JoinOptions::default()
    };
    let refused = within(Room::join_with(&ticket.to_string(), options)).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, JoinError::NoAnswer { .. }), "{error}");
    let hellos = hellos.load(std::sync::atomic::Ordering::Relaxed);
    assert!((5..=12).contains(&hellos), "{hellos} in 5 s");
}
