//! A worker's TCP connections.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use parlour_core::server::{Path, Source};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::framing::{PacketReader, PacketWriter};

/// Packets from all connections that wait for the worker; beyond, TCP holds the senders back.
const INCOMING: usize = 256;
/// Packets that wait for one slow receiver; beyond, they are lost, as on a UDP path.
const OUTGOING: usize = 64;
/// How long a new connection may be silent.
const GREETING: Duration = Duration::from_secs(10);

/// What comes from a connection.
#[derive(Debug)]
pub(super) enum FromStream {
    /// A packet, and by which connection it came.
    Packet(Path, Vec<u8>),
    /// Connection so-and-so has ended.
    Ended(u64),
}

/// A connection, as the worker sees it.
#[derive(Debug)]
struct Stream {
    /// Where to put the packets for it.
    outgoing: mpsc::Sender<Bytes>,
    source: Source,
}

#[derive(Debug)]
pub(super) struct Streams {
    streams: BTreeMap<u64, Stream>,
    /// Never used twice.
    next: u64,
    most: usize,
    /// How long a connection may be silent, later.
    idle: Duration,
    incoming: mpsc::Sender<FromStream>,
}

impl Streams {
    /// At most `most` connections, a quarter of them from one address, each ended when nothing has come from it for
    /// `idle`. What comes from them comes out of the receiver.
    pub(super) fn new(most: usize, idle: Duration) -> (Self, mpsc::Receiver<FromStream>) {
        let (incoming, receiver) = mpsc::channel(INCOMING);
        let streams = Self {
            streams: BTreeMap::new(),
            next: 0,
            most,
            idle,
            incoming,
        };
        (streams, receiver)
    }

    /// Takes a connection on; closes it if there are too many.
    pub(super) fn accept(&mut self, stream: TcpStream, from: SocketAddr) {
        let id = self.next;
        let path = Path::Stream {
            id,
            from: from.ip(),
        };
        let source = path.source();
        let alike = self.streams.values().filter(|other| other.source == source);
        // As with half-open joins: nobody can take all places alone.
        let is_its_share_taken = alike.count() >= self.most.div_ceil(4);
        if self.streams.len() >= self.most || is_its_share_taken {
            tracing::debug!(%from, most = self.most, is_its_share_taken, "too many TCP connections");
            return;
        }
        self.next += 1;
        let (sender, outgoing) = mpsc::channel(OUTGOING);
        self.streams.insert(
            id,
            Stream {
                outgoing: sender,
                source,
            },
        );
        let (incoming, idle) = (self.incoming.clone(), self.idle);
        tokio::spawn(async move {
            tracing::debug!(stream = id, %from, "TCP connection");
            if let Err(error) = serve(path, stream, idle, &incoming, outgoing).await {
                tracing::debug!(stream = id, %from, %error, "TCP connection ended");
            }
            let _ = incoming.send(FromStream::Ended(id)).await;
        });
    }

    /// Sends a packet, unless the connection is gone or its queue full.
    pub(super) fn send(&self, id: u64, packet: &[u8]) {
        if let Some(stream) = self.streams.get(&id) {
            let _ = stream.outgoing.try_send(Bytes::copy_from_slice(packet));
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.streams.remove(&id);
    }
}

async fn serve(
    path: Path,
    stream: TcpStream,
    idle: Duration,
    incoming: &mpsc::Sender<FromStream>,
    mut outgoing: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut reader = PacketReader::new(reader);
    let mut writer = PacketWriter::new(writer);
    let mut deadline = Instant::now() + GREETING;
    loop {
        tokio::select! {
            packet = reader.next() => match packet? {
                Some(packet) => {
                    deadline = Instant::now() + idle;
                    let packet = FromStream::Packet(path, packet.to_vec());
                    if incoming.send(packet).await.is_err() {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            },
            flushed = writer.flush(), if !writer.is_idle() => flushed?,
            packet = outgoing.recv(), if writer.is_idle() => match packet {
                Some(packet) => writer.put(&packet),
                None => return Ok(()),
            },
            () = sleep_until(deadline) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn one_address_gets_a_quarter_of_the_places() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut streams, _received) = Streams::new(8, Duration::from_secs(90));
        let mut clients = Vec::new();
        let addresses = [
            "192.0.2.1:1",
            "192.0.2.1:2",
            "192.0.2.1:3",
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::3]:1",
        ];
        let taken = [1, 2, 2, 3, 4, 4];
        for (from, taken) in addresses.into_iter().zip(taken) {
            let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            clients.push(client.unwrap());
            streams.accept(accepted.unwrap().0, from.parse().unwrap());
            assert_eq!(streams.streams.len(), taken, "{from}");
        }
        streams.forget(0);
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        clients.push(client.unwrap());
        streams.accept(accepted.unwrap().0, "192.0.2.1:4".parse().unwrap());
        assert_eq!(
            streams.streams.len(),
            4,
            "a place that is free again is given away"
        );
    }

    /// In tokio's own time, which jumps to what is next.
    #[tokio::test(start_paused = true)]
    async fn who_trickles_a_packet_byte_by_byte_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (stream, from)) = (client.unwrap(), accepted.unwrap());
        let (mut streams, mut received) = Streams::new(1, Duration::from_secs(90));
        streams.accept(stream, from);
        let began = Instant::now();
        // The length of a packet, and then never the whole of it.
        let trickle = async {
            loop {
                let _ = client.write_all(&[4]).await;
                sleep(Duration::from_secs(1)).await;
            }
        };
        let ended = tokio::select! {
            () = trickle => unreachable!(),
            ended = received.recv() => ended,
        };
        assert!(matches!(ended, Some(FromStream::Ended(0))), "{ended:?}");
        let after = began.elapsed();
        assert!(after >= GREETING && after <= GREETING * 2, "{after:?}");
    }
}
