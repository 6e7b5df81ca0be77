use std::vec::Vec;

use super::*;
use crate::time::micros;

const A4: &str = "192.0.2.1:7900";
const B4: &str = "192.0.2.2:7900";
const A6: &str = "[2001:db8::1]:7900";
const B6: &str = "[2001:db8::2]:7900";

fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000 + ms * 1_000)
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn route(transports: Transports, texts: &[&str]) -> Route {
    Route::new(transports, &addresses(texts), at(0))
}

/// The actions until then, with their times; the questions to the name service are answered with `names`, if at all.
fn drive(route: &mut Route, from: u64, until: u64, names: Option<&[&str]>) -> Vec<(u64, Action)> {
    let mut done = Vec::new();
    let mut now = from;
    while now <= until {
        let mut actions = 0;
        while let Some(action) = route.poll(at(now)) {
            actions += 1;
            assert!(actions < 10, "without end: {done:?}");
            done.push((now, action));
            if let (Action::Resolve, Some(names)) = (action, names) {
                route.resolved(&addresses(names), at(now));
            }
        }
        let Some(next) = route.poll_timeout() else {
            break;
        };
        let next = micros(next.saturating_duration_since(at(0))) / 1_000;
        assert!(next > now, "not before {next}, and now it is {now}");
        now = next;
    }
    done
}

/// Which targets were opened, and when.
fn opened(done: &[(u64, Action)]) -> Vec<(u64, Transport, SocketAddr)> {
    let open = done.iter().filter_map(|(at, action)| match action {
        Action::Open(target) => Some((*at, target.transport, target.address)),
        _ => None,
    });
    open.collect()
}

fn udp(at: u64, address: &str) -> (u64, Transport, SocketAddr) {
    (at, Transport::Udp, address.parse().unwrap())
}

fn tcp(at: u64, address: &str) -> (u64, Transport, SocketAddr) {
    (at, Transport::Tcp, address.parse().unwrap())
}

#[test]
fn families_take_turns_and_tcp_comes_after_udp() {
    let mut route = route(Transports::UdpOrTcp, &[A6, B6, A4, B4]);
    let done = drive(&mut route, 0, 7_999, None);
    let expected = [
        udp(0, A6),
        udp(1_000, A4),
        udp(2_000, B6),
        udp(3_000, B4),
        tcp(4_000, A6),
        tcp(5_000, A4),
        tcp(6_000, B6),
        tcp(7_000, B4),
    ];
    assert_eq!(opened(&done), expected);
    // Then with more patience, and the name is asked for.
    let done = drive(&mut route, 8_000, 11_000, None);
    assert_eq!(opened(&done), [udp(8_000, A6), udp(10_000, A4)]);
    assert!(done.contains(&(8_000, Action::Resolve)));
}

#[test]
fn what_cannot_be_opened_makes_way_soon_and_the_pauses_grow() {
    let mut route = route(Transports::UdpOrTcp, &[A4]);
    let mut times = Vec::new();
    let mut now = 0;
    while now < 60_000 {
        while let Some(action) = route.poll(at(now)) {
            if matches!(action, Action::Open(_)) {
                times.push(now);
                route.failed(at(now));
            }
        }
        now += 10;
    }
    assert_eq!(times[..4], [0, 250, 500, 1_000]);
    assert!(times.len() < 40, "{times:?}");
}

#[test]
fn one_target_keeps_its_socket() {
    let mut route = route(Transports::Udp, &[A4]);
    let done = drive(&mut route, 0, 60_000, Some(&[A4]));
    assert_eq!(opened(&done), [udp(0, A4)]);
    let asked = done.iter().filter(|(_, action)| *action == Action::Resolve);
    assert!((20..=30).contains(&asked.count()), "{done:?}");
}

