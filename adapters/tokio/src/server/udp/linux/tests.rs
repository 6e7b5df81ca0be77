//! Threads that send, and drops that are counted, with real sockets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::batch::Batch;
use super::outbound::FEW;
use super::sending::{BATCHES, SendingThread};
use super::*;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A way out with one thread, which sends a batch for each `()` that it gets, and all when nobody can give it any more.
fn gated() -> (Outbound, mpsc::Sender<()>) {
    let (open, gate) = mpsc::channel();
    let socket = Arc::new(socket());
    let of_thread = Arc::clone(&socket);
    let thread = SendingThread::start("gated", move || {
        let mut send = batch::send_whole(of_thread);
        move |batch: &mut Batch, is_wanted: &dyn Fn() -> bool| {
            let _ = gate.recv();
            send(batch, is_wanted);
        }
    });
    (Outbound::new(socket, vec![thread.unwrap()]), open)
}

/// Queues datagrams with these numbers.
fn queue(udp: &mut Outbound, to: SocketAddr, numbers: impl Iterator<Item = usize>) {
    for n in numbers {
        let bytes = n.to_be_bytes();
        udp.place()[..bytes.len()].copy_from_slice(&bytes);
        udp.queue(to, None, bytes.len());
    }
}

fn received(peer: &UdpSocket) -> Option<usize> {
    let mut bytes = [0; 8];
    let len = peer.recv_from(&mut bytes).ok()?.0;
    assert_eq!(len, bytes.len());
    Some(usize::from_be_bytes(bytes))
}

/// Fails the test rather than to wait forever.
async fn within<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(30);
    let waited = tokio::time::timeout(limit, future).await;
    waited.expect("it takes far too long")
}

async fn flush(udp: &mut Outbound) {
    while !udp.flush() {
        within(udp.writable()).await;
    }
}

