use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sender_with(messages: usize) -> Sender<[u8; 256]> {
    let mut sender = Sender::new([0; 256]);
    for message in 0..messages {
        sender.push(&[u8::try_from(message).unwrap()]).unwrap();
    }
    sender
}

/// Sends all that may be sent at `now`; returns the numbers.
fn transmit<S: AsRef<[u8]> + AsMut<[u8]>>(sender: &mut Sender<S>, now: Instant) -> Vec<u16> {
    let mut sequences = Vec::new();
    while let Some((sequence, _)) = sender.peek() {
        sequences.push(sequence);
        sender.sent(now);
    }
    sequences
}

#[test]
fn only_a_window_is_under_way() {
    let mut sender = sender_with(10);
    assert_eq!((sender.free_window(), sender.in_flight()), (0, 0));
    assert_eq!(transmit(&mut sender, at(0)), Vec::from_iter(0..8));
    assert_eq!((sender.free_window(), sender.in_flight()), (0, 8));
    assert_eq!(sender.handle_ack(at(1), 3), Ok(3));
    assert_eq!(transmit(&mut sender, at(1)), [8, 9]);
    assert_eq!((sender.free_window(), sender.in_flight()), (1, 7));
    assert_eq!(sender.handle_ack(at(2), 10), Ok(7));
    assert_eq!((sender.free_window(), sender.in_flight()), (8, 0));
    assert!(sender.is_idle());
    assert_eq!(sender.poll_timeout(), None);
}

#[test]
fn peek_commits_to_nothing() {
    let mut sender = sender_with(1);
    assert_eq!(sender.peek(), Some((0, [0].as_slice())));
    assert_eq!(sender.peek(), Some((0, [0].as_slice())));
    assert_eq!((sender.in_flight(), sender.poll_timeout()), (0, None));
    sender.sent(at(0));
    sender.sent(at(0));
    assert_eq!(sender.in_flight(), 1);
}

#[test]
fn a_full_storage_refuses_and_keeps_what_it_has() {
    let mut sender = Sender::new([0; 8]);
    assert_eq!(sender.push(b"abcd"), Ok(()));
    assert_eq!(sender.push(b"e"), Err(SendError::Full));
    assert_eq!(transmit(&mut sender, at(0)), [0]);
    assert_eq!(sender.push(b"e"), Err(SendError::Full));
    assert_eq!(sender.handle_ack(at(1), 1), Ok(1));
    assert_eq!(sender.push(b"e"), Ok(()));
    assert_eq!(sender.peek(), Some((1, b"e".as_slice())));
}

#[test]
fn acknowledging_what_was_not_sent_changes_nothing() {
    let mut sender = sender_with(4);
    sender.sent(at(0));
    sender.sent(at(0));
    let flight = sender.flight;
    for next in [3, 4, 8, 9, 255, 256, 257, 0x7fff] {
        assert_eq!(sender.handle_ack(at(5), next), Err(AckError::NotSent));
        assert_eq!((sender.flight, sender.queue.len()), (flight, 4));
    }
    assert_eq!(sender.handle_ack(at(5), 2), Ok(2));
    let flight = sender.flight;
    for stale in [0, 1, 2, 0x8003, 0xffff] {
        assert_eq!(sender.handle_ack(at(6), stale), Ok(0));
        assert_eq!((sender.flight, sender.queue.len()), (flight, 2));
    }
}

#[test]
fn a_timeout_goes_back_and_doubles() {
    let mut sender = sender_with(3);
    assert_eq!(transmit(&mut sender, at(0)), [0, 1, 2]);
    let mut now = at(0);
    for wait in [1_000, 2_000, 3_000, 3_000] {
        assert_eq!(sender.poll_timeout(), Some(now + ms(wait)));
        sender.handle_timeout(now + ms(wait - 1));
        assert_eq!(sender.peek(), None);
        now += ms(wait);
        sender.handle_timeout(now);
        // Nothing runs out while nothing is on its way again.
        assert_eq!(sender.poll_timeout(), None);
        assert_eq!(transmit(&mut sender, now), [0, 1, 2]);
    }
    assert_eq!(sender.handle_ack(now, 3), Ok(3));
    assert_eq!(sender.poll_timeout(), None);
}

#[test]
fn an_acknowledgement_that_makes_progress_restarts_the_timer() {
    let mut sender = sender_with(2);
    transmit(&mut sender, at(0));
    assert_eq!(sender.handle_ack(at(100), 1), Ok(1));
    // SRTT 100 ms, RTTVAR 50 ms.
    assert_eq!(sender.poll_timeout(), Some(at(100 + 300)));
    assert_eq!(sender.handle_ack(at(200), 1), Ok(0));
    assert_eq!(sender.poll_timeout(), Some(at(100 + 300)));
}

