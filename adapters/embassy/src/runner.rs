//! The task that owns the socket.

use core::fmt;
use core::future::{Future, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::task::Poll;

use embassy_futures::select::{Either, Either3, Either4, select, select3, select4};
#[cfg(feature = "proto-ipv4")]
use embassy_net::Ipv4Cidr;
#[cfg(feature = "proto-ipv6")]
use embassy_net::Ipv6Cidr;
use embassy_net::udp::UdpSocket;
use embassy_net::{IpAddress, IpEndpoint, Stack};
use heapless::Vec;
use parlour_core::client::{Action, Client, Incoming, MAX_ADDRESSES, Profile, Route, Transports};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Instant, earlier};

use crate::Device;
use crate::fmt::debug;
use crate::resources::SocketMemory;
use crate::shared::{Network, Shared};
use crate::time::{now, wait_until};

/// Carries a room's datagrams. It must run in a task of its own, on the executor of all tasks that use the
/// [`Room`](crate::Room).
///
/// It sleeps until a datagram, a timer or a command wakes it, and for ever while no room is joined.
///
/// The stack must have one socket free for it, two with feature `dns`. When the link or the address goes away and
/// comes back, or the address changes, it binds anew and has the connection restored. embassy-net remembers only one
/// task that waits for that: let no other task *keep* waiting for the stack's link or configuration to change, or the
/// two will wake each other in turn.
pub struct Runner<'d, P: Profile = Device> {
    shared: &'d Shared<'d, P>,
    memory: &'d mut SocketMemory,
}

impl<'d, P: Profile> Runner<'d, P> {
    pub(crate) fn new(shared: &'d Shared<'d, P>, memory: &'d mut SocketMemory) -> Self {
        Self { shared, memory }
    }

    /// Does so for ever.
    pub async fn run(&mut self) -> ! {
        let shared = self.shared;
        let memory = &mut *self.memory;
        let mut socket = UdpSocket::new(
            shared.stack,
            &mut memory.rx_meta,
            &mut memory.rx,
            &mut memory.tx_meta,
            &mut memory.tx,
        );
        let datagram = &mut memory.datagram;
        // The route to the server's addresses, kept while the target stays the same.
        let mut route = None;
        loop {
            if !shared.is_driven() {
                route = None;
                shared.command.wait().await;
                continue;
            }
            if !is_up(&shared.stack) {
                debug!("parlour: waiting for the network");
                shared.network.set(Network::Down);
                meanwhile(shared, datagram, wait_up(&shared.stack)).await;
                continue;
            }
            let route = match &mut route {
                Some(route) => {
                    Route::network_changed(route, now());
                    route
                }
                None => route.insert(new_route(shared)),
            };
            let here = Addresses::of(&shared.stack);
            exchange(shared, &mut socket, datagram, route, here).await;
            socket.close();
        }
    }
}

impl<P: Profile> fmt::Debug for Runner<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// Whether there are both a link and an address; a static one stays without a link.
fn is_up(stack: &Stack<'_>) -> bool {
    stack.is_link_up() && stack.is_config_up()
}

async fn wait_up(stack: &Stack<'_>) {
    while !is_up(stack) {
        stack.wait_link_up().await;
        stack.wait_config_up().await;
    }
}

/// The addresses that datagrams are sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Addresses {
    #[cfg(feature = "proto-ipv4")]
    v4: Option<Ipv4Cidr>,
    #[cfg(feature = "proto-ipv6")]
    v6: Option<Ipv6Cidr>,
}

impl Addresses {
    fn of(stack: &Stack<'_>) -> Self {
        Self {
            #[cfg(feature = "proto-ipv4")]
            v4: stack.config_v4().map(|config| config.address),
            #[cfg(feature = "proto-ipv6")]
            v6: stack.config_v6().map(|config| config.address),
        }
    }
}

/// Waits until the link goes away, or other addresses take the place of `here`.
async fn wait_gone(stack: &Stack<'_>, here: Addresses) {
    // The stack has no future for this, but wakes those next to it whenever its configuration changes.
    let elsewhere = poll_fn(|_| match Addresses::of(stack) == here {
        true => Poll::Pending,
        false => Poll::Ready(()),
    });
    select3(stack.wait_link_down(), stack.wait_config_down(), elsewhere).await;
}

