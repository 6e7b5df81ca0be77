//! Packets in the order in which they were sent.

use std::collections::VecDeque;
use std::time::Duration;

use parlour_tokio::core::rtp::{AudioLevel, sequence_difference};

use super::RecordedPacket;

/// How long a packet waits for those before it.
const PATIENCE: Duration = Duration::from_millis(200);
/// Bytes that wait, with what is kept of each packet: beyond that, the first does not wait any longer.
const MOST_BYTES: usize = 3_072;
/// A number that is farther away than this, and 100 for each second since the packet before, is that of a publisher that has
/// begun anew.
const FAR: u128 = 3_000;
/// So many late packets in a row are not late: their publisher has begun anew, close to where it was.
const LATE: u8 = 25;

/// A packet in its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ordered {
    /// When it came.
    pub(super) at: Duration,
    pub(super) timestamp: u32,
    pub(super) level: Option<AudioLevel>,
    pub(super) payload: Box<[u8]>,
    sequence: u16,
    /// How many before it did not come.
    pub(super) missing: u16,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Taken,
    /// It came before, or those after it are gone already.
    Late,
    /// Not taken, for its publisher has begun anew: take out all, [begin anew](Order::restart), and push it again.
    Anew,
}

/// The packets that wait for others.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The number whose turn it is, once there was a packet.
    next: Option<u16>,
    /// At or after `next`, sorted, each once.
    waiting: VecDeque<Ordered>,
    bytes: usize,
    /// When the last packet came that was not late.
    heard: Duration,
    /// How many were late since then.
    late: u8,
}

impl Order {
    /// Takes in a packet that came `at`. [`pop`](Self::pop) gives it in its turn.
    pub(super) fn push(&mut self, at: Duration, packet: &RecordedPacket<'_>) -> Pushed {
        let next = *self.next.get_or_insert(packet.sequence);
        let ahead = sequence_difference(packet.sequence, next);
        let passed = at.saturating_sub(self.heard);
        if u128::from(ahead.unsigned_abs()) >= FAR + passed.as_millis() / 10 {
            return Pushed::Anew;
        }
        if ahead < 0 {
            self.late += 1;
            return if self.late < LATE {
                Pushed::Late
            } else {
                Pushed::Anew
            };
        }
        let before = |waits: &Ordered| sequence_difference(waits.sequence, next) < ahead;
        let place = self.waiting.partition_point(before);
        if (self.waiting.get(place)).is_some_and(|waits| waits.sequence == packet.sequence) {
            return Pushed::Late;
        }
        (self.heard, self.late) = (at, 0);
        let ordered = Ordered {
            at,
            timestamp: packet.timestamp,
            level: packet.level,
            payload: packet.payload.into(),
            sequence: packet.sequence,
            missing: 0,
        };
        self.bytes += ordered.size();
        self.waiting.insert(place, ordered);
        Pushed::Taken
    }

    /// The packet whose turn it is `now`: it follows the one before, or has waited long enough.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Ordered> {
        let (first, next) = (self.waiting.front()?, self.next?);
        let is_due = first.sequence == next
            || now.saturating_sub(first.at) >= PATIENCE
            || self.bytes > MOST_BYTES;
        let mut first = self.waiting.pop_front_if(|_| is_due)?;
        self.bytes -= first.size();
        first.missing = first.sequence.wrapping_sub(next);
        self.next = Some(first.sequence.wrapping_add(1));
        Some(first)
    }

    /// Forgets the numbers. Nothing may wait.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let payloads = self.waiting.iter().map(|waits| waits.payload.len());
        self.waiting.capacity() * size_of::<Ordered>() + payloads.sum::<usize>()
    }
}

impl Ordered {
    fn size(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(order: &mut Order, at: u64, sequence: u16) -> Pushed {
        let packet = RecordedPacket {
            sequence,
            timestamp: 0,
            level: None,
            payload: &[1],
        };
        order.push(Duration::from_millis(at), &packet)
    }

    /// The numbers that are due, and how many are missing before each.
    fn due(order: &mut Order, now: u64) -> Vec<(u16, u16)> {
        let now = Duration::from_millis(now);
        let due = std::iter::from_fn(|| order.pop(now));
        due.map(|one| (one.sequence, one.missing)).collect()
    }

    #[test]
    fn packets_wait_for_those_before_them_for_200_ms() {
        let mut order = Order::default();
        for (at, sequence) in [(0, 65_534), (20, 1), (30, 0), (30, 3), (40, 1)] {
            push(&mut order, at, sequence);
        }
        assert_eq!(due(&mut order, 219), [(65_534, 0)]);
        assert_eq!(due(&mut order, 220), [], "0 came at 30");
        assert_eq!(due(&mut order, 230), [(0, 1), (1, 0), (3, 1)]);
        assert_eq!(push(&mut order, 231, 2), Pushed::Late);
        assert_eq!(push(&mut order, 231, 4), Pushed::Taken);
        assert_eq!(push(&mut order, 231, 4), Pushed::Late, "twice");
        assert_eq!(due(&mut order, 231), [(4, 0)]);
    }

    #[test]
    fn a_publisher_that_begins_anew_is_found_out() {
        let mut order = Order::default();
        push(&mut order, 0, 100);
        assert_eq!(push(&mut order, 20, 3_102), Pushed::Anew);
        assert_eq!(due(&mut order, 20), [(100, 0)]);
        order.restart();
        assert_eq!(push(&mut order, 20, 3_102), Pushed::Taken);
        assert_eq!(due(&mut order, 20), [(3_102, 0)]);
        // Somewhat below.
        for sequence in 200..200 + u16::from(LATE) - 1 {
            assert_eq!(push(&mut order, 40, sequence), Pushed::Late);
        }
        assert_eq!(push(&mut order, 40, 300), Pushed::Anew);
    }

    #[test]
    fn a_minute_without_a_packet_is_no_new_beginning() {
        let mut order = Order::default();
        push(&mut order, 0, 0);
        assert_eq!(push(&mut order, 61_000, 3_050), Pushed::Taken);
        assert_eq!(due(&mut order, 61_200), [(0, 0), (3_050, 3_049)]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::default();
        push(&mut order, 0, 0);
        due(&mut order, 0);
        for sequence in (2..2_000).step_by(2) {
            push(&mut order, 0, sequence);
            due(&mut order, 0);
            assert!(order.bytes <= MOST_BYTES);
        }
    }
}
