//! Datagrams on their way between a participant and a server.
#![allow(dead_code, unreachable_pub, reason = "not each test program uses it")]

use std::net::SocketAddr;

use tokio::net::UdpSocket;

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    Server,
    Participant,
}

/// Forwards datagrams between one participant, who sends to `inside`, and the server, but for those that do not pass.
pub async fn relay(inside: UdpSocket, server: SocketAddr, mut passes: impl FnMut(Towards) -> bool) {
    let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut sent, mut received) = ([0; 2_048], [0; 2_048]);
    let mut participant: Option<SocketAddr> = None;
    loop {
        // An error is that of an ICMP message: the other end is gone, or not there yet.
        tokio::select! {
            Ok((len, from)) = inside.recv_from(&mut sent) => {
                participant = Some(from);
                if passes(Towards::Server) {
                    let _ = outside.send_to(&sent[..len], server).await;
                }
            }
            Ok((len, _)) = outside.recv_from(&mut received) => {
                if let Some(to) = participant && passes(Towards::Participant) {
                    let _ = inside.send_to(&received[..len], to).await;
                }
            }
            else => tokio::task::yield_now().await,
        }
    }
}
