//! An executor, a wire and a server, all on the mock clock.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::string::String;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::vec;
use std::vec::Vec;

use embassy_futures::select::{Either, select};
use embassy_net::driver::{HardwareAddress, LinkState};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{
    ConfigV4, IpEndpoint, Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4,
};
use embassy_net_driver_channel as channel;
use embassy_time::{Duration, MockDriver};
use parlour_core::client::Event;
use parlour_core::room::{DisplayName, Grants, ParticipantId, RoomId, StreamKey};
use parlour_core::secure::KeyPair;
use parlour_core::server::{Admission, Config as Limits, Event as ServerEvent, Path, Server};
use parlour_core::signal::JoinRefusal;
use parlour_core::ticket::Ticket;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::time::{now, wait_until};
use crate::{Config, Decoding, Device, G711, Resources, Room, SetupError};

const MTU: usize = 1_514;
const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
pub(super) const PORT: u16 = 7_900;

type Wire = channel::Runner<'static, MTU>;
type StackRunner = embassy_net::Runner<'static, channel::Device<'static, MTU>>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task, and how often it was polled.
struct Slot {
    task: Option<Task>,
    woken: Arc<Flag>,
    polls: Rc<Cell<usize>>,
}

pub(super) struct World {
    slots: Vec<Slot>,
    wires: Vec<Wire>,
    /// Of the wires, those that are cut.
    cut: BTreeSet<usize>,
    /// Of the wires, those that lose every n-th frame that is sent, and how many were.
    lossy: BTreeMap<usize, (u32, u32)>,
    pub(super) server: Rc<RefCell<Server>>,
    /// The server's, which has its name server, too.
    servers: Stack<'static>,
    /// Every name leads to the server's machine.
    lying: Rc<Cell<bool>>,
    keys: KeyPair,
    rng: ChaCha12Rng,
    /// The clock is one for the whole process.
    _clock: MutexGuard<'static, ()>,
}

/// Addresses that no server has.
const LIES: [Ipv4Address; 4] = [
    Ipv4Address::UNSPECIFIED,
    Ipv4Address::BROADCAST,
    Ipv4Address::new(224, 0, 0, 1),
    Ipv4Address::LOCALHOST,
];

/// One device.
pub(super) struct Party {
    pub(super) room: Room<'static, Device>,
    stack: Stack<'static>,
    wire: usize,
    runner_polls: Rc<Cell<usize>>,
}

/// The server's wire: the first.
const SERVERS: usize = 0;

fn address(ip: Ipv4Address) -> StaticConfigV4 {
    StaticConfigV4 {
        address: Ipv4Cidr::new(ip, 24),
        gateway: None,
        dns_servers: [SERVER].into_iter().collect(),
    }
}

