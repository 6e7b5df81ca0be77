//! Networks and participants: blocked UDP, new addresses, cut connections, servers that restart.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::relay::relay;
use common::*;
use parlour_tokio::core::room::{CloseReason, RoomId, SessionId};
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::{
    CloseCause, Event, JoinOptions, Room, RoomEvent, RoomInfo, Server, ServerConfig,
    TransportChoice,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

/// A way to the server on which UDP goes nowhere, and whose TCP connections can be cut.
struct Firewall {
    address: SocketAddr,
    /// Swallows what comes; gone if ports are rather closed.
    blackhole: Option<UdpSocket>,
    cut: watch::Sender<()>,
}

async fn firewall(server: SocketAddr, swallow: bool) -> Firewall {
    let (listener, blackhole) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, swallow.then_some(udp));
        }
    };
    let address = listener.local_addr().unwrap();
    let (cut, cuts) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut outside = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    Firewall {
        address,
        blackhole,
        cut,
    }
}

/// A join takes effect a moment after it has succeeded: waits for that.
async fn until_in_session(server: &Server, participants: usize) -> Option<SessionId> {
    let mut events = server.events();
    loop {
        let room = server.room(&RoomId::new("room").unwrap()).await;
        let all_there = |room: &RoomInfo| room.participants.len() == participants;
        if let Some(room) = room.filter(all_there) {
            return room.session;
        }
        let _ = events.next().await.expect("the server is gone");
    }
}

#[tokio::test]
async fn where_udp_is_swallowed_tcp_carries_it_all() {
    let server = serve();
    let wall = firewall(server.addresses()[0], true).await;
    let anna = within(Room::join(&ticket_via(&server, "anna", wall.address)))
        .await
        .unwrap();
    // It did try UDP: a Hello is there.
    let mut hello = [0; 1500];
    let blackhole = wall.blackhole.as_ref().unwrap();
    let (len, _) = within(blackhole.recv_from(&mut hello)).await.unwrap();
    assert_eq!((hello[0], len > 50), (8, true));

    let ben = join(&server, "room", "ben").await;
    hears(&ben, &anna).await;
    hears(&anna, &ben).await;
}

#[tokio::test]
async fn where_udp_is_refused_tcp_is_tried_at_once() {
    let server = serve();
    let wall = firewall(server.addresses()[0], false).await;
    let ticket = ticket_via(&server, "anna", wall.address);
    let joined = Room::join(&ticket);
    let anna = within(joined).await.unwrap();
    let ben = join_by(
        &server,
        "ben",
        JoinOptions {
            transport: TransportChoice::Tcp,
            ..JoinOptions::default()
        },
    )
    .await;
    hears(&ben, &anna).await;
}

#[tokio::test]
async fn each_address_of_the_server_answers_by_udp() {
    for senders in [0, 2] {
        let server = Server::bind(ServerConfig {
            address: "0.0.0.0:0".parse().unwrap(),
            senders: if cfg!(target_os = "linux") {
                senders
            } else {
                0
            },
            ..config()
        })
        .unwrap();
        let port = server.addresses()[0].port();
        let mut rooms = Vec::new();
        for (who, host) in [("anna", [127, 0, 0, 1]), ("ben", [127, 0, 0, 2])] {
            let options = JoinOptions {
                transport: TransportChoice::Udp,
                ..JoinOptions::default()
            };
            let ticket = ticket_via(&server, who, (host, port).into());
            let joined = Room::join_with(&ticket, options);
            rooms.push(within(joined).await.unwrap());
        }
        hears(&rooms[0], &rooms[1]).await;
        hears(&rooms[1], &rooms[0]).await;
    }
}

