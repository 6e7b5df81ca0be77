//! A worker's connections: by TCP, and those that the application carries.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parlour_core::server::{Path, Source};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::carriage::{self, CarriageReceiver, CarriageSender, CarryError};
use crate::framing::{PacketReader, PacketWriter};

/// Packets from all connections that wait for the worker; beyond, TCP holds the senders back.
const INCOMING: usize = 256;
/// Packets that wait for one slow receiver; beyond, they are lost, as on a UDP path.
const OUTGOING: usize = 64;
/// How long a connection may take until somebody with a valid token is heard on it.
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
    /// Whether a participant is heard on it: its task needs to know, too.
    is_used: Arc<AtomicBool>,
    task: Option<AbortHandle>,
}

impl Stream {
    fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }
}

/// A connection, as its task sees it.
#[derive(Debug)]
struct Connection {
    id: u64,
    path: Path,
    /// Where to put the packets from it.
    incoming: mpsc::Sender<FromStream>,
    outgoing: mpsc::Receiver<Bytes>,
    limits: Limits,
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

    /// Connections that there are.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Takes a TCP connection on, or closes it if there is no place for it.
    pub(super) fn accept(&mut self, stream: TcpStream, from: SocketAddr) {
        match self.open(from.ip()) {
            Ok(connection) => self.spawn(connection.id, serve(connection, stream)),
            Err(error) => tracing::debug!(%from, most = self.most, %error, "TCP connection closed"),
        }
    }

    /// Takes a connection on that the application carries.
    ///
    /// # Errors
    /// [`CarryError`]
    pub(super) fn carry(
        &mut self,
        from: IpAddr,
    ) -> Result<(CarriageSender, CarriageReceiver), CarryError> {
        let connection = self.open(from)?;
        let id = connection.id;
        let (sender, carried) = carriage::sender();
        let (receiver, is_dropped) = carriage::receiver(connection.outgoing);
        let (path, incoming, limits) = (connection.path, connection.incoming, connection.limits);
        let relayed = relay(path, carried, incoming, limits);
        self.spawn(id, async move {
            tokio::select! {
                done = relayed => done,
                _ = is_dropped => Ok(()),
            }
        });
        Ok((sender, receiver))
    }

    /// Makes a place for a connection. If there are too many, altogether or from there, the oldest of these that no
    /// participant is heard on gives way.
    ///
    /// # Errors
    /// If there is none.
    fn open(&mut self, from: IpAddr) -> Result<Connection, CarryError> {
        let id = self.next;
        let path = Path::Stream { id, from };
        let source = path.source();
        let alike = self.streams.values().filter(|other| other.source == source);
        // As with half-open joins: nobody can take all places alone.
        let is_its_share_taken = alike.count() >= self.most.div_ceil(4);
        if (is_its_share_taken || self.streams.len() >= self.most)
            && !self.make_place(is_its_share_taken.then_some(source))
        {
            return Err(match self.streams.len() >= self.most {
                true => CarryError::Full,
                false => CarryError::AddressFull,
            });
        }
        self.next += 1;
        let (sender, outgoing) = mpsc::channel(OUTGOING);
        let is_used = Arc::new(AtomicBool::new(false));
        self.streams.insert(
            id,
            Stream {
                outgoing: sender,
                source,
                is_used: Arc::clone(&is_used),
                task: None,
            },
        );
        Ok(Connection {
            id,
            path,
            incoming: self.incoming.clone(),
            outgoing,
            limits: Limits::new(is_used, self.idle),
        })
    }

