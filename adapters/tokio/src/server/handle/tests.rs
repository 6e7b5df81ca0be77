//! Tests of a worker that is busy for a while.

use std::net::UdpSocket;
use std::time::Duration;

use super::*;
use crate::token::ApiKey;
use parlour_core::server::{Config as Limits, Dropped, Rate};
use parlour_core::wire::{ConnectionId, Packet};

/// Together they fill several batches, and fit into the buffers of any kernel.
const SOCKETS: usize = 4;
const HELLOS: usize = 60;
/// This many Hellos of each socket are processed, which takes the worker long enough to receive the rest before it
/// sends.
const DEAR: usize = 16;

#[tokio::test]
async fn every_hello_of_a_flood_is_answered() {
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    let limits = Limits {
        handshakes: Rate {
            per_second: 0,
            burst: (SOCKETS * DEAR) as u32,
        },
        ..Limits::default()
    };
    let server = Server::bind(ServerConfig {
        workers: 1,
        limits,
        ..ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)
    })
    .unwrap();
    let address = server.addresses()[0];
    let sockets = [(); SOCKETS].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    // The worker is kept from its socket until all are there, and then is behind.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begins, began) = tokio::sync::oneshot::channel::<()>();
    let busy = server.call(0, move |_, _| {
        begins.send(()).unwrap();
        wait.recv().unwrap();
    });
    let send = async {
        began.await.unwrap();
        for n in 0..HELLOS {
            for socket in &sockets {
                let packet = Packet::Hello {
                    client_id: ConnectionId(n as u32),
                    cookie: None,
                    noise: &[7; 64],
                };
                let mut bytes = [0; 100];
                let len = packet.encode(&mut bytes).unwrap();
                socket.send_to(&bytes[..len], address).unwrap();
            }
        }
        go.send(()).unwrap();
    };
    tokio::join!(busy, send);
    let mut answer = [0; 100];
    for socket in &sockets {
        // Only a failing test waits for this long.
        let limit = Duration::from_secs(10);
        socket.set_read_timeout(Some(limit)).unwrap();
        for n in DEAR..HELLOS {
            let (len, _) = socket.recv_from(&mut answer).unwrap();
            let Ok(Packet::Retry { client_id, .. }) = Packet::parse(&answer[..len]) else {
                panic!("no Retry: {:?}", &answer[..len]);
            };
            assert_eq!(client_id, ConnectionId(n as u32));
        }
    }
    let statistics = server.statistics().await;
    assert_eq!(statistics[0].retries, (SOCKETS * (HELLOS - DEAR)) as u64);
    assert_eq!(statistics[0].dropped(Dropped::OutboxFull), 0);
}

#[tokio::test]
async fn a_worker_that_panics_is_told() {
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    let config = ServerConfig {
        workers: 2,
        ..ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)
    };
    let server = Server::bind(config).unwrap();
    assert!(server.call(0, |_, _| ()).await.is_some());
    let died = server.call(1, |_, _| -> () {
        panic!("a worker that dies, as this test wants")
    });
    assert_eq!(died.await, None);
    assert_eq!(server.failed().await, 1);
    assert!(
        server.call(0, |_, _| ()).await.is_some(),
        "the other goes on"
    );
    server.shutdown().await;
}