#[tokio::test]
async fn a_cut_tcp_connection_is_made_anew_and_nobody_notices() {
    let server = serve();
    let wall = firewall(server.addresses()[0], true).await;
    let options = JoinOptions {
        transport: TransportChoice::Tcp,
        ..JoinOptions::default()
    };
    let ticket = ticket_via(&server, "anna", wall.address);
    let joined = Room::join_with(&ticket, options);
    let anna = within(joined).await.unwrap();
    let ben = join(&server, "room", "ben").await;
    let mut seen = ben.events();
    for _ in 0..3 {
        wall.cut.send(()).unwrap();
        hears(&ben, &anna).await;
    }
    within(anna.leave()).await;
    let mut before = Vec::new();
    until(&mut seen, |event| match event {
        Event::Room(RoomEvent::ParticipantLeft { reason, .. }) => Some(reason),
        event => {
            before.push(event);
            None
        }
    })
    .await;
    let joins = before
        .iter()
        .filter(|event| matches!(event, Event::Room(RoomEvent::ParticipantJoined { .. })));
    assert!(joins.count() <= 1, "{before:?}");
}

#[tokio::test]
async fn a_new_socket_goes_on_where_the_old_one_was() {
    let server = serve();
    for transport in [TransportChoice::Udp, TransportChoice::Tcp] {
        let options = JoinOptions {
            transport,
            ..JoinOptions::default()
        };
        let anna = join_by(&server, "anna", options).await;
        let ben = join(&server, "room", "ben").await;
        let mut seen = ben.events();
        hears(&ben, &anna).await;
        within(anna.rebind()).await.unwrap();
        hears(&ben, &anna).await;
        hears(&anna, &ben).await;
        within(anna.leave()).await;
        until(&mut seen, |event| match event {
            Event::Room(RoomEvent::ConnectionChanged { .. }) => panic!("{event:?}"),
            Event::Room(RoomEvent::ParticipantLeft { reason, .. }) => Some(reason),
            _ => None,
        })
        .await;
    }
    let statistics = server.statistics().await;
    assert!(statistics[0].roams >= 2, "{statistics:?}");
}

#[tokio::test]
async fn whoever_knocks_at_the_wrong_worker_is_sent_to_the_right_one() {
    let server = Server::bind(ServerConfig {
        workers: 2,
        ..config()
    })
    .unwrap();
    let right = ticket(&server, "room", "x");
    let right = Ticket::parse(&right).unwrap().port;
    for transport in [
        TransportChoice::Auto,
        TransportChoice::Udp,
        TransportChoice::Tcp,
    ] {
        let mut rooms = Vec::new();
        for (who, address) in ["anna", "ben"].into_iter().zip(server.addresses()) {
            let options = JoinOptions {
                transport,
                ..JoinOptions::default()
            };
            let ticket = ticket_via(&server, who, *address);
            let joined = Room::join_with(&ticket, options);
            rooms.push(within(joined).await.unwrap());
        }
        assert_eq!(rooms[0].session(), rooms[1].session());
        hears(&rooms[1], &rooms[0]).await;
        for room in rooms {
            within(room.leave()).await;
        }
    }
    let statistics = server.statistics().await;
    let wrong = usize::from(server.addresses()[0].port() == right);
    assert_eq!(
        (statistics[wrong].joins, statistics[1 - wrong].joins),
        (0, 6)
    );
}

#[tokio::test]
async fn a_shutdown_is_told_and_a_restart_takes_the_same_ticket() {
    let folder = tempfile::tempdir().unwrap();
    let with_key = ServerConfig {
        key_file: Some(folder.path().join("key")),
        ..config()
    };
    let server = Server::bind(with_key.clone()).unwrap();
    let mut happened = server.events();
    let ticket = ticket(&server, "room", "anna");
    let same_place = ServerConfig {
        address: server.addresses()[0],
        ..with_key
    };
    let by_udp = within(Room::join(&ticket)).await.unwrap();
    let by_tcp = join_by(
        &server,
        "ben",
        JoinOptions {
            transport: TransportChoice::Tcp,
            ..JoinOptions::default()
        },
    )
    .await;
    within(until_in_session(&server, 2)).await;
    within(server.shutdown()).await;
    for room in [by_udp, by_tcp] {
        let cause = within(room.closed()).await;
        assert_eq!(cause, CloseCause::Closed(CloseReason::ServerShutdown));
    }
    while within(happened.next()).await.is_some() {}

    let server = Server::bind(same_place).unwrap();
    let anna = within(Room::join(&ticket)).await.unwrap();
    assert_eq!(within(until_in_session(&server, 1)).await, anna.session());
}