#[test]
fn a_peer_slow_to_make_room_is_asked_at_a_steady_pace() {
    let mut sender = sender_with(8);
    sender.handle_rtt(ms(20));
    transmit(&mut sender, at(0));
    let mut now = at(0);
    for taken in 1..8 {
        // It takes one message at a time, and all that follows has to be repeated.
        now += ms(20);
        assert_eq!(sender.handle_ack(now, taken), Ok(1));
        let due = sender.poll_timeout().unwrap();
        assert_eq!(due, now + ms(100), "waits longer each time");
        now = due;
        sender.handle_timeout(now);
        assert_eq!(transmit(&mut sender, now), Vec::from_iter(taken..8));
    }
}

#[test]
fn an_acknowledgement_late_after_going_back_spares_the_repetition() {
    let mut sender = sender_with(3);
    transmit(&mut sender, at(0));
    sender.handle_timeout(at(1_000));
    assert_eq!(sender.handle_ack(at(1_001), 2), Ok(2));
    assert_eq!(sender.poll_timeout(), None);
    assert_eq!(transmit(&mut sender, at(1_002)), [2]);
    assert!(sender.poll_timeout().is_some());
}

#[test]
fn only_messages_sent_once_measure_the_round_trip() {
    let mut sender = sender_with(1);
    transmit(&mut sender, at(0));
    sender.handle_timeout(at(1_000));
    transmit(&mut sender, at(1_000));
    assert_eq!(sender.handle_ack(at(1_010), 1), Ok(1));
    // Was that 10 ms or 1,010 ms? Nobody knows, and the longer timeout stays.
    assert_eq!(sender.rtt().smoothed(), None);
    assert_eq!(sender.rtt().timeout(), ms(2_000));

    sender.push(b"fresh").unwrap();
    transmit(&mut sender, at(2_000));
    assert_eq!(sender.handle_ack(at(2_040), 2), Ok(1));
    assert_eq!(sender.rtt().smoothed(), Some(ms(40)));
    assert_eq!(sender.rtt().timeout(), ms(40 + 4 * 20));
}

#[test]
fn only_the_acknowledgement_of_the_timed_message_ends_its_round_trip() {
    let mut sender = sender_with(3);
    sender.sent(at(0));
    sender.sent(at(0));
    assert_eq!(sender.handle_ack(at(40), 1), Ok(1));
    // Message 2 is timed while 1 is still under way.
    sender.sent(at(50));
    assert_eq!(sender.handle_ack(at(60), 2), Ok(1));
    assert_eq!(sender.rtt().smoothed(), Some(ms(40)));
    assert_eq!(sender.handle_ack(at(90), 3), Ok(1));
    assert_eq!(sender.rtt().variation(), Some(ms(15)));
}

#[test]
fn a_ping_measures_the_round_trip_too() {
    let mut sender = sender_with(1);
    sender.handle_rtt(ms(30));
    transmit(&mut sender, at(0));
    assert_eq!(sender.poll_timeout(), Some(at(100)));
}

#[test]
fn a_restart_sends_all_again_under_the_old_numbers() {
    let mut sender = sender_with(4);
    transmit(&mut sender, at(0));
    assert_eq!(sender.handle_ack(at(50), 2), Ok(2));
    sender.restart();
    assert_eq!(sender.poll_timeout(), None);
    assert_eq!(sender.rtt(), &RttEstimator::new());
    assert_eq!(transmit(&mut sender, at(5_000)), [2, 3]);
    // The peer had 2 already, and says so.
    let mut receiver = Receiver {
        next: 3,
        ack_due: false,
    };
    receiver.restart();
    assert_eq!(receiver.handle(2), Arrival::Duplicate);
    assert_eq!(receiver.handle(3), Arrival::Next);
    receiver.accept(3);
    assert_eq!(sender.handle_ack(at(5_050), 4), Ok(2));
    assert!(sender.is_idle());
}

