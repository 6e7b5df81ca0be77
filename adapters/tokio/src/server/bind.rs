//! The workers' sockets.

use std::io::{self, ErrorKind};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{BindError, ServerConfig};

/// Bytes that the operating system should hold for a worker in either direction: a burst of all its rooms. It may
/// grant less.
const BUFFER: usize = 4 << 20;
/// The number of free UDP ports tried until one is free for TCP as well.
const TRIES: usize = 16;
/// TCP connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The sockets of one worker.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) address: SocketAddr,
    pub(super) udp: UdpSocket,
    /// Bytes that the operating system holds for it: received ones, and ones to be sent.
    pub(super) buffers: (usize, usize),
    pub(super) tcp: Option<TcpListener>,
}

/// Binds the sockets of all workers.
pub(super) fn bind_all(config: &ServerConfig) -> Result<Vec<Sockets>, BindError> {
    let with_tcp = config.tcp_connections > 0;
    let base = config.address;
    (0..config.workers)
        .map(|worker| {
            if base.port() == 0 {
                return bind_free(base, with_tcp);
            }
            let port = u16::try_from(worker)
                .ok()
                .and_then(|n| base.port().checked_add(n));
            let port = port.ok_or(BindError::Config("the last worker's port is above 65535"))?;
            bind(SocketAddr::new(base.ip(), port), with_tcp)
        })
        .collect()
}

/// Takes any port that is free for both.
fn bind_free(any: SocketAddr, with_tcp: bool) -> Result<Sockets, BindError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match bind(any, with_tcp) {
            Err(BindError::AddressInUse(_)) if tries < TRIES => {}
            bound => return bound,
        }
    }
}

fn bind(address: SocketAddr, with_tcp: bool) -> Result<Sockets, BindError> {
    let (udp, buffers) = bind_udp(address).map_err(|error| explain(address, error))?;
    let address = udp.local_addr().map_err(|error| explain(address, error))?;
    let tcp = with_tcp.then(|| bind_tcp(address)).transpose();
    Ok(Sockets {
        address,
        udp,
        buffers,
        tcp: tcp.map_err(|error| explain(address, error))?,
    })
}

fn explain(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        ErrorKind::AddrInUse => BindError::AddressInUse(address),
        _ => BindError::Address { address, source },
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<(UdpSocket, (usize, usize))> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    prepare(&socket, address)?;
    // Less is no reason not to serve.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    let buffers = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    socket.bind(&address.into())?;
    Ok((socket.into(), buffers))
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    prepare(&socket, address)?;
    // A server that was restarted need not wait for its former connections to be forgotten.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        // `[::]` is for IPv4 as well.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)
}

/// The host in tickets. Participants resolve it, so it need not have an address here; but if its address reaches only
/// this machine, they hardly can.
pub(super) fn advertise(config: &ServerConfig) -> String {
    let Some(host) = &config.host else {
        let ip = match config.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        return ip.to_string();
    };
    match (host.as_str(), 0).to_socket_addrs() {
        Ok(found) => {
            let loopback: Vec<_> = found
                .map(|at| at.ip())
                .filter(IpAddr::is_loopback)
                .collect();
            if !loopback.is_empty() {
                tracing::warn!(
                    %host,
                    ?loopback,
                    "on this machine the host leads to itself (see /etc/hosts); if it does so for participants, too, they cannot join"
                );
            }
        }
        Err(error) => {
            tracing::warn!(%host, %error, "on this machine the host has no address; participants need one to join");
        }
    }
    host.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::ApiKey;

    fn config(address: &str) -> ServerConfig {
        let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
        ServerConfig {
            workers: 2,
            ..ServerConfig::new(address.parse().unwrap(), key)
        }
    }

    #[test]
    fn each_worker_has_one_port_for_udp_and_tcp() {
        let bound = bind_all(&config("127.0.0.1:0")).unwrap();
        assert_eq!(bound.len(), 2);
        assert_ne!(bound[0].address.port(), bound[1].address.port());
        for sockets in &bound {
            let tcp = sockets.tcp.as_ref().unwrap().local_addr().unwrap();
            assert_eq!(tcp, sockets.address);
            assert_eq!(sockets.udp.local_addr().unwrap(), sockets.address);
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = bind_all(&config("127.0.0.1:0")).unwrap();
        let address = taken[0].address;
        let error = bind_all(&config(&address.to_string())).unwrap_err();
        assert!(matches!(error, BindError::AddressInUse(named) if named == address));
        assert!(error.to_string().contains(&address.to_string()));
    }

    #[test]
    fn what_is_no_address_of_this_machine_or_beyond_the_last_port_is_refused() {
        let error = bind_all(&config("192.0.2.1:7900")).unwrap_err();
        assert!(matches!(error, BindError::Address { .. }), "{error}");
        let error = bind_all(&config("127.0.0.1:65535")).unwrap_err();
        // The first worker's port may be in use on this machine.
        assert!(
            matches!(error, BindError::Config(_) | BindError::AddressInUse(_)),
            "{error}"
        );
    }

    #[test]
    fn tickets_name_the_host_even_if_it_has_no_address_here() {
        assert_eq!(advertise(&config("0.0.0.0:7900")), "127.0.0.1");
        assert_eq!(advertise(&config("[::]:7900")), "::1");
        assert_eq!(advertise(&config("192.0.2.1:7900")), "192.0.2.1");
        for host in ["localhost", "no-such-host.invalid"] {
            let named = ServerConfig {
                host: Some(host.to_owned()),
                ..config("0.0.0.0:7900")
            };
            assert_eq!(advertise(&named), host);
        }
    }
}
