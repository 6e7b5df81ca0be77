//! A worker's UDP socket, many datagrams per system call where the system can do that.
//!
//! ```text
//!   readable ─► Inbound::receive(each): up to BATCH datagrams, in buffers that are reused
//!   Outbound::place() ◄─ poll_transmit; queue(to, from, len) … until full or done ─► flush
//!     without senders:  flush ─► sendmmsg                              by the worker
//!     with senders:     flush ─► the receiver's lane ─► ring ─► thread: sendmmsg
//!                                      ▲──────── empty batches ◄───────┘
//! ```

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub(super) use linux::{Bound, Inbound, Outbound};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{Bound, Inbound, Outbound};

/// Datagrams that are taken in before anything is sent, so that frames for the same receiver share datagrams; and
/// that are sent with one system call.
const BATCH: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket as Std};

    use super::*;

    fn udp() -> (Inbound, Outbound, SocketAddr) {
        let socket = Std::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let bound = Bound::new(socket, "test", 0, Default::default()).unwrap();
        let (inbound, outbound) = bound.split();
        (inbound, outbound, address)
    }

    /// The runtime has to see first that the socket takes something.
    async fn flush(udp: &mut Outbound) {
        while !udp.flush() {
            udp.writable().await;
        }
    }

    #[tokio::test]
    async fn what_is_queued_arrives_whole_and_in_order_and_comes_back() {
        let (mut inbound, mut udp, address) = udp();
        let peers = [(); 2].map(|()| Std::bind("127.0.0.1:0").unwrap());
        // More than one batch, each datagram of another length, to two receivers in turn.
        for n in 0..BATCH + 3 {
            if cfg!(target_os = "linux") {
                assert_eq!(udp.is_full(), n > 0 && n % BATCH == 0);
            }
            if udp.is_full() {
                flush(&mut udp).await;
            }
            udp.place()[..=n].fill(n as u8);
            udp.queue(peers[n % 2].local_addr().unwrap(), None, n + 1);
        }
        flush(&mut udp).await;
        assert!(udp.flush(), "nothing is left, and that is fine");
        let mut buffer = [0; 1500];
        for n in 0..BATCH + 3 {
            let (len, from) = peers[n % 2].recv_from(&mut buffer).unwrap();
            assert_eq!((len, from), (n + 1, address));
            assert_eq!(buffer[..len], vec![n as u8; n + 1]);
            peers[n % 2].send_to(&buffer[..len], address).unwrap();
        }

        let mut lens = Vec::new();
        while lens.len() < BATCH + 3 {
            inbound.readable().await;
            inbound.receive(|from, _, datagram| {
                let n = datagram.len() - 1;
                assert_eq!(from, peers[n % 2].local_addr().unwrap());
                assert_eq!(datagram, vec![n as u8; n + 1]);
                lens.push(n);
            });
        }
        assert_eq!(lens, (0..BATCH + 3).collect::<Vec<_>>());
        inbound.receive(|_, _, _| panic!("nothing is left"));
    }

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_holds_up_no_other() {
        let (_, mut udp, _) = udp();
        let peer = Std::bind("127.0.0.1:0").unwrap();
        // An IPv4 socket reaches no IPv6 address.
        for to in ["[::1]:9".parse().unwrap(), peer.local_addr().unwrap()] {
            udp.place()[0] = 7;
            udp.queue(to, None, 1);
        }
        flush(&mut udp).await;
        assert_eq!(peer.recv_from(&mut [0; 9]).unwrap().0, 1);
    }
}
