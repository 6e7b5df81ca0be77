//! A network as in hotels and trains: everybody gets an address, and nobody gets out who has not logged in on its page.
//! It is a wire to QEMU, with a host on it that answers for every address.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parlour_core::ticket::Ticket;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, IpAddress, IpCidr, IpEndpoint,
    Ipv4Address,
};

use crate::machine::{Board, Machine};
use crate::{device_ticket, serve};

/// The page's, the name server's and the router's.
const PORTAL: Ipv4Address = Ipv4Address::new(10, 0, 9, 1);
const DEVICE: Ipv4Address = Ipv4Address::new(10, 0, 9, 15);
const MASK: Ipv4Address = Ipv4Address::new(255, 255, 255, 0);
/// Where the server is, for those who have logged in.
const SERVER: Ipv4Address = Ipv4Address::new(192, 0, 2, 7);
const NAME: &[u8] = b"\x05rooms\x07example\x00";
const PAGE: &[u8] =
    b"HTTP/1.1 302 Found\r\nLocation: http://login.cafe.test/?from=there\r\nConnection: close\r\n\r\n";
const FRAME: usize = 1_514;

/// For sockets, which are not dropped before the program.
fn memory<T: Clone>(element: T, len: usize) -> &'static mut [T] {
    Box::leak(vec![element; len].into_boxed_slice())
}

/// The end of the wire, whose other end is QEMU's.
struct Wire {
    socket: UnixDatagram,
    /// QEMU's socket.
    theirs: PathBuf,
    received: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Send<'a>(&'a UnixDatagram, &'a Path);

impl TxToken for Send<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        // An error means that the device has ended.
        let _ = self.0.send_to(&frame, self.1);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Send<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Send<'_>)> {
        let received = self.received.pop_front()?;
        Some((Received(received), Send(&self.socket, &self.theirs)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Send<'_>> {
        Some(Send(&self.socket, &self.theirs))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// The network. Dropping it ends its thread.
struct Portal {
    /// For QEMU.
    options: String,
    logged_in: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Portal {
    /// A network with its wire in `directory`, before a server at `address`.
    fn open(directory: &Path, address: SocketAddr) -> Self {
        let [ours, theirs] = ["portal", "device"].map(|name| directory.join(name));
        let socket = UnixDatagram::bind(&ours).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(2)))
            .unwrap();
        let options = format!(
            "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            theirs.display(),
            ours.display()
        );
        let (logged_in, ended) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let (lets_in, ends) = (logged_in.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            let mut host = Host::new(socket, theirs, address);
            while !ends.load(Ordering::Relaxed) {
                host.step(lets_in.load(Ordering::Relaxed));
            }
        });
        Self {
            options,
            logged_in,
            ended,
            thread: Some(thread),
        }
    }

    /// Somebody has logged in.
    fn log_in(&self) {
        self.logged_in.store(true, Ordering::Relaxed);
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// Whom the device takes for everybody.
struct Host {
    wire: Wire,
    began: tokio::time::Instant,
    interface: Interface,
    sockets: SocketSet<'static>,
    addresses: SocketHandle,
    names: SocketHandle,
    page: SocketHandle,
    rooms: SocketHandle,
    /// To the server.
    outside: UdpSocket,
    /// The device's socket, and the address to which it sends.
    inside: Option<udp::UdpMetadata>,
}

impl Host {
    fn new(socket: UnixDatagram, theirs: PathBuf, server: SocketAddr) -> Self {
        let mut wire = Wire {
            socket,
            theirs,
            received: VecDeque::new(),
        };
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 9, 1]).into());
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(PORTAL.into(), 24)).unwrap());
        interface
            .routes_mut()
            .add_default_ipv4_route(PORTAL)
            .unwrap();
        interface.set_any_ip(true);
        let places = Box::leak(Box::new([SocketStorage::EMPTY; 4]));
        let mut sockets = SocketSet::new(&mut places[..]);
        let mut listen = |port: u16| {
            let buffer = || {
                let places = memory(udp::PacketMetadata::EMPTY, 64);
                udp::PacketBuffer::new(places, memory(0, 64 * FRAME))
            };
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(port).unwrap();
            sockets.add(socket)
        };
        let [addresses, names, rooms] = [67, 53, server.port()].map(&mut listen);
        let buffer = || tcp::SocketBuffer::new(memory(0, FRAME));
        let page = sockets.add(tcp::Socket::new(buffer(), buffer()));
        let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
        outside.connect(server).unwrap();
        outside.set_nonblocking(true).unwrap();
        Self {
            wire,
            began: tokio::time::Instant::now(),
            interface,
            sockets,
            addresses,
            names,
            page,
            rooms,
            outside,
            inside: None,
        }
    }

    /// Waits for the device, for a moment, and answers it.
    fn step(&mut self, logged_in: bool) {
        let mut frame = [0; 2 * FRAME];
        if let Ok(len) = self.wire.socket.recv(&mut frame) {
            self.wire.received.push_back(frame[..len].to_vec());
        }
        self.exchange();
        self.give_addresses();
        self.give_names(logged_in);
        self.show_page(logged_in);
        self.carry(logged_in);
        self.exchange();
    }

    fn exchange(&mut self) {
        let now = Instant::from_millis(self.began.elapsed().as_millis() as i64);
        let Self {
            interface,
            wire,
            sockets,
            ..
        } = self;
        interface.poll(now, wire, sockets);
    }

    fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn give_addresses(&mut self) {
        let socket = self.udp(self.addresses);
        while let Ok((bytes, _)) = socket.recv() {
            let asked = DhcpPacket::new_checked(bytes).unwrap();
            let asked = DhcpRepr::parse(&asked).unwrap();
            let message_type = match asked.message_type {
                DhcpMessageType::Discover => DhcpMessageType::Offer,
                DhcpMessageType::Request => DhcpMessageType::Ack,
                _ => continue,
            };
            let answer = DhcpRepr {
                message_type,
                transaction_id: asked.transaction_id,
                client_hardware_address: asked.client_hardware_address,
                secs: 0,
                client_ip: Ipv4Address::UNSPECIFIED,
                your_ip: DEVICE,
                server_ip: PORTAL,
                router: Some(PORTAL),
                subnet_mask: Some(MASK),
                relay_agent_ip: Ipv4Address::UNSPECIFIED,
                broadcast: true,
                requested_ip: None,
                client_identifier: None,
                server_identifier: Some(PORTAL),
                parameter_request_list: None,
                dns_servers: Some([PORTAL].into_iter().collect()),
                max_size: None,
                lease_duration: Some(3_600),
                renew_duration: None,
                rebind_duration: None,
                additional_options: &[],
            };
            let mut bytes = vec![0; answer.buffer_len()];
            answer
                .emit(&mut DhcpPacket::new_unchecked(&mut bytes))
                .unwrap();
            let to = udp::UdpMetadata {
                endpoint: IpEndpoint::new(Ipv4Address::BROADCAST.into(), 68),
                local_address: Some(PORTAL.into()),
                meta: Default::default(),
            };
            // Nothing that a device would read, and then the answer.
            socket.send_slice(&[0xff; 300], to).unwrap();
            socket.send_slice(&bytes, to).unwrap();
        }
    }

    fn give_names(&mut self, logged_in: bool) {
        let socket = self.udp(self.names);
        while let Ok((query, from)) = socket.recv() {
            let address = match (logged_in, query[12..].starts_with(NAME)) {
                (false, _) => Some(PORTAL),
                (true, true) => Some(SERVER),
                (true, false) => None,
            };
            // RFC 1035: the question again, and a pointer to its name with the address.
            let mut answer = query.to_vec();
            let code = if address.is_some() { 0x80 } else { 0x83 };
            answer[2..4].copy_from_slice(&[0x81, code]);
            answer[7] = address.iter().count() as u8;
            if let Some(address) = address {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(address.octets());
            }
            socket.send_slice(&answer, as_asked(from)).unwrap();
        }
    }

    fn show_page(&mut self, logged_in: bool) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.page);
        if !socket.is_open() && !logged_in {
            socket.listen(80).unwrap();
        }
        if socket.can_recv() {
            let asked = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap();
            assert!(asked.starts_with(b"GET / HTTP/1.1\r\n"));
            socket.send_slice(PAGE).unwrap();
            socket.close();
        }
    }

    /// To the server and back, for those who have logged in. The others get rubbish.
    fn carry(&mut self, logged_in: bool) {
        let outside = self.outside.try_clone().unwrap();
        let socket = self.udp(self.rooms);
        let mut inside = None;
        while let Ok((bytes, from)) = socket.recv() {
            let (bytes, to) = (bytes.to_vec(), as_asked(from));
            inside = Some(to);
            if logged_in {
                // The server's buffer may be full, as anywhere.
                let _ = outside.send(&bytes);
            } else {
                let rubbish: Vec<u8> = bytes.iter().rev().copied().collect();
                socket.send_slice(&rubbish, to).unwrap();
            }
        }
        self.inside = inside.or(self.inside);
        let Some(to) = self.inside else { return };
        let socket = self.udp(self.rooms);
        let mut bytes = [0; FRAME];
        while let Ok(len) = outside.recv(&mut bytes) {
            // What there is no room for is lost, as anywhere.
            let _ = socket.send_slice(&bytes[..len], to);
        }
    }
}