#[tokio::test]
async fn a_server_that_was_gone_finds_everybody_back() {
    let folder = tempfile::tempdir().unwrap();
    let server_config = ServerConfig {
        key_file: Some(folder.path().join("key")),
        ..config()
    };
    let server = Server::bind(server_config.clone()).unwrap();
    let address = server.addresses()[0];
    // Between participant and server, so that the server can vanish without a word.
    let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let via = proxy.local_addr().unwrap();
    let (online, is_online) = watch::channel(true);
    tokio::spawn(relay(proxy, address, move |_| *is_online.borrow()));

    let options = JoinOptions {
        transport: TransportChoice::Udp,
        ..JoinOptions::default()
    };
    let ticket = ticket_via(&server, "anna", via);
    let anna = within(Room::join_with(&ticket, options)).await.unwrap();
    let first = anna.session();
    online.send(false).unwrap();
    within(server.shutdown()).await;

    let server = Server::bind(ServerConfig {
        address,
        ..server_config
    })
    .unwrap();
    online.send(true).unwrap();
    // She publishes: something for the new server not to understand.
    let ben = within(Room::join(&common::ticket(&server, "room", "ben")))
        .await
        .unwrap();
    hears(&ben, &anna).await;
    assert_ne!(anna.session(), first);
    assert_eq!(anna.session(), ben.session());
}

#[tokio::test]
async fn a_port_that_was_closed_for_a_while_is_tried_again() {
    let server = serve();
    let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let via = proxy.local_addr().unwrap();
    let address = server.addresses()[0];
    let way = tokio::spawn(relay(proxy, address, |_| true));
    let options = JoinOptions {
        transport: TransportChoice::Udp,
        ..JoinOptions::default()
    };
    let ticket = ticket_via(&server, "anna", via);
    let anna = within(Room::join_with(&ticket, options)).await.unwrap();
    let mut events = anna.events();
    let ben = join(&server, "room", "ben").await;
    hears(&anna, &ben).await;

    // From now on the system refuses what is sent there.
    way.abort();
    let _ = way.await;
    until(&mut events, |event| {
        matches!(event, Event::Room(RoomEvent::Reconnecting(_))).then_some(())
    })
    .await;
    let sent = || anna.statistics().sent.datagrams;
    let before = sent();
    within(async {
        while sent() < before + 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;

    let proxy = UdpSocket::bind(via).await.unwrap();
    tokio::spawn(relay(proxy, address, |_| true));
    until(&mut events, |event| {
        matches!(event, Event::Room(RoomEvent::Joined { .. })).then_some(())
    })
    .await;
    hears(&anna, &ben).await;
}

#[tokio::test]
async fn of_a_names_addresses_the_one_that_answers_is_taken() {
    let server = serve();
    // Often `::1` as well, where nobody listens.
    let text = ticket(&server, "room", "anna");
    let named = Ticket {
        host: "localhost",
        ..Ticket::parse(&text).unwrap()
    };
    within(Room::join(&named.to_string())).await.unwrap();
}

#[tokio::test]
async fn silence_at_a_tcp_port_is_not_waited_for_forever() {
    // Accepts, and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve();
    let options = JoinOptions {
        transport: TransportChoice::Tcp,
        timeout: Duration::from_millis(500),
        ..JoinOptions::default()
    };
    let ticket = ticket_via(&server, "anna", listener.local_addr().unwrap());
    assert!(within(Room::join_with(&ticket, options)).await.is_err());
}
