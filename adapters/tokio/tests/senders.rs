//! A server whose workers have threads that send for them.
#![cfg(target_os = "linux")]

mod common;

use common::*;
use parlour_tokio::core::room::CloseReason;
use parlour_tokio::{AudioOptions, CloseCause, Server, ServerConfig};

fn with_senders() -> Server {
    let config = ServerConfig {
        senders: 2,
        ..config()
    };
    Server::bind(config).unwrap()
}

#[tokio::test]
async fn a_voice_reaches_all_listeners_and_so_do_the_last_words() {
    let server = with_senders();
    let anna = join(&server, "room", "anna").await;
    let mut mic = anna
        .publish_audio("mic", AudioOptions::opus(RATE))
        .await
        .unwrap();
    let mut rooms = Vec::new();
    // More than the worker sends itself.
    for n in 0..12 {
        rooms.push(join(&server, "room", &format!("listener-{n}")).await);
    }
    let mut tone = Tone::new(440.0);
    for room in &rooms {
        let mut heard = room.mixed_audio(RATE).unwrap();
        let singing = &mut [(&mut mic, &mut tone)];
        sing_until_heard(singing, &mut heard, &[440.0]).await;
    }
    within(server.shutdown()).await;
    for room in rooms {
        let cause = within(room.closed()).await;
        assert_eq!(cause, CloseCause::Closed(CloseReason::ServerShutdown));
    }
}

#[tokio::test]
async fn its_sockets_have_room_and_a_port_is_free_after_the_shutdown() {
    let server = with_senders();
    let sockets = server.socket_statistics();
    assert_eq!(sockets.len(), 1);
    assert!(sockets[0].receive_buffer > 0 && sockets[0].send_buffer > 0);
    assert_eq!(sockets[0].receive_drops, Some(0));
    let address = server.addresses()[0];
    within(server.shutdown()).await;
    let again = ServerConfig {
        address,
        ..config()
    };
    within(Server::bind(again).unwrap().shutdown()).await;
}