    /// Has a connection served until that ends.
    fn spawn(&mut self, id: u64, served: impl Future<Output = io::Result<()>> + Send + 'static) {
        let incoming = self.incoming.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(stream = id, %error, "connection ended");
            }
            let _ = incoming.send(FromStream::Ended(id)).await;
        });
        if let Some(stream) = self.streams.get_mut(&id) {
            tracing::debug!(stream = id, source = ?stream.source, "connection");
            stream.task = Some(task.abort_handle());
        }
    }

    /// Ends the oldest connection, of `source` if one is named, that no participant is heard on; false if there is none.
    fn make_place(&mut self, source: Option<Source>) -> bool {
        let gives_way = self.streams.iter().find(|(_, stream)| {
            !stream.is_used() && source.is_none_or(|source| source == stream.source)
        });
        let Some(id) = gives_way.map(|(id, _)| *id) else {
            return false;
        };
        if let Some(stream) = self.streams.remove(&id) {
            tracing::debug!(stream = id, "connection gives way");
            if let Some(task) = stream.task {
                task.abort();
            }
        }
        true
    }

    /// An authentic packet of an association has come by that connection.
    pub(super) fn used(&self, id: u64) {
        if let Some(stream) = self.streams.get(&id) {
            stream.is_used.store(true, Ordering::Relaxed);
        }
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

/// How long a connection may go on.
#[derive(Debug)]
struct Limits {
    is_used: Arc<AtomicBool>,
    idle: Duration,
    began: Instant,
    heard: Instant,
    /// When to look again.
    deadline: Instant,
}

impl Limits {
    fn new(is_used: Arc<AtomicBool>, idle: Duration) -> Self {
        let began = Instant::now();
        Self {
            is_used,
            idle,
            began,
            heard: began,
            deadline: began + GREETING,
        }
    }

    /// A packet has come.
    fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// # Errors
    /// If the connection has been of no use for too long.
    fn check(&mut self) -> io::Result<()> {
        self.deadline = match self.is_used.load(Ordering::Relaxed) {
            true => self.heard + self.idle,
            false => self.began + GREETING,
        };
        match self.deadline <= Instant::now() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }
}

/// Serves a TCP connection.
async fn serve(connection: Connection, stream: TcpStream) -> io::Result<()> {
    let Connection {
        path,
        incoming,
        mut outgoing,
        mut limits,
        ..
    } = connection;
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut reader = PacketReader::new(reader);
    let mut writer = PacketWriter::new(writer);
    loop {
        tokio::select! {
            packet = reader.next() => match packet? {
                Some(packet) => {
                    limits.heard();
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
            () = sleep_until(limits.deadline) => limits.check()?,
        }
    }
}

/// Takes packets from a carried connection. What goes to it does not come by here.
async fn relay(
    path: Path,
    mut carried: mpsc::Receiver<Vec<u8>>,
    incoming: mpsc::Sender<FromStream>,
    mut limits: Limits,
) -> io::Result<()> {
    loop {
        tokio::select! {
            packet = carried.recv() => {
                let Some(packet) = packet else {
                    return Ok(());
                };
                limits.heard();
                if incoming.send(FromStream::Packet(path, packet)).await.is_err() {
                    return Ok(());
                }
            }
            () = sleep_until(limits.deadline) => limits.check()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::super::carriage::CarriageError;
    use super::*;

    /// Connections to oneself, said to come from elsewhere.
    struct Door(TcpListener, Vec<TcpStream>);

    impl Door {
        async fn new() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").await.unwrap(), Vec::new())
        }

        /// Has another one accepted; gives its number, if it has a place.
        async fn open(&mut self, streams: &mut Streams, from: &str) -> Option<u64> {
            let address = self.0.local_addr().unwrap();
            let (client, accepted) = tokio::join!(TcpStream::connect(address), self.0.accept());
            self.1.push(client.unwrap());
            let id = streams.next;
            streams.accept(accepted.unwrap().0, from.parse().unwrap());
            streams.streams.contains_key(&id).then_some(id)
        }
    }

    #[tokio::test]
    async fn one_address_gets_a_quarter_of_the_places() {
        let mut door = Door::new().await;
        let (mut streams, _received) = Streams::new(8, Duration::from_secs(90));
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
            if let Some(id) = door.open(&mut streams, from).await {
                streams.used(id);
            }
            assert_eq!(streams.streams.len(), taken, "{from}");
        }
        streams.forget(0);
        let again = door.open(&mut streams, "192.0.2.1:4").await;
        assert!(again.is_some(), "a place that is free again is given away");
    }

    #[tokio::test]
    async fn strangers_give_way_to_who_comes_and_participants_do_not() {
        let mut door = Door::new().await;
        let (mut streams, _received) = Streams::new(4, Duration::from_secs(90));
        // A quarter is one place.
        for n in 1..=4 {
            let id = door.open(&mut streams, &format!("192.0.2.{n}:1")).await;
            if n == 2 {
                streams.used(id.unwrap());
            }
        }
        for (from, left) in [
            ("198.51.100.1:1", [1, 2, 3, 4]),
            ("198.51.100.2:1", [1, 3, 4, 5]),
            // Its own place first.
            ("198.51.100.2:2", [1, 3, 4, 6]),
        ] {
            assert!(door.open(&mut streams, from).await.is_some(), "{from}");
            let there: Vec<_> = streams.streams.keys().copied().collect();
            assert_eq!(there, left, "{from}");
        }
        for id in [3, 4, 6] {
            streams.used(id);
        }
        assert_eq!(door.open(&mut streams, "198.51.100.9:1").await, None);
    }

    #[tokio::test]
    async fn carried_connections_take_the_same_places() {
        let mut door = Door::new().await;
        let (mut streams, _received) = Streams::new(8, Duration::from_secs(90));
        let carry = |streams: &mut Streams, from: &str| {
            let carried = streams.carry(from.parse().unwrap());
            streams.used(streams.next - 1);
            carried
        };
        let id = door.open(&mut streams, "192.0.2.1:1").await.unwrap();
        streams.used(id);
        let mut held = vec![carry(&mut streams, "192.0.2.1").unwrap()];
        let refused = carry(&mut streams, "192.0.2.1").unwrap_err();
        assert_eq!(refused, CarryError::AddressFull);
        assert_eq!(door.open(&mut streams, "192.0.2.1:2").await, None);
        for from in [
            "2001:db8::1",
            "2001:db8::2",
            "192.0.2.3",
            "192.0.2.3",
            "192.0.2.4",
        ] {
            held.push(carry(&mut streams, from).unwrap());
        }
        let refused = carry(&mut streams, "2001:db8::3").unwrap_err();
        assert_eq!(refused, CarryError::AddressFull);
        held.push(carry(&mut streams, "192.0.2.4").unwrap());
        assert_eq!(streams.len(), 8);
        let refused = carry(&mut streams, "192.0.2.5").unwrap_err();
        assert_eq!(refused, CarryError::Full);
    }

    #[tokio::test]
    async fn a_carried_stranger_gives_way_and_is_told() {
        let (mut streams, _received) = Streams::new(4, Duration::from_secs(90));
        let from = "192.0.2.1".parse().unwrap();
        let (sender, mut receiver) = streams.carry(from).unwrap();
        let _newer = streams.carry(from).unwrap();
        assert_eq!(receiver.next().await, None);
        tokio::task::yield_now().await;
        assert_eq!(sender.send(&[0]).await, Err(CarriageError::Closed));
    }

    /// In tokio's own time, which does not pass here.
    #[tokio::test(start_paused = true)]
    async fn a_carriage_ends_with_either_of_its_ends() {
        let began = Instant::now();
        let (mut streams, mut received) = Streams::new(8, Duration::from_secs(90));
        let from = "192.0.2.1".parse().unwrap();
        let (sender, mut receiver) = streams.carry(from).unwrap();
        sender.send(&[7; 1_200]).await.unwrap();
        for wrong in [&[][..], &[7; 1_201]] {
            assert_eq!(sender.send(wrong).await, Err(CarriageError::Length));
        }
        let packet = received.recv().await.unwrap();
        assert!(
            matches!(&packet, FromStream::Packet(Path::Stream { id: 0, .. }, packet) if packet.len() == 1_200)
        );
        drop(sender);
        assert!(matches!(received.recv().await, Some(FromStream::Ended(0))));
        streams.forget(0);
        assert_eq!(receiver.next().await, None);

        let (sender, receiver) = streams.carry(from).unwrap();
        drop(receiver);
        assert!(matches!(received.recv().await, Some(FromStream::Ended(1))));
        assert_eq!(sender.send(&[7]).await, Err(CarriageError::Closed));
        assert!(began.elapsed().is_zero(), "it was ended for its silence");
    }

    #[tokio::test]
    async fn what_a_slow_carriage_does_not_take_is_dropped() {
        let (mut streams, _received) = Streams::new(8, Duration::from_secs(90));
        let (_sender, mut receiver) = streams.carry("192.0.2.1".parse().unwrap()).unwrap();
        for n in 0..=OUTGOING {
            streams.send(0, &[n as u8]);
        }
        streams.forget(0);
        let mut taken = 0;
        while let Some(packet) = receiver.next().await {
            assert_eq!(packet[..], [taken as u8]);
            taken += 1;
        }
        assert_eq!(taken, OUTGOING);
    }

    /// In tokio's own time, which jumps to what is next.
    #[tokio::test(start_paused = true)]
    async fn a_carried_stranger_stays_no_longer_than_another() {
        let (mut streams, mut received) = Streams::new(8, Duration::from_secs(90));
        let began = Instant::now();
        let (sender, _receiver) = streams.carry("192.0.2.1".parse().unwrap()).unwrap();
        let chatter = async {
            while sender.send(&[7]).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = async { while !matches!(received.recv().await, Some(FromStream::Ended(0))) {} };
        tokio::select! {
            () = chatter => unreachable!(),
            () = ended => {}
        }
        assert_eq!(began.elapsed().as_secs(), GREETING.as_secs());
    }

    /// In tokio's own time, which jumps to what is next.
    #[tokio::test(start_paused = true)]
    async fn whole_packets_that_mean_nothing_do_not_keep_a_place() {
        let mut door = Door::new().await;
        let (mut streams, mut received) = Streams::new(2, Duration::from_secs(90));
        let began = Instant::now();
        for from in ["192.0.2.1:1", "192.0.2.2:1"] {
            door.open(&mut streams, from).await.unwrap();
        }
        let [stranger, participant] = &mut door.1[..] else {
            unreachable!();
        };
        let chatter = async {
            loop {
                for client in [&mut *stranger, &mut *participant] {
                    let _ = client.write_all(&[0, 1, 7]).await;
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        let ended = async {
            loop {
                match received.recv().await.unwrap() {
                    FromStream::Packet(Path::Stream { id: 1, .. }, _) => streams.used(1),
                    FromStream::Packet(..) => {}
                    FromStream::Ended(id) => break id,
                }
            }
        };
        let ended = tokio::select! {
            () = chatter => unreachable!(),
            ended = ended => ended,
        };
        assert_eq!(ended, 0);
        let after = began.elapsed();
        assert!(after >= GREETING && after <= GREETING * 2, "{after:?}");
        streams.forget(0);
        // Who is heard stays, until nothing comes for long.
        let ended = tokio::time::timeout(Duration::from_secs(80), async {
            while !matches!(received.recv().await, Some(FromStream::Ended(_))) {}
        });
        assert!(ended.await.is_err(), "cut off while it may be idle");
        while !matches!(received.recv().await, Some(FromStream::Ended(1))) {}
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
