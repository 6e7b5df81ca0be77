//! The way to the server: a UDP socket, a TCP connection or a WebSocket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UdpSocket};

use super::Transport;
use super::web::WebLink;
use crate::framing::{PacketReader, PacketWriter};

/// The time limit of the last packets on one link.
const FINISH: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) enum Link {
    Udp(UdpSocket),
    Tcp {
        reader: PacketReader<OwnedReadHalf>,
        writer: PacketWriter<OwnedWriteHalf>,
    },
    Web(Box<WebLink>),
}

impl Link {
    /// A socket that hears only from `server`, and to which the operating system tells what becomes of its packets.
    pub(super) fn udp(server: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(server),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        socket.bind(&any.into())?;
        socket.connect(&server.into())?;
        UdpSocket::from_std(socket.into()).map(Self::Udp)
    }

    /// A connection to `server`, however long that takes.
    pub(super) async fn tcp(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self::Tcp {
            reader: PacketReader::new(reader),
            writer: PacketWriter::new(writer),
        })
    }

    /// How packets travel by it.
    pub(super) fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Tcp { .. } => Transport::Tcp,
            Self::Web(_) => Transport::WebSocket,
        }
    }

    /// Whether [`send`](Self::send) takes another packet without queueing it behind others.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Udp(_) => true,
            Self::Tcp { writer, .. } => writer.is_idle(),
            Self::Web(web) => web.is_idle(),
        }
    }

    /// Sends a packet, or begins to. By UDP it may get lost; an error of the operating system shows as a missing
    /// answer.
    pub(super) async fn send(&mut self, packet: &[u8]) {
        match self {
            Self::Udp(socket) => {
                if let Err(error) = socket.send(packet).await {
                    tracing::debug!(%error, "datagram not sent");
                }
            }
            Self::Tcp { writer, .. } => writer.put(packet),
            Self::Web(web) => web.put(packet),
        }
    }

    /// Waits for a packet, and gives its length; `None` if [`is_ready`](Self::is_ready) has changed instead.
    ///
    /// Cancellation-safe.
    ///
    /// # Errors
    /// By UDP, that the server's host says that nobody listens; else that this way has come to its end.
    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Udp(socket) => socket.recv(buffer).await.map(Some),
            Self::Tcp { reader, writer } => tokio::select! {
                packet = reader.next() => {
                    let packet = packet?.ok_or(io::ErrorKind::UnexpectedEof)?;
                    let room = buffer.get_mut(..packet.len());
                    room.ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(packet);
                    Ok(Some(packet.len()))
                }
                flushed = writer.flush(), if !writer.is_idle() => flushed.map(|()| None),
            },
            Self::Web(web) => web.receive(buffer).await,
        }
    }

    /// Writes what is left to write, unless that takes long.
    pub(super) async fn finish(&mut self) {
        let finish = async {
            match self {
                Self::Udp(_) => {}
                Self::Tcp { writer, .. } => drop(writer.flush().await),
                Self::Web(web) => web.finish().await,
            }
        };
        let _ = tokio::time::timeout(FINISH, finish).await;
    }

    /// One more packet, if it is here already.
    pub(super) fn try_receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self {
            Self::Udp(socket) => socket.try_recv(buffer).ok(),
            Self::Tcp { .. } | Self::Web(_) => None,
        }
    }
}
