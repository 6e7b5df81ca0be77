//! The floor: open what a talker sends, seal it for each listener, send. No room, no slots, no signalling, no
//! timers: what any server with this cipher has to do at least if it sends each frame in a datagram of its own.

use std::io::{BufRead as _, IoSlice};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use parlour_tokio::core::secure::{InitiatorHandshake, KeyPair, ResponderHandshake, Transport};
use parlour_tokio::core::wire::{ConnectionId, DATA_HEADER, Frame, Frames, MAX_DATAGRAM, Packet};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::kernel::pin;
use super::options::{Role, Scenario};
use super::process::Process;

/// Datagrams that are sent with one call.
const BATCH: usize = 64;

pub(super) struct Floor {
    process: Process,
    pub(super) address: SocketAddr,
}

impl Floor {
    pub(super) fn start(scenario: &Scenario, core: usize) -> anyhow::Result<Self> {
        let Scenario {
            rooms,
            listeners,
            talkers,
            ..
        } = scenario;
        let line = format!("{core} {rooms} {listeners} {talkers}");
        let process = Process::start(Role::Floor, &[], &line)?;
        Ok(Self {
            address: process.greeting.parse()?,
            process,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// The keys of participant `index`, at either end: the same in both processes.
pub(super) fn keys(index: usize) -> anyhow::Result<(Transport, Transport)> {
    let mut rng = ChaCha12Rng::seed_from_u64(index as u64);
    let server = KeyPair::generate(&mut rng);
    let id = ConnectionId(index as u32);
    let (mut hello, mut welcome, mut payload) = ([0; 200], [0; 200], [0; 200]);
    let (client, len) = InitiatorHandshake::start(server.public(), id, &mut rng, &[], &mut hello)?;
    let (responder, _) = ResponderHandshake::read(&server, id, &hello[..len], &mut payload)?;
    let (len, there) = responder.answer(&mut rng, id, &[], &mut welcome)?;
    let here = client.finish(&welcome[..len], &mut payload)?.transport;
    Ok((here, there))
}

/// One room: its talkers, its listeners, and their addresses.
struct Room {
    listeners: Vec<Transport>,
    addresses: Vec<Option<SockaddrIn>>,
}

/// The floor's process.
pub(super) fn serve() -> anyhow::Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let numbers: Result<Vec<usize>, _> = line.split_whitespace().map(str::parse).collect();
    let [core, rooms, listeners, talkers] = numbers?[..] else {
        anyhow::bail!("the floor needs four numbers");
    };
    pin(&[core])?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let size = listeners + talkers;
    let mut talking = Vec::new();
    let mut all = Vec::new();
    for index in 0..rooms * size {
        let (_, transport) = keys(index)?;
        if index % size == 0 {
            all.push(Room {
                listeners: Vec::new(),
                addresses: vec![None; listeners],
            });
        }
        match all.last_mut() {
            Some(room) if index % size < listeners => {
                room.listeners.push(transport);
                talking.push(None);
            }
            _ => talking.push(Some(transport)),
        }
    }
    println!("{}", socket.local_addr()?);

    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut out = vec![[0; MAX_DATAGRAM]; BATCH];
    let mut datagram = [0; MAX_DATAGRAM + 1];
    loop {
        let (len, from) = socket.recv_from(&mut datagram)?;
        let bytes = &mut datagram[..len];
        let Ok(Packet::Data { connection_id, .. }) = Packet::parse(bytes) else {
            continue;
        };
        let index = connection_id.0 as usize;
        let Some(room) = all.get_mut(index / size) else {
            continue;
        };
        let Some(Some(talker)) = talking.get_mut(index) else {
            if let (SocketAddr::V4(from), Some(place)) =
                (from, room.addresses.get_mut(index % size))
            {
                *place = Some(SockaddrIn::from(SocketAddrV4::new(*from.ip(), from.port())));
            }
            continue;
        };
        let Ok(opened) = talker.open(bytes) else {
            continue;
        };
        let mut frames = Frames::new(opened.plaintext);
        if matches!(frames.next(), Some(Ok(Frame::Media(_)))) {
            forward(&socket, room, opened.plaintext, &mut headers, &mut out)?;
        }
    }
}

fn forward(
    socket: &UdpSocket,
    room: &mut Room,
    frame: &[u8],
    headers: &mut MultiHeaders<SockaddrIn>,
    out: &mut [[u8; MAX_DATAGRAM]],
) -> anyhow::Result<()> {
    let Room {
        listeners,
        addresses,
    } = room;
    for (listeners, addresses) in listeners.chunks_mut(BATCH).zip(addresses.chunks(BATCH)) {
        let mut len = 0;
        for (listener, out) in listeners.iter_mut().zip(out.iter_mut()) {
            out[DATA_HEADER..][..frame.len()].copy_from_slice(frame);
            len = listener.seal(ConnectionId(0), frame.len(), out)?;
        }
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|n| [IoSlice::new(&out[n][..len])]);
        let mut sent = 0;
        while sent < listeners.len() {
            let results = sendmmsg(
                socket.as_raw_fd(),
                headers,
                &slices[sent..listeners.len()],
                &addresses[sent..],
                [],
                MsgFlags::empty(),
            )?;
            sent += results.count().max(1);
        }
    }
    Ok(())
}