/// Drives the client without a network until `event`; what it wants to send is lost. `None` if it is not
/// to be driven any more.
async fn meanwhile<T>(
    shared: &Shared<'_, impl Profile>,
    datagram: &mut [u8],
    event: impl Future<Output = T>,
) -> Option<T> {
    let mut event = core::pin::pin!(event);
    loop {
        let deadline = drive(shared, datagram, |_| {});
        if !shared.is_driven() {
            return None;
        }
        match select3(event.as_mut(), wait_until(deadline), shared.command.wait()).await {
            Either3::First(happened) => return Some(happened),
            Either3::Second(()) | Either3::Third(()) => {}
        }
    }
}

/// The ways to the ticket's server: its address, or whatever its name will lead to.
fn new_route(shared: &Shared<'_, impl Profile>) -> Route {
    let named = literal(&shared.inner.borrow().ticket);
    let usable = named.filter(|address| endpoint(*address).is_some());
    let network = match named {
        Some(_) if usable.is_none() => Network::Unreachable,
        Some(_) => Network::Up,
        #[cfg(feature = "dns")]
        None => Network::Resolving,
        #[cfg(not(feature = "dns"))]
        None => Network::Unreachable,
    };
    shared.network.set(network);
    Route::new(Transports::Udp, usable.as_slice(), now())
}

/// Exchanges datagrams with the server, wherever it is, until the network goes away or there is nothing more to say.
async fn exchange(
    shared: &Shared<'_, impl Profile>,
    socket: &mut UdpSocket<'_>,
    datagram: &mut [u8],
    route: &mut Route,
    here: Addresses,
) {
    let ticket = shared.inner.borrow().ticket;
    let mut query = core::pin::pin!(None);
    let mut target = None;
    let mut followed = shared.with(|client| client.redirected_to());
    let mut was_live = shared.with(|client| is_live(client));
    loop {
        while let Some(action) = route.poll(now()) {
            match action {
                Action::Open(to) => target = open(shared, socket, route, to.address),
                Action::Resolve => query.set(Some(resolve(&shared.stack, ticket))),
                _ => {}
            }
        }
        let deadline = match target {
            Some(target) => transmit(shared, socket, datagram, target).await,
            None => drive(shared, datagram, |_| {}),
        };
        if !shared.is_driven() {
            return;
        }
        let redirected = shared.with(|client| client.redirected_to());
        if followed != redirected {
            followed = redirected;
            match redirected {
                Some(to) => route.redirected(to, now()),
                None => route.redirect_ended(now()),
            }
            continue;
        }
        let is_live = shared.with(|client| is_live(client));
        if was_live && !is_live {
            was_live = false;
            route.lost(now(), true);
            continue;
        }
        was_live = is_live;
        let found = poll_fn(|cx| match query.as_mut().as_pin_mut() {
            Some(query) => query.poll(cx),
            None => Poll::Pending,
        });
        let event = select4(
            socket.recv_from(datagram),
            select(wait_until(earlier(deadline, route.poll_timeout())), found),
            shared.command.wait(),
            wait_gone(&shared.stack, here),
        );
        match event.await {
            Either4::First(Ok((len, from))) if Some(from.endpoint) == target => {
                receive(shared, datagram.get_mut(..len).unwrap_or_default());
                if !route.is_settled() && shared.with(|client| self::is_live(client)) {
                    route.answered(now());
                }
            }
            Either4::Second(Either::Second(found)) => {
                query.set(None);
                route.resolved(&found, now());
            }
            Either4::First(_) | Either4::Second(Either::First(())) | Either4::Third(()) => {}
            Either4::Fourth(()) => return,
        }
    }
}

/// Whether the server counts this client as present in a session or its lobby.
fn is_live(client: &Client<impl Profile>) -> bool {
    client.is_joined() || client.is_waiting()
}

/// Binds the socket anew, to send there. `None` if this build cannot.
fn open(
    shared: &Shared<'_, impl Profile>,
    socket: &mut UdpSocket<'_>,
    route: &mut Route,
    address: SocketAddr,
) -> Option<IpEndpoint> {
    socket.close();
    let target = endpoint(address);
    // It has just been closed, and any port will do: only the address may be a wrong one.
    if target.is_none() || socket.bind(0).is_err() {
        route.failed(now());
        return None;
    }
    debug!("parlour: bound");
    shared.network.set(Network::Up);
    shared.with(|client| client.network_changed(now()));
    target
}

