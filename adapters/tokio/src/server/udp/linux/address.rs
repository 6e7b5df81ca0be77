//! The address of this machine that a datagram was sent to, and that its answer has to come from: a client takes answers
//! only from where it asked, and a socket that is bound to all addresses would send from whichever the kernel prefers.
//!
//! The kernel tells it beside a datagram (`IP_PKTINFO`, `IPV6_PKTINFO`), and is told it the same way. On an IPv6 socket both
//! are in the IPv6 form, for IPv4 as a mapped address, like the other end's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    setsockopt, sockopt,
};

use super::BATCH;

/// The memory of a system call for many datagrams; it stays on the thread that made it.
pub(super) type Headers = MultiHeaders<SockaddrStorage>;

/// Has the kernel tell where datagrams were sent to, if the socket has several addresses.
pub(super) fn ask(socket: &UdpSocket) -> io::Result<()> {
    match socket.local_addr()?.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        _ => {}
    }
    Ok(())
}

/// Headers for receiving, with room for the kernel's control data of each datagram. A call leaves only the used part
/// of that room: renew these when a message was cut.
pub(super) fn receiving() -> Headers {
    MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(u32, in6_pktinfo)))
}

/// Whether the kernel had more control data than there was room for.
pub(super) fn is_cut(message: &RecvMsg<'_, '_, SockaddrStorage>) -> bool {
    message.flags.contains(MsgFlags::MSG_CTRUNC)
}

/// The kernel's control data of a datagram.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Its destination address.
    pub(super) local: Option<IpAddr>,
    /// The number of datagrams dropped for lack of room since the socket was made, modulo 2^32.
    pub(super) drops: Option<u32>,
}

impl Told {
    pub(super) fn of(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Self {
        let mut told = Self::default();
        for beside in message.cmsgs().into_iter().flatten() {
            match beside {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    told.local = Some(Ipv4Addr::from_bits(info.ipi_spec_dst.s_addr.to_be()).into());
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    told.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                ControlMessageOwned::RxqOvfl(drops) => told.drops = Some(drops),
                _ => {}
            }
        }
        told
    }
}

/// To send, one for each kind of address to send from: what the kernel is told has to fill its room.
pub(super) struct Sending {
    from_any: Headers,
    from_v4: Headers,
    from_v6: Headers,
}

impl Sending {
    pub(super) fn new() -> Self {
        Self {
            from_any: MultiHeaders::preallocate(BATCH, None),
            from_v4: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(in_pktinfo))),
            from_v6: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(in6_pktinfo))),
        }
    }

    /// Has `send` send from that address of this machine, or from any.
    pub(super) fn from<T>(
        &mut self,
        local: Option<IpAddr>,
        send: impl FnOnce(&mut Headers, &[ControlMessage<'_>]) -> T,
    ) -> T {
        match local {
            None => send(&mut self.from_any, &[]),
            Some(IpAddr::V4(v4)) => {
                let info = in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: in_addr {
                        s_addr: v4.to_bits().to_be(),
                    },
                    ipi_addr: in_addr { s_addr: 0 },
                };
                send(&mut self.from_v4, &[ControlMessage::Ipv4PacketInfo(&info)])
            }
            Some(IpAddr::V6(v6)) => {
                let info = in6_pktinfo {
                    ipi6_addr: in6_addr {
                        s6_addr: v6.octets(),
                    },
                    ipi6_ifindex: 0,
                };
                send(&mut self.from_v6, &[ControlMessage::Ipv6PacketInfo(&info)])
            }
        }
    }
}