#[test]
fn a_receiver_takes_only_what_comes_next() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.poll_ack(), None);
    assert_eq!(receiver.handle(0), Arrival::Next);
    // Refused for want of room: nothing to tell, and it comes again.
    assert_eq!(receiver.poll_ack(), None);
    assert_eq!(receiver.handle(0), Arrival::Next);
    receiver.accept(0);
    receiver.accept(0);
    assert_eq!((receiver.poll_ack(), receiver.poll_ack()), (Some(1), None));
    assert_eq!(receiver.handle(0), Arrival::Duplicate);
    assert_eq!((receiver.poll_ack(), receiver.poll_ack()), (Some(1), None));
    assert_eq!(receiver.handle(2), Arrival::OutOfOrder);
    receiver.accept(2);
    assert_eq!((receiver.poll_ack(), receiver.poll_ack()), (Some(1), None));
    receiver.restart();
    assert_eq!(receiver.poll_ack(), Some(1));
}

#[test]
fn the_order_wraps_around() {
    assert!(is_before(0xffff, 0));
    assert!(is_before(0xfff0, 0x0010));
    assert!(!is_before(0, 0xffff));
    assert!(!is_before(7, 7));
    assert!(is_before(0, 0x7fff));
    assert!(!is_before(0, 0x8000));
}

/// The network's effect on one datagram.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Late(u64),
    Doubled(u64, u64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Lost),
        4 => (1_u64..400).prop_map(Fate::Late),
        2 => (1_u64..400, 1_u64..4_000).prop_map(|(a, b)| Fate::Doubled(a, b)),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum Frame {
    Signal(u16, Vec<u8>),
    Ack(u16),
}

/// One end of the simulated connection.
struct End {
    sender: Sender<Vec<u8>>,
    receiver: Receiver,
    waiting: VecDeque<Vec<u8>>,
    delivered: Vec<Vec<u8>>,
    /// Numbers sent since the sender last went back or was acknowledged.
    round: Vec<u16>,
}

impl End {
    fn new(storage: usize, sends_from: u16, receives_from: u16, messages: &[Vec<u8>]) -> Self {
        let mut sender = Sender::new(vec![0; storage]);
        sender.flight.first = sends_from;
        Self {
            sender,
            receiver: Receiver {
                next: receives_from,
                ack_due: false,
            },
            waiting: messages.iter().cloned().collect(),
            delivered: Vec::new(),
            round: Vec::new(),
        }
    }

    fn transmit(&mut self, now: Instant) -> Result<Vec<Frame>, TestCaseError> {
        let mut frames = Vec::new();
        while let Some(message) = self.waiting.front() {
            if self.sender.push(message).is_err() {
                break;
            }
            self.waiting.pop_front();
        }
        while let Some((sequence, message)) = self.sender.peek() {
            frames.push(Frame::Signal(sequence, message.to_vec()));
            prop_assert!(!self.round.contains(&sequence), "sent twice in a round");
            self.round.push(sequence);
            self.sender.sent(now);
            prop_assert!(self.sender.in_flight() <= WINDOW);
        }
        frames.extend(self.receiver.poll_ack().map(Frame::Ack));
        let timeout = self.sender.rtt().timeout();
        prop_assert!(timeout >= RttEstimator::MIN_TIMEOUT && timeout <= RttEstimator::MAX_TIMEOUT);
        // Messages under way have a timer, or nothing would ever send them again.
        prop_assert_eq!(
            self.sender.poll_timeout().is_some(),
            self.sender.in_flight() > 0
        );
        Ok(frames)
    }