/// Processes a datagram. Audio goes to the players, lossy messages to the task that asked for them.
fn receive(shared: &Shared<'_, impl Profile>, datagram: &mut [u8]) {
    let now = now();
    let mut take = |incoming: Incoming<'_>| match incoming {
        Incoming::Audio { slot, frame } => {
            shared.playback.borrow_mut().push(now, slot, &frame);
        }
        Incoming::Message(message) => {
            if let Some(handle) = shared.config.on_lossy_message {
                handle(&message);
            }
        }
        Incoming::Media(_) | Incoming::Feedback { .. } => {}
    };
    // The client counts dropped datagrams by reason.
    let _ = shared.with(|client| client.handle_datagram(now, datagram, &mut take));
}

/// Does what is due and sends what there is to send; tells when to come again.
async fn transmit(
    shared: &Shared<'_, impl Profile>,
    socket: &UdpSocket<'_>,
    datagram: &mut [u8],
    target: IpEndpoint,
) -> Option<Instant> {
    // The context is only asked for, and nothing is waited for: what the stack has no room for is
    // lost, as on any congested link.
    poll_fn(|cx| {
        Poll::Ready(drive(shared, datagram, |bytes| {
            if !matches!(socket.poll_send_to(bytes, target, cx), Poll::Ready(Ok(()))) {
                debug!("parlour: the stack did not take a datagram");
            }
        }))
    })
    .await
}

/// Does what is due and hands out what there is to send; tells when to come again.
fn drive(
    shared: &Shared<'_, impl Profile>,
    datagram: &mut [u8],
    mut send: impl FnMut(&[u8]),
) -> Option<Instant> {
    let now = now();
    let (deadline, closed) = shared.with(|client| {
        if client.poll_timeout().is_some_and(|due| due <= now) {
            client.handle_timeout(now);
        }
        while let Ok(Some(len)) = client.poll_transmit(now, datagram) {
            send(datagram.get(..len).unwrap_or_default());
        }
        (client.poll_timeout(), client.closed().is_some())
    });
    if closed && shared.is_driven() {
        debug!("parlour: closed");
        shared.stop();
    }
    shared.progressed();
    deadline
}

/// As the stack has it; `None` if this build has no such addresses.
pub(crate) fn endpoint(address: SocketAddr) -> Option<IpEndpoint> {
    let ip = match address {
        #[cfg(feature = "proto-ipv4")]
        SocketAddr::V4(v4) => IpAddress::Ipv4(*v4.ip()),
        #[cfg(feature = "proto-ipv6")]
        SocketAddr::V6(v6) => IpAddress::Ipv6(*v6.ip()),
        #[cfg(not(all(feature = "proto-ipv4", feature = "proto-ipv6")))]
        _ => return None,
    };
    Some(IpEndpoint::new(ip, address.port()))
}

/// The address in the ticket, if it is one and not a name.
pub(crate) fn literal(ticket: &Ticket<'_>) -> Option<SocketAddr> {
    let ip: IpAddr = ticket.host.parse().ok()?;
    Some(SocketAddr::new(ip, ticket.port))
}

/// The addresses that the ticket's name has now; none if it is not found.
#[cfg(feature = "dns")]
pub(crate) async fn resolve(
    stack: &Stack<'_>,
    ticket: Ticket<'_>,
) -> Vec<SocketAddr, MAX_ADDRESSES> {
    use embassy_net::dns::DnsQueryType;

    let mut all = Vec::new();
    let kinds = [
        #[cfg(feature = "proto-ipv6")]
        stack.config_v6().map(|_| DnsQueryType::Aaaa),
        #[cfg(feature = "proto-ipv4")]
        stack.config_v4().map(|_| DnsQueryType::A),
    ];
    for kind in kinds.into_iter().flatten() {
        let found = stack.dns_query(ticket.host, kind).await;
        for address in found.ok().into_iter().flatten() {
            // Addresses without room are left out.
            let _ = all.push(SocketAddr::new(address.into(), ticket.port));
        }
    }
    if all.is_empty() {
        debug!("parlour: the server's name was not found");
    }
    all
}

/// There is no name server to ask.
#[cfg(not(feature = "dns"))]
async fn resolve(_: &Stack<'_>, _: Ticket<'_>) -> Vec<SocketAddr, MAX_ADDRESSES> {
    core::future::pending().await
}