/// An answer has the address that was asked as its sender, whose ever that is.
fn as_asked(from: udp::UdpMetadata) -> udp::UdpMetadata {
    let asked = from.local_address.filter(IpAddress::is_unicast);
    udp::UdpMetadata {
        local_address: asked.or(Some(PORTAL.into())),
        ..from
    }
}

pub(crate) async fn a_log_in_page_is_named_and_after_the_log_in_the_room_is_joined(
    board: &'static Board,
) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let address = server.addresses()[0];
    let portal = Portal::open(directory.path(), address);
    let by_address = device_ticket(&server, address);
    let ticket = Ticket {
        host: "rooms.example",
        ..Ticket::parse(&by_address).unwrap()
    };

    let arguments = [format!("ticket={ticket}")];
    let mut device = Machine::power_on_in(&portal.options, board, &arguments);
    for _ in 0..2 {
        device.tell("join");
        let why = device.expect("not joined:");
        assert!(why.starts_with("the server does not answer"), "{why}");
        let obstacle = device.expect("obstacle:");
        let expected = "the network shows a log-in page at login.cafe.test: log in there";
        assert!(obstacle.starts_with(expected), "{obstacle}");
    }
    portal.log_in();
    device.tell("join");
    device.expect("joined");
    // It has not started again.
    assert_eq!(device.times_said("ready"), 1);
    device.exit(0);
}