#[test]
fn one_target_that_refuses_is_opened_again_until_it_answers() {
    let mut route = route(Transports::Udp, &[A4]);
    drive(&mut route, 0, 10, None);
    route.answered(at(10));
    route.lost(at(20), true);
    let mut times = Vec::new();
    let mut now = 20;
    while now < 30_000 {
        for (_, action) in drive(&mut route, now, now, Some(&[A4])) {
            if matches!(action, Action::Open(_)) {
                times.push(now);
                route.failed(at(now + 1));
            }
        }
        now += 10;
    }
    assert_eq!(times[..2], [20, 270], "{times:?}");
    let longest = times.windows(2).map(|two| two[1] - two[0]).max();
    assert!(longest <= Some(2_010), "{times:?}");
    assert!(*times.last().unwrap() > 28_000, "{times:?}");
    // It is there again.
    let is_there = |route: &mut Route| {
        let done = drive(route, 30_000, 33_000, Some(&[A4]));
        opened(&done).len()
    };
    assert_eq!(is_there(&mut route), 1);
}

#[test]
fn a_lost_connection_is_sought_where_it_was_then_elsewhere_then_by_tcp() {
    let mut route = route(Transports::UdpOrTcp, &[A4, B4]);
    drive(&mut route, 0, 1_500, None);
    route.answered(at(1_500));
    assert_eq!(route.target().unwrap().address, B4.parse().unwrap());
    assert!(route.is_settled());
    assert_eq!(route.poll_timeout(), None);
    route.lost(at(10_000), true);
    let done = drive(&mut route, 10_000, 18_000, Some(&[A4, B4]));
    let expected = [
        udp(10_000, B4),
        udp(10_500, A4),
        udp(11_500, B4),
        udp(13_500, A4),
        // Five seconds are over.
        tcp(15_000, B4),
        tcp(16_000, A4),
        udp(17_000, B4),
    ];
    assert_eq!(opened(&done), expected);
}

#[test]
fn a_name_that_has_moved_is_followed() {
    let mut route = route(Transports::UdpOrTcp, &[A4]);
    drive(&mut route, 0, 0, None);
    route.answered(at(100));
    route.lost(at(10_000), true);
    let done = drive(&mut route, 10_000, 12_000, Some(&[B4]));
    assert_eq!(opened(&done), [udp(10_000, A4), udp(10_500, B4)]);
}

#[test]
fn on_another_network_all_is_tried_at_once() {
    let mut route = route(Transports::UdpOrTcp, &[A4]);
    drive(&mut route, 0, 0, None);
    route.answered(at(100));
    route.network_changed(at(5_000));
    let done = drive(&mut route, 5_000, 6_500, Some(&[A4]));
    assert_eq!(done[0], (5_000, Action::Resolve));
    assert_eq!(opened(&done), [udp(5_000, A4), tcp(6_000, A4)]);
}

#[test]
fn who_is_on_tcp_probes_udp_ever_more_rarely_and_goes_back_to_it() {
    let mut route = route(Transports::UdpOrTcp, &[A4]);
    drive(&mut route, 0, 1_000, None);
    route.answered(at(1_200));
    assert_eq!(route.target().unwrap().transport, Transport::Tcp);
    let done = drive(&mut route, 1_200, 1_000_000, None);
    let probe = Action::Probe(A4.parse().unwrap());
    assert!(done.iter().all(|(_, action)| *action == probe), "{done:?}");
    let times: Vec<_> = done.iter().map(|(at, _)| *at / 1_000).collect();
    assert_eq!(times[..5], [11, 32, 73, 154, 315]);
    assert!(times.len() < 9, "{times:?}");
    assert!(route.poll(at(2_000_000)).is_some() && route.probing());
    route.probe_answered(at(2_000_100));
    assert_eq!(route.target().unwrap().transport, Transport::Udp);
    assert!(!route.probing());
    assert_eq!(route.poll_timeout(), None);
}

#[test]
fn what_the_adapter_opens_itself_has_its_time_and_is_left_for_udp_as_tcp_is() {
    let mut route = route(Transports::UdpOrTcp, &[A4]);
    let target = Target {
        transport: Transport::Tcp,
        address: A4.parse().unwrap(),
    };
    let done = drive(&mut route, 0, 1_400, None);
    assert_eq!(opened(&done), [udp(0, A4), tcp(1_000, A4)]);
    let patience = Duration::from_secs(3);
    route.opened(target, patience, at(1_500));
    assert_eq!(route.target(), Some(target));
    let mut silent = route.clone();
    let done = drive(&mut silent, 1_500, 5_000, Some(&[A4]));
    assert_eq!(opened(&done).first(), Some(&udp(4_500, A4)));
    route.answered(at(2_000));
    assert!(route.is_settled());
    let done = drive(&mut route, 2_000, 13_000, None);
    assert_eq!(done, [(12_000, Action::Probe(A4.parse().unwrap()))]);
    route.probe_answered(at(13_000));
    // What comes too late changes nothing.
    route.opened(target, patience, at(13_000));
    assert_eq!(
        route.target().map(|target| target.transport),
        Some(Transport::Udp)
    );
    // A connection that breaks is sought by the adapter, too, before UDP is.
    route.failed(at(20_000));
    drive(&mut route, 20_000, 24_900, None);
    route.opened(target, patience, at(24_900));
    assert_eq!(opened(&drive(&mut route, 24_900, 27_800, None)), []);
}