    fn handle(&mut self, now: Instant, frame: Frame, has_room: bool) -> Result<(), TestCaseError> {
        match frame {
            Frame::Signal(sequence, message) => {
                if self.receiver.handle(sequence) == Arrival::Next && has_room {
                    self.receiver.accept(sequence);
                    self.delivered.push(message);
                }
            }
            Frame::Ack(next) => {
                prop_assert!(self.sender.handle_ack(now, next).is_ok());
                self.round.retain(|sequence| !is_before(*sequence, next));
            }
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.sender.poll_timeout().is_some_and(|timer| timer <= now) {
            self.sender.handle_timeout(now);
            self.round.clear();
        }
    }

    fn restart(&mut self) {
        self.sender.restart();
        self.receiver.restart();
        self.round.clear();
    }
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The network does as it likes to the first datagrams, then heals.
    #[test]
    fn every_message_arrives_once_and_in_order(
        storage in 42_usize..400,
        starts in any::<[u16; 2]>(),
        messages in [messages(), messages()],
        fates in prop::collection::vec(fate(), 0..120),
        has_room in prop::collection::vec(prop::bool::weighted(0.8), 0..60),
        resumes in prop::collection::vec((0_u64..60_000, any::<bool>()), 0..4),
    ) {
        let [a, b] = starts;
        let mut ends = [
            End::new(storage, a, b, &messages[0]),
            End::new(storage, b, a, &messages[1]),
        ];
        let (mut fates, mut has_room) = (fates.into_iter(), has_room.into_iter());
        let mut resumes = BTreeMap::from_iter(resumes);
        let mut network = BTreeMap::new();
        let mut now = at(0);
        let mut serial = 0_u64;
        loop {
            for (index, end) in ends.iter_mut().enumerate() {
                end.handle_timeout(now);
                for frame in end.transmit(now)? {
                    let arrivals = match fates.next().unwrap_or(Fate::Late(20)) {
                        Fate::Lost => vec![],
                        Fate::Late(delay) => vec![delay],
                        Fate::Doubled(first, second) => vec![first, second],
                    };
                    for delay in arrivals {
                        serial += 1;
                        network.insert((now + ms(delay), serial), (1 - index, frame.clone()));
                    }
                }
            }
            let timers = ends.iter().filter_map(|end| end.sender.poll_timeout());
            let arrival = network.keys().map(|(time, _)| *time);
            let resume = resumes.keys().map(|millis| at(*millis));
            let Some(next) = timers.chain(arrival).chain(resume).min() else {
                break;
            };
            now = now.max(next);
            prop_assert!(now < at(600_000), "no end to it");
            while let Some(entry) = network.first_entry()
                && entry.key().0 <= now
            {
                let (to, frame) = entry.remove();
                ends[to].handle(now, frame, has_room.next().unwrap_or(true))?;
            }
            if let Some(entry) = resumes.first_entry()
                && at(*entry.key()) <= now
            {
                // With the old connection's packets still on the way, or all of them gone.
                if entry.remove() {
                    network.clear();
                }
                ends.iter_mut().for_each(End::restart);
            }
        }
        let [left, right] = ends;
        prop_assert!(left.sender.is_idle() && left.waiting.is_empty());
        prop_assert!(right.sender.is_idle() && right.waiting.is_empty());
        prop_assert_eq!(&left.delivered, &messages[1]);
        prop_assert_eq!(&right.delivered, &messages[0]);
    }

    /// A peer, a clock and a caller without any sense can do no harm.
    #[test]
    fn nothing_breaks_the_bounds(
        steps in prop::collection::vec((0_u8..8, any::<u16>(), any::<u64>()), 0..200),
    ) {
        let mut sender = Sender::new([0; 64]);
        let mut receiver = Receiver::new();
        for (step, number, time) in steps {
            let now = Instant::from_micros(time);
            let near = sender.flight.first.wrapping_add(number % 16).wrapping_sub(4);
            match step {
                0 | 1 => drop(sender.push(&number.to_be_bytes())),
                2 => sender.sent(now),
                3 => drop(sender.handle_ack(now, number)),
                4 => drop(sender.handle_ack(now, near)),
                5 => sender.handle_timeout(now),
                6 if number % 16 == 0 => sender.restart(),
                6 => sender.handle_rtt(Duration::from_micros(time)),
                _ => {
                    receiver.handle(number);
                    receiver.accept(near);
                }
            }
            prop_assert!(sender.in_flight() <= WINDOW);
            prop_assert!(usize::from(sender.in_flight()) <= sender.queue.len());
            prop_assert!(sender.flight.next <= sender.in_flight());
            prop_assert!(sender.free_window() <= WINDOW);
            prop_assert!(sender.poll_timeout().is_none() || sender.in_flight() > 0);
            prop_assert_eq!(sender.is_idle(), sender.queue.is_empty());
            let timeout = sender.rtt().timeout();
            prop_assert!(timeout >= RttEstimator::MIN_TIMEOUT);
            prop_assert!(timeout <= RttEstimator::MAX_TIMEOUT);
        }
    }
}

#[test]
fn what_waits_long_is_hurried_once_the_peer_is_there() {
    let mut sender = sender_with(1);
    sender.handle_rtt(ms(100));
    let timeout = sender.rtt().timeout();
    let mut now = at(0);
    for _ in 0..4 {
        assert_eq!(transmit(&mut sender, now), [0]);
        now = sender.poll_timeout().unwrap();
        sender.handle_timeout(now);
    }
    assert_eq!(transmit(&mut sender, now), [0]);
    assert!(sender.poll_timeout().unwrap() >= now + timeout * 2);
    let heard = now + ms(5);
    sender.hurry(heard);
    // Hearing more and more does not put it off.
    sender.hurry(heard + ms(20));
    assert_eq!(sender.poll_timeout(), Some(heard + timeout));
    assert_eq!(sender.peek(), None);
}
