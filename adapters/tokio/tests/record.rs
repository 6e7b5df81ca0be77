//! Logs that a server and its participants record over real sockets are replayed bit for bit.
#![cfg(all(feature = "record", feature = "server"))]

use std::time::Duration;

use parlour_core::audio::codec::SampleRate;
use parlour_tokio::record::{Sink, replay};
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{AudioOptions, JoinOptions, Room, Server, ServerConfig};

#[tokio::test]
async fn a_server_and_its_participants_are_replayed() {
    let sinks: Vec<_> = (0..3).map(|_| Sink::memory()).collect();
    let key = ApiKey::new("test", "a secret of at least 32 characters").unwrap();
    let server = Server::bind(ServerConfig {
        workers: 1,
        record: vec![sinks[0].clone()],
        ..ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)
    })
    .unwrap();
    let mut rooms = Vec::new();
    for (who, sink) in ["anna", "ben"].into_iter().zip(&sinks[1..]) {
        let claims = Claims::new("green", who, Duration::from_secs(60)).unwrap();
        let options = JoinOptions {
            record: Some(sink.clone()),
            ..JoinOptions::default()
        };
        let ticket = server.ticket(&claims).unwrap();
        rooms.push(Room::join_with(&ticket, options).await.unwrap());
    }
    let options = AudioOptions::pcmu(SampleRate::Hz8000);
    let mut mic = rooms[0].publish_audio("mic", options).await.unwrap();
    for _ in 0..20 {
        mic.write(&[100; 160]).unwrap();
    }
    rooms[1].request_floor().await.unwrap();
    drop(mic);
    for room in rooms {
        room.leave().await;
        room.closed().await;
    }
    server.shutdown().await;
    for (sink, machine) in sinks.iter().zip(["server", "client", "client"]) {
        sink.flush().unwrap();
        let replayed = replay(&sink.take()[..]).unwrap();
        assert_eq!(replayed.machine, machine);
        assert!(replayed.calls > 20, "{replayed:?}");
    }
}