#[test]
fn who_may_use_tcp_only_probes_nothing() {
    let mut route = route(Transports::Tcp, &[A4]);
    let done = drive(&mut route, 0, 500, None);
    assert_eq!(opened(&done), [tcp(0, A4)]);
    route.answered(at(600));
    assert_eq!(route.poll_timeout(), None);
}

#[test]
fn a_redirect_to_a_port_keeps_the_address_that_answered() {
    let mut route = route(Transports::UdpOrTcp, &[A4, B4]);
    drive(&mut route, 0, 1_500, None);
    route.redirected(Redirect::Port(7_901), at(1_500));
    let done = drive(&mut route, 1_500, 3_000, None);
    let port = "192.0.2.2:7901";
    assert_eq!(opened(&done), [udp(1_500, port), tcp(2_500, port)]);
    route.redirect_ended(at(4_000));
    let done = drive(&mut route, 4_000, 5_500, None);
    assert_eq!(opened(&done), [udp(4_000, B4), udp(5_000, A4)]);
}

#[test]
fn of_two_families_the_one_that_answered_comes_first() {
    let (v4, v6) = (B4.parse().unwrap(), B6.parse().unwrap());
    for (by, first, second) in [(A4, B4, B6), (A6, B6, B4)] {
        let mut route = route(Transports::Udp, &[by]);
        drive(&mut route, 0, 0, None);
        route.redirected(Redirect::Either(v4, v6), at(100));
        let done = drive(&mut route, 100, 1_500, None);
        assert_eq!(opened(&done), [udp(100, first), udp(1_100, second)]);
    }
}

#[test]
fn a_broken_connection_is_made_anew_at_once() {
    let mut route = route(Transports::Tcp, &[A4]);
    drive(&mut route, 0, 0, None);
    route.answered(at(100));
    route.failed(at(5_000));
    let done = drive(&mut route, 5_000, 5_000, None);
    assert_eq!(opened(&done), [tcp(5_000, A4)]);
    route.answered(at(5_050));
    assert!(route.is_settled());
}

proptest::proptest! {
    /// For any input it does not ask without end, and either says when to come again or is settled.
    #[test]
    fn nothing_stops_it_or_makes_it_spin(
        transports in 0..3u8,
        count in 0..4usize,
        events in proptest::collection::vec((0..9u8, 0..3_000u64), 0..60),
    ) {
        let transports = [Transports::Udp, Transports::Tcp, Transports::UdpOrTcp][usize::from(transports)];
        let names = [A6, B6, A4, B4];
        let mut route = route(transports, &names[..count]);
        let mut now = 0;
        for (event, pause) in events {
            let done = drive(&mut route, now, now + pause, None);
            let opens = opened(&done).len() as u64;
            proptest::prop_assert!(opens <= 3 + pause / 250, "{opens} in {pause} ms");
            now += pause;
            match event {
                0 => route.answered(at(now)),
                1 => route.failed(at(now)),
                2 => route.lost(at(now), true),
                3 => route.lost(at(now), false),
                4 => route.network_changed(at(now)),
                5 => route.redirected(Redirect::Port(9), at(now)),
                6 => route.redirect_ended(at(now)),
                7 => route.resolved(&addresses(&names), at(now)),
                _ => route.probe_answered(at(now)),
            }
        }
        drive(&mut route, now, now, None);
        let stuck = !route.is_settled() && route.poll_timeout().is_none();
        proptest::prop_assert!(!stuck || route.addresses().is_empty());
    }
}