/// A stack at `address`, its runner and its wire.
fn stack(address: Ipv4Address) -> (Stack<'static>, &'static mut StackRunner, Wire) {
    let [.., last] = address.octets();
    let state = leak(channel::State::<MTU, 16, 16>::new());
    let hardware = HardwareAddress::Ethernet([2, 0, 0, 0, 0, last]);
    let (mut wire, device) = channel::new(state, hardware);
    wire.set_link_state(LinkState::Up);
    let config = embassy_net::Config::ipv4_static(self::address(address));
    let resources = leak(StackResources::<4>::new());
    let (stack, runner) = embassy_net::new(device, config, resources, last.into());
    (stack, leak(runner), wire)
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        static CLOCK: Mutex<()> = Mutex::new(());
        let clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // Everything else follows from this, and from the test's steps.
        let mut rng = ChaCha12Rng::seed_from_u64(7);
        let keys = KeyPair::generate(&mut rng);
        let server = Server::new(limits, keys.clone(), now(), &mut rng);
        let (servers, runner, wire) = stack(SERVER);
        let mut world = Self {
            slots: Vec::new(),
            wires: vec![wire],
            cut: BTreeSet::new(),
            lossy: BTreeMap::new(),
            server: Rc::new(RefCell::new(server)),
            servers,
            lying: Rc::default(),
            keys,
            rng,
            _clock: clock,
        };
        world.spawn(async move { runner.run().await });
        world.spawn(serve(servers, world.server.clone()));
        world.spawn(name(servers, world.lying.clone()));
        world
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + 'static) -> Rc<Cell<usize>> {
        let polls = Rc::new(Cell::new(0));
        self.slots.push(Slot {
            task: Some(Box::pin(task)),
            woken: Arc::new(Flag(AtomicBool::new(true))),
            polls: polls.clone(),
        });
        polls
    }

    /// A device at 10.0.0.`last`, whose token names it `who`.
    pub(super) fn party(&mut self, last: u8, who: &str, config: Config) -> Party {
        self.party_with(last, who, "10.0.0.1", PORT, config)
    }

    pub(super) fn party_with(
        &mut self,
        last: u8,
        who: &str,
        host: &str,
        port: u16,
        config: Config,
    ) -> Party {
        let ticket = self.ticket(host, port, who);
        self.party_decoding::<G711>(last, ticket, config)
    }

    /// A ticket for the server's key, whatever else it says.
    pub(super) fn ticket(&self, host: &str, port: u16, token: &str) -> Ticket<'static> {
        Ticket {
            host: leak(String::from(host)),
            port,
            server_key: *self.keys.public(),
            token: leak(String::from(token)),
        }
    }

    /// Anna and Ben, who have joined.
    pub(super) fn two<D: Decoding + 'static>(&mut self) -> (Party, Party) {
        let parties = [(2, "anna"), (3, "ben")].map(|(last, who)| {
            let ticket = self.ticket("10.0.0.1", PORT, who);
            let party = self.party_decoding::<D>(last, ticket, Config::default());
            party.join(self).unwrap();
            party
        });
        parties.into()
    }

    pub(super) fn party_decoding<D: Decoding + 'static>(
        &mut self,
        last: u8,
        ticket: Ticket<'static>,
        config: Config,
    ) -> Party {
        self.try_party::<D>(last, ticket, config).unwrap()
    }

    pub(super) fn try_party<D: Decoding + 'static>(
        &mut self,
        last: u8,
        ticket: Ticket<'static>,
        config: Config,
    ) -> Result<Party, SetupError> {
        let (stack, runner, wire) = stack(Ipv4Address::new(10, 0, 0, last));
        self.spawn(async move { runner.run().await });
        self.wires.push(wire);
        let wire = self.wires.len() - 1;
        let resources = leak(Resources::<D>::new());
        let (room, runner) = crate::new(stack, ticket, config, resources, &mut self.rng)?;
        let runner = leak(runner);
        let runner_polls = self.spawn(async move { runner.run().await });
        Ok(Party {
            room,
            stack,
            wire,
            runner_polls,
        })
    }

    /// The server is killed, and started again with the same key.
    pub(super) fn restart_server(&mut self) {
        let server = Server::new(Limits::default(), self.keys.clone(), now(), &mut self.rng);
        *self.server.borrow_mut() = server;
    }

    pub(super) fn set_link(&mut self, party: &Party, up: bool) {
        let state = if up {
            self.cut.remove(&party.wire);
            LinkState::Up
        } else {
            self.cut.insert(party.wire);
            LinkState::Down
        };
        self.wires[party.wire].set_link_state(state);
        self.settle();
    }

    /// The party gets another address, as from another access point; its cable is not touched.
    pub(super) fn readdress(&mut self, party: &Party, last: u8) {
        let new = address(Ipv4Address::new(10, 0, 0, last));
        party.stack.set_config_v4(ConfigV4::Static(new));
        self.settle();
    }

    /// The party's address is taken away, as by a DHCP server that gives it no other.
    pub(super) fn take_address(&mut self, party: &Party) {
        party.stack.set_config_v4(ConfigV4::None);
        self.settle();
    }

    /// The server says nothing more, and hears nothing; nobody is told.
    pub(super) fn set_server_reachable(&mut self, reachable: bool) {
        if reachable {
            self.cut.remove(&SERVERS);
        } else {
            self.cut.insert(SERVERS);
        }
    }

    /// The name server gives the server's address for every name.
    #[cfg(feature = "obstacles")]
    pub(super) fn set_lying(&mut self, lying: bool) {
        self.lying.set(lying);
    }

    /// Who asks the server's machine for a page gets `page`.
    #[cfg(feature = "obstacles")]
    pub(super) fn show(&mut self, page: &'static [u8]) {
        self.spawn(show(self.servers, page));
    }

    /// Every `n`-th frame that the party sends is lost from now on.
    pub(super) fn lose_every(&mut self, n: u32, party: &Party) {
        self.lossy.insert(party.wire, (n, 0));
    }

    fn is_lost(&mut self, from: usize) -> bool {
        let Some((every, sent)) = self.lossy.get_mut(&from) else {
            return false;
        };
        *sent += 1;
        sent.is_multiple_of(*every)
    }

    /// Polls what is woken and carries what was sent, until all wait.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "somebody spins");
            let mut moved = false;
            for slot in &mut self.slots {
                let Some(task) = &mut slot.task else {
                    continue;
                };
                if slot.woken.0.swap(false, Ordering::Relaxed) {
                    moved = true;
                    slot.polls.set(slot.polls.get() + 1);
                    let waker = Waker::from(slot.woken.clone());
                    if task
                        .as_mut()
                        .poll(&mut Context::from_waker(&waker))
                        .is_ready()
                    {
                        slot.task = None;
                    }
                }
            }
            if !self.carry() && !moved {
                return;
            }
        }
    }

    /// Every frame reaches every other station that is not cut off.
    fn carry(&mut self) -> bool {
        let mut moved = false;
        for from in 0..self.wires.len() {
            while let Some(frame) = self.wires[from].try_tx_buf().map(|frame| frame.to_vec()) {
                moved = true;
                self.wires[from].tx_done();
                if self.cut.contains(&from) || self.is_lost(from) {
                    continue;
                }
                for (to, wire) in self.wires.iter_mut().enumerate() {
                    if to != from
                        && !self.cut.contains(&to)
                        && let Some(buffer) = wire.try_rx_buf()
                    {
                        buffer[..frame.len()].copy_from_slice(&frame);
                        wire.rx_done(frame.len());
                    }
                }
            }
        }
        moved
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.settle();
        for _ in 0..time.as_millis() {
            MockDriver::get().advance(Duration::from_millis(1));
            self.settle();
        }
    }

    /// Lets time pass at once: what is due meanwhile is late by as much at most.
    pub(super) fn leap(&mut self, time: Duration) {
        MockDriver::get().advance(time);
        self.settle();
    }

    /// Runs `future` to its end, for at most a minute of virtual time.
    pub(super) fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let place = result.clone();
        self.spawn(async move {
            *place.borrow_mut() = Some(future.await);
        });
        for _ in 0..60_000 {
            self.settle();
            if let Some(result) = result.borrow_mut().take() {
                return result;
            }
            MockDriver::get().advance(Duration::from_millis(1));
        }
        panic!("it hangs");
    }
}

