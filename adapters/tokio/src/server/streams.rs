//! A worker's TCP connections.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
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
    /// A packet of connection so-and-so.
    Packet(u64, Vec<u8>),
    /// It has ended.
    Ended(u64),
}

#[derive(Debug)]
pub(super) struct Streams {
    /// Where to put the packets for each connection.
    outgoing: BTreeMap<u64, mpsc::Sender<Bytes>>,
    /// Never used twice.
    next: u64,
    most: usize,
    /// How long a connection may be silent, later.
    idle: Duration,
    incoming: mpsc::Sender<FromStream>,
}

impl Streams {
    /// At most `most` connections, each ended when nothing has come from it for `idle`. What comes from them comes out
    /// of the receiver.
    pub(super) fn new(most: usize, idle: Duration) -> (Self, mpsc::Receiver<FromStream>) {
        let (incoming, receiver) = mpsc::channel(INCOMING);
        let streams = Self {
            outgoing: BTreeMap::new(),
            next: 0,
            most,
            idle,
            incoming,
        };
        (streams, receiver)
    }

    /// Takes a connection on; closes it if there are too many.
    pub(super) fn accept(&mut self, stream: TcpStream, from: SocketAddr) {
        if self.outgoing.len() >= self.most {
            tracing::warn!(%from, most = self.most, "too many TCP connections");
            return;
        }
        let id = self.next;
        self.next += 1;
        let (sender, outgoing) = mpsc::channel(OUTGOING);
        self.outgoing.insert(id, sender);
        let (incoming, idle) = (self.incoming.clone(), self.idle);
        tokio::spawn(async move {
            tracing::debug!(stream = id, %from, "TCP connection");
            if let Err(error) = serve(id, stream, idle, &incoming, outgoing).await {
                tracing::debug!(stream = id, %from, %error, "TCP connection ended");
            }
            let _ = incoming.send(FromStream::Ended(id)).await;
        });
    }

    /// Sends a packet, unless the connection is gone or its queue full.
    pub(super) fn send(&self, id: u64, packet: &[u8]) {
        if let Some(outgoing) = self.outgoing.get(&id) {
            let _ = outgoing.try_send(Bytes::copy_from_slice(packet));
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.outgoing.remove(&id);
    }
}

async fn serve(
    id: u64,
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
                    let packet = FromStream::Packet(id, packet.to_vec());
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
