//! A TCP connection that is dead without anybody having said so: nothing arrives, nothing ends.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{config, hears, join, ticket_via, within};
use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::core::rtp::AudioLevel;
use parlour_tokio::{AudioOptions, JoinOptions, Room, Server, TransportChoice};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};

/// A way to the server by TCP, the first connection of which dies when it is told to.
struct Path {
    address: SocketAddr,
    dies: watch::Sender<bool>,
    /// A word for each connection.
    accepted: mpsc::UnboundedReceiver<()>,
}

fn path_to(server: SocketAddr) -> Path {
    let socket = TcpSocket::new_v4().unwrap();
    // The buffers of a dead path are soon full.
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let address = listener.local_addr().unwrap();
    let (dies, death) = watch::channel(false);
    let (accepts, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut is_first = true;
        while let Ok((mut inside, _)) = listener.accept().await {
            let (mut death, may_die) = (death.clone(), is_first);
            is_first = false;
            let _ = accepts.send(());
            tokio::spawn(async move {
                let mut outside = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => {}
                    _ = death.wait_for(|dies| *dies), if may_die => {}
                }
                std::future::pending::<()>().await;
                drop((inside, outside));
            });
        }
    });
    Path {
        address,
        dies,
        accepted,
    }
}

async fn join_through(server: &Server, path: &mut Path) -> Room {
    let ticket = ticket_via(server, "anna", path.address);
    let options = JoinOptions {
        transport: TransportChoice::Tcp,
        ..JoinOptions::default()
    };
    let room = within(Room::join_with(&ticket, options)).await;
    path.accepted.recv().await.unwrap();
    room.unwrap()
}

#[tokio::test]
async fn silence_has_another_one_made() {
    let mut config = config();
    config.limits.keepalive = Duration::from_secs(1);
    let server = Server::bind(config).unwrap();
    let mut path = path_to(server.addresses()[0]);
    let anna = join_through(&server, &mut path).await;
    let ben = join(&server, "room", "ben").await;
    path.dies.send(true).unwrap();
    within(path.accepted.recv()).await.unwrap();
    hears(&ben, &anna).await;
}

/// Then nobody notices silence, for the question whether anybody is there waits behind all else.
#[tokio::test]
async fn one_that_takes_nothing_is_given_up() {
    let server = Server::bind(config()).unwrap();
    let mut path = path_to(server.addresses()[0]);
    let anna = join_through(&server, &mut path).await;
    let ben = join(&server, "room", "ben").await;
    let options = AudioOptions::pcmu(SampleRate::Hz8000);
    let mut mic = within(anna.publish_audio("much", options)).await.unwrap();
    path.dies.send(true).unwrap();
    let level = AudioLevel {
        voice: true,
        level: 20,
    };
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let talks = async {
        loop {
            tick.tick().await;
            for _ in 0..30 {
                let _ = mic.write_encoded(&[0x55; 160], level);
            }
        }
    };
    within(async {
        tokio::select! {
            () = talks => {}
            again = path.accepted.recv() => again.unwrap(),
        }
    })
    .await;
    drop(mic);
    hears(&ben, &anna).await;
}