impl Party {
    pub(super) fn join(&self, world: &mut World) -> Result<(), crate::JoinError> {
        let room = self.room;
        world.run(async move { room.join().await })
    }

    /// Waits for an event that `wanted` likes.
    pub(super) fn wait(
        &self,
        world: &mut World,
        wanted: impl Fn(&Event) -> bool + 'static,
    ) -> Event {
        let mut events = self.room.events().unwrap();
        world.run(async move {
            loop {
                let event = events.next().await;
                if wanted(&event) {
                    return event;
                }
            }
        })
    }

    /// The next event, if there is one.
    pub(super) fn next_event(&self) -> Option<Event> {
        self.room.events().unwrap().try_next()
    }

    /// How often the runner has been woken.
    pub(super) fn runner_polls(&self) -> usize {
        self.runner_polls.get()
    }
}

pub(super) fn mic() -> StreamKey {
    StreamKey::new("mic").unwrap()
}

/// The server's end: a token is the participant's name, "bad" is refused, and "listener" may not publish.
async fn serve(stack: Stack<'static>, server: Rc<RefCell<Server>>) {
    let meta = || leak([PacketMetadata::EMPTY; 32]);
    let bytes = || leak(vec![0; 32 * MTU]);
    let mut socket = UdpSocket::new(stack, meta(), bytes(), meta(), bytes());
    socket.bind(PORT).unwrap();
    let mut buffer = [0; 1_500];
    loop {
        let deadline = {
            let mut server = server.borrow_mut();
            if server.poll_timeout().is_some_and(|due| due <= now()) {
                server.handle_timeout(now());
            }
            while let Some(event) = server.poll_event() {
                let ServerEvent::JoinRequested { join, token, .. } = event else {
                    continue;
                };
                if *token == "bad" {
                    let _ = server.refuse(now(), join, JoinRefusal::InvalidToken);
                    continue;
                }
                let grants = match &**token {
                    "listener" => Grants::SUBSCRIBE,
                    "doorkeeper" => Grants::PARTICIPANT | Grants::ADMIT,
                    _ => Grants::PARTICIPANT,
                };
                let admission = Admission {
                    lobby: *token == "guest",
                    ..Admission::new(
                        RoomId::new("room").unwrap(),
                        ParticipantId::new(&token).unwrap(),
                        DisplayName::new("").unwrap(),
                        grants,
                    )
                };
                server.admit(now(), join, admission).unwrap();
            }
            server.poll_timeout()
        };
        loop {
            let next = server
                .borrow_mut()
                .poll_transmit(now(), &mut buffer)
                .unwrap();
            let Some(transmit) = next else { break };
            let Path::Udp {
                remote: SocketAddr::V4(to),
                ..
            } = transmit.to
            else {
                unreachable!()
            };
            let to = IpEndpoint::new((*to.ip()).into(), to.port());
            socket.send_to(&buffer[..transmit.len], to).await.unwrap();
        }
        let deadline = deadline
            .filter(|due| *due > now())
            .or(server.borrow().poll_timeout());
        if let Either::First(Ok((len, meta))) =
            select(socket.recv_from(&mut buffer), wait_until(deadline)).await
        {
            let ip: IpAddr = meta.endpoint.addr.into();
            let from = Path::udp((ip, meta.endpoint.port).into());
            let _ = server
                .borrow_mut()
                .handle_datagram(now(), from, &mut buffer[..len]);
        }
    }
}