/// Waits until all is sent.
async fn drain(udp: &mut Outbound) {
    within(async {
        flush(udp).await;
        while !udp.is_empty() {
            udp.writable().await;
            flush(udp).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_receiver_gets_all_of_its_datagrams_in_order() {
    let bound = Bound::new(socket(), "test", 2, Arc::default()).unwrap();
    let (_, mut udp) = bound.split();
    let peers: Vec<_> = (0..16).map(|_| socket()).collect();
    // Flushes of all sizes: some the worker sends itself, some are handed over, some do not fit into a batch.
    let mut next = 0;
    for size in 0..40 {
        for _ in 0..size {
            let peer = &peers[next % peers.len()];
            if udp.is_full() {
                flush(&mut udp).await;
            }
            queue(&mut udp, peer.local_addr().unwrap(), next..=next);
            next += 1;
        }
        flush(&mut udp).await;
    }
    drain(&mut udp).await;
    for (n, peer) in peers.iter().enumerate() {
        let heard: Vec<_> = std::iter::from_fn(|| received(peer)).collect();
        assert_eq!(heard, (n..next).step_by(16).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn few_go_at_once_but_overtake_nothing() {
    let (mut udp, open) = gated();
    let peer = socket();
    let to = peer.local_addr().unwrap();
    queue(&mut udp, to, 0..FEW);
    flush(&mut udp).await;
    assert!(udp.is_empty(), "the worker has sent them itself");
    queue(&mut udp, to, FEW..FEW * 2 + 1);
    assert!(udp.flush() && !udp.is_empty(), "handed over");
    queue(&mut udp, to, FEW * 2 + 1..FEW * 2 + 2);
    assert!(udp.flush());
    for n in 0..FEW {
        assert_eq!(received(&peer), Some(n));
    }
    assert_eq!(received(&peer), None);
    drop(open);
    drain(&mut udp).await;
    for n in FEW..FEW * 2 + 2 {
        assert_eq!(received(&peer), Some(n));
    }
}

#[tokio::test]
async fn a_thread_that_does_not_keep_up_holds_the_worker_back_until_it_has() {
    let (mut udp, open) = gated();
    let peer = socket();
    let to = peer.local_addr().unwrap();
    for _ in 0..BATCHES {
        queue(&mut udp, to, 0..BATCH);
        assert!(udp.is_full() && udp.flush() && !udp.is_full());
    }
    queue(&mut udp, to, 0..1);
    assert!(!udp.flush());
    tokio::select! {
        biased;
        () = udp.writable() => panic!("nothing was sent"),
        () = std::future::ready(()) => {}
    }
    open.send(()).unwrap();
    within(udp.writable()).await;
    assert!(udp.flush() && !udp.is_empty());
    drop(open);
    drain(&mut udp).await;
}

#[tokio::test]
async fn what_was_handed_over_is_sent_when_the_worker_ends() {
    let (mut udp, open) = gated();
    let peer = socket();
    queue(&mut udp, peer.local_addr().unwrap(), 0..BATCH);
    assert!(udp.flush() && !udp.is_empty());
    drop(open);
    drop(udp);
    for n in 0..BATCH {
        assert_eq!(received(&peer), Some(n));
    }
}

#[tokio::test]
async fn when_a_thread_dies_the_worker_sends_itself() {
    let thread = SendingThread::start("dies", || {
        |_: &mut Batch, _: &dyn Fn() -> bool| panic!("a thread that dies, as this test wants")
    });
    let mut udp = Outbound::new(Arc::new(socket()), vec![thread.unwrap()]);
    let peer = socket();
    let to = peer.local_addr().unwrap();
    queue(&mut udp, to, 0..BATCH);
    assert!(udp.flush(), "nothing tells yet");
    drain(&mut udp).await;
    queue(&mut udp, to, 0..BATCH);
    drain(&mut udp).await;
    for n in 0..BATCH {
        assert_eq!(received(&peer), Some(n));
    }
}

#[test]
fn handing_over_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let bound = Bound::new(socket(), "test", 2, Arc::default()).unwrap();
    let (_, mut udp) = bound.split();
    let peers: Vec<_> = (0..100).map(|_| socket()).collect();
    let peers: Vec<_> = peers
        .iter()
        .map(|peer| peer.local_addr().unwrap())
        .collect();
    let mut send = |rounds: usize| {
        for &peer in peers.iter().cycle().take(rounds * 100) {
            queue(&mut udp, peer, 0..1);
            while udp.is_full() && !udp.flush() {
                std::thread::yield_now();
            }
        }
        while !udp.flush() {
            std::thread::yield_now();
        }
    };
    send(10);
    let allocated = allocation_counter::measure(|| send(100));
    assert_eq!(allocated.count_total, 0);
}

#[tokio::test]
async fn what_the_kernel_had_no_room_for_is_counted() {
    const SENT: u64 = 300;
    let (here, peer) = (socket(), socket());
    let to = here.local_addr().unwrap();
    socket2::SockRef::from(&here)
        .set_recv_buffer_size(4_096)
        .unwrap();
    let drops = Arc::new(AtomicU64::new(0));
    let bound = Bound::new(here, "test", 0, Arc::clone(&drops)).unwrap();
    let (mut inbound, _) = bound.split();
    for _ in 0..SENT {
        peer.send_to(&[7; 100], to).unwrap();
    }
    let mut received = 0;
    let mut take = async |inbound: &mut Inbound| {
        inbound.readable().await;
        inbound.receive(|_, _, datagram| {
            assert_eq!(datagram, [7; 100]);
            received += 1;
        });
        received
    };
    take(&mut inbound).await;
    // The first datagram read after the loss reports it.
    let mut sent = SENT;
    while drops.load(Ordering::Relaxed) == 0 {
        assert!(sent < SENT + 200, "never told");
        peer.send_to(&[7; 100], to).unwrap();
        sent += 1;
        take(&mut inbound).await;
    }
    peer.send_to(&[7; 100], to).unwrap();
    let received = take(&mut inbound).await;
    assert_eq!(received + drops.load(Ordering::Relaxed), sent + 1);
}

/// Asks at each of `asked` and sends every answer from where it was asked; with threads that send, if there are any.
async fn answers_come_from_where_was_asked(bind: &str, asked: &[&str], senders: usize) {
    const EACH: usize = 20;
    let here = UdpSocket::bind(bind).unwrap();
    here.set_nonblocking(true).unwrap();
    let port = here.local_addr().unwrap().port();
    let bound = Bound::new(here, "test", senders, Arc::default()).unwrap();
    let (mut inbound, mut udp) = bound.split();
    // A connected socket hears only from the address that it asked.
    let peers: Vec<_> = asked
        .iter()
        .map(|asked| {
            let any = if asked.contains(':') {
                "[::]:0"
            } else {
                "0.0.0.0:0"
            };
            let peer = UdpSocket::bind(any).unwrap();
            peer.connect(SocketAddr::new(asked.parse().unwrap(), port))
                .unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            peer
        })
        .collect();
    let mut waiting = Vec::new();
    for n in 0..EACH {
        for peer in &peers {
            peer.send(&n.to_be_bytes()).unwrap();
        }
    }
    while waiting.len() < EACH * peers.len() {
        within(inbound.readable()).await;
        inbound.receive(|from, local, datagram| {
            waiting.push((
                from,
                local,
                usize::from_be_bytes(datagram.try_into().unwrap()),
            ));
        });
    }
    // In turn, so that each batch has all of them.
    waiting.sort_by_key(|(.., n)| *n);
    for (to, from, n) in waiting {
        if udp.is_full() {
            flush(&mut udp).await;
        }
        let bytes = n.to_be_bytes();
        udp.place()[..bytes.len()].copy_from_slice(&bytes);
        udp.queue(to, from, bytes.len());
    }
    drain(&mut udp).await;
    for (peer, asked) in peers.iter().zip(asked) {
        for n in 0..EACH {
            let mut bytes = [0; 8];
            let heard = peer.recv(&mut bytes);
            heard.unwrap_or_else(|error| panic!("{bind} asked at {asked}, answer {n}: {error}"));
            assert_eq!(usize::from_be_bytes(bytes), n, "{asked}");
        }
    }
}

#[tokio::test]
async fn each_address_of_the_machine_answers_for_itself() {
    let v4 = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    for senders in [0, 2] {
        answers_come_from_where_was_asked("0.0.0.0:0", &v4, senders).await;
        if UdpSocket::bind("[::1]:0").is_ok() {
            let both = ["127.0.0.1", "::1", "127.0.0.2"];
            answers_come_from_where_was_asked("[::]:0", &both, senders).await;
        }
    }
}

#[tokio::test]
async fn losses_are_counted_beside_the_address_that_was_asked() {
    let here = UdpSocket::bind("0.0.0.0:0").unwrap();
    here.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&here)
        .set_recv_buffer_size(4_096)
        .unwrap();
    let to = SocketAddr::from(([127, 0, 0, 2], here.local_addr().unwrap().port()));
    let drops = Arc::new(AtomicU64::new(0));
    let bound = Bound::new(here, "test", 0, Arc::clone(&drops)).unwrap();
    let (mut inbound, _) = bound.split();
    let peer = socket();
    let (mut sent, mut received) = (0, 0);
    for burst in [300, 1, 1, 300, 1, 1] {
        for _ in 0..burst {
            peer.send_to(&[7; 100], to).unwrap();
        }
        sent += burst;
        within(inbound.readable()).await;
        for _ in 0..4 {
            inbound.receive(|_, local, _| {
                assert_eq!(local, Some(to.ip()));
                received += 1;
            });
        }
    }
    assert!(drops.load(Ordering::Relaxed) > 300, "{drops:?}");
    assert_eq!(received + drops.load(Ordering::Relaxed), sent);
    assert!(received > 4);
}