/// A name server that knows three names: `rooms.test`, which is where it is itself, `two.test`, which is first where nobody
/// is, and `moves.test`, which is there when it is asked for the first time. Of `lies.test` it says what cannot be, and of
/// `garbage.test` half of an answer. While it is `lying`, every name is where it is itself.
async fn name(stack: Stack<'static>, lying: Rc<Cell<bool>>) {
    let meta = || leak([PacketMetadata::EMPTY; 4]);
    let bytes = || leak(vec![0; 4 * MTU]);
    let mut socket = UdpSocket::new(stack, meta(), bytes(), meta(), bytes());
    socket.bind(53).unwrap();
    let nowhere = Ipv4Address::new(10, 0, 0, 99);
    let mut moving = nowhere;
    let mut query = [0; 512];
    loop {
        let (len, from) = socket.recv_from(&mut query).await.unwrap();
        let query = &query[..len];
        let addresses = match &query[12..query.len() - 4] {
            b"\x05rooms\x04test\x00" => vec![SERVER],
            b"\x03two\x04test\x00" => vec![nowhere, SERVER],
            b"\x05moves\x04test\x00" => vec![std::mem::replace(&mut moving, SERVER)],
            b"\x04lies\x04test\x00" => LIES.to_vec(),
            b"\x07garbage\x04test\x00" => vec![SERVER],
            _ if lying.get() => vec![SERVER],
            _ => vec![],
        };
        let is_garbage = query[12..].starts_with(b"\x07garbage");
        let known = !addresses.is_empty();
        // RFC 1035: the question again, and a pointer to its name with each address.
        let mut answer = query.to_vec();
        answer[2..4].copy_from_slice(if known { &[0x81, 0x80] } else { &[0x81, 0x83] });
        answer[7] = addresses.len() as u8;
        for address in addresses {
            answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
        }
        let whole = answer.len();
        answer.truncate(if is_garbage { whole - 7 } else { whole });
        socket.send_to(&answer, from).await.unwrap();
    }
}

/// Answers whatever is asked at port 80, one after the other. An empty page is none: the connection stays, and nothing is
/// said.
#[cfg(feature = "obstacles")]
async fn show(stack: Stack<'static>, page: &'static [u8]) {
    use embassy_net::tcp::TcpSocket;

    let buffer = || leak(vec![0; MTU]);
    let mut socket = TcpSocket::new(stack, buffer(), buffer());
    let mut request = [0; 512];
    loop {
        if socket.accept(80).await.is_ok() {
            let len = socket.read(&mut request).await.unwrap_or(0);
            assert!(request[..len].starts_with(b"GET / HTTP/1.1\r\nHost: "));
            let mut rest = page;
            while let Ok(written @ 1..) = socket.write(rest).await {
                rest = &rest[written..];
            }
            if page.is_empty() {
                core::future::pending::<()>().await;
            }
            socket.close();
            let _ = socket.flush().await;
        }
        socket.abort();
        let _ = socket.flush().await;
    }
}
