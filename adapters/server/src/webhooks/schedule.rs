//! Which event of a room is tried when: a pure function of the results so far.
//!
//! The events of a room that one receiver is owed are a *lane*. They are tried one at a time, in the order of the journal:
//!
//! * A refused event is tried again after 1, 2, 4, … 60 s for ten minutes, then after 5 and 30 minutes and 2, 5, 10, 14, 20
//!   and 24 hours. After that it is given up.
//! * Each time that the first event of the lane is refused after its ten minutes, the next one is tried once: a *probe*. If the
//!   probe is taken, the first event is a bad one: it *steps aside*, and goes on with its tries alone. If not, the receiver is
//!   down, and the order waits.
//!
//! All that a lane knows is in its [`Plan`]s, which the tables have: a lane that is read again goes on where it was.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::{End, Plan};
use crate::time::Timestamp;

/// For how long an event is tried again soon.
const SOON: Duration = Duration::from_secs(10 * 60);
/// The longest of the waits meanwhile.
const LONGEST_SOON: Duration = Duration::from_secs(60);
/// The waits after that.
const LATER: [Duration; 8] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// The time of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried {
    /// When it began.
    pub(super) began: Timestamp,
    /// When its outcome was known.
    pub(super) ended: Timestamp,
}

/// What is to be tried next, and not before when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) seq: i64,
    /// Without a value, at once.
    pub(super) at: Option<Timestamp>,
    /// Whether the receiver has refused this event, or the one before it.
    pub(super) is_repeated: bool,
}

/// What became of one entry of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) seq: i64,
    pub(super) plan: Plan,
    /// Without a value, the entry stays in the lane.
    pub(super) end: Option<End>,
}

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Lane {
    line: BTreeMap<i64, Plan>,
    aside: BTreeMap<i64, Plan>,
    /// Whether the last try was of an event that has stepped aside. Then the line has its turn.
    had_aside: bool,
}

impl Lane {
    /// The receiver is owed an event, in place of what was planned for it before.
    pub(super) fn owe(&mut self, seq: i64, plan: Plan) {
        self.line.remove(&seq);
        self.aside.remove(&seq);
        let entries = if plan.aside {
            &mut self.aside
        } else {
            &mut self.line
        };
        entries.insert(seq, plan);
    }

    /// How many events the receiver is owed.
    pub(super) fn len(&self) -> usize {
        self.line.len() + self.aside.len()
    }

    /// What to try next, if the receiver is owed anything.
    pub(super) fn next(&self, now: Timestamp) -> Option<Next> {
        let mut waiting = self.line.iter();
        let first = waiting.next();
        let first = first.map(|(seq, plan)| match waiting.next() {
            Some((probe, _)) if plan.probe => Next {
                seq: *probe,
                at: None,
                is_repeated: true,
            },
            _ => next(*seq, plan),
        });
        let aside = self.aside.iter().map(|(seq, plan)| next(*seq, plan));
        let aside = aside.min_by_key(|next| next.at);
        let (Some(in_line), Some(beside)) = (first, aside) else {
            return first.or(aside);
        };
        let is_due = |next: Next| next.at.is_none_or(|at| at <= now);
        let is_besides_turn = if is_due(in_line) && is_due(beside) {
            !self.had_aside
        } else {
            beside.at < in_line.at
        };
        Some(if is_besides_turn { beside } else { in_line })
    }

    /// Notes what became of a try of [`next`](Self::next); gives the entries that changed by it, that of the try first.
    pub(super) fn settle(&mut self, seq: i64, is_taken: bool, tried: Tried) -> Vec<Change> {
        self.had_aside = self.aside.contains_key(&seq);
        if self.had_aside {
            return settle_alone(&mut self.aside, seq, is_taken, tried)
                .into_iter()
                .collect();
        }
        match self.line.first_key_value() {
            Some((first, _)) if *first == seq => {
                let change = settle_alone(&mut self.line, seq, is_taken, tried);
                change.into_iter().collect()
            }
            Some((first, _)) => self.settle_probe(*first, seq, is_taken),
            None => Vec::new(),
        }
    }

    fn settle_probe(&mut self, first: i64, seq: i64, is_taken: bool) -> Vec<Change> {
        let Some(mut plan) = self.line.get(&seq).copied() else {
            return Vec::new();
        };
        // It does not count among the tries that the event has when its turn comes.
        plan.tries += 1;
        let mut changes = vec![Change {
            seq,
            plan,
            end: is_taken.then_some(End::Delivered),
        }];
        if is_taken {
            self.line.remove(&seq);
        } else {
            self.line.insert(seq, plan);
        }
        if let Some(mut plan) = self.line.remove(&first) {
            plan.probe = false;
            plan.aside = is_taken;
            self.owe(first, plan);
            changes.push(Change {
                seq: first,
                plan,
                end: None,
            });
        }
        changes
    }
}

fn next(seq: i64, plan: &Plan) -> Next {
    Next {
        seq,
        at: plan.next_at,
        is_repeated: plan.since.is_some(),
    }
}

fn settle_alone(
    entries: &mut BTreeMap<i64, Plan>,
    seq: i64,
    is_taken: bool,
    tried: Tried,
) -> Option<Change> {
    let mut plan = *entries.get(&seq)?;
    plan.tries += 1;
    let end = if is_taken {
        Some(End::Delivered)
    } else if is_given_up(&mut plan, tried) {
        Some(End::Failed)
    } else {
        None
    };
    if end.is_some() {
        entries.remove(&seq);
    } else {
        entries.insert(seq, plan);
    }
    Some(Change { seq, plan, end })
}

/// Plans the next try after one that was refused; says whether there is none.
fn is_given_up(plan: &mut Plan, tried: Tried) -> bool {
    let since = *plan.since.get_or_insert(tried.began);
    let wait = if tried.ended.since(since) < SOON {
        let wait = Duration::from_secs(1 << plan.soon.min(6)).min(LONGEST_SOON);
        plan.soon += 1;
        wait
    } else {
        let Some(wait) = LATER.get(plan.later as usize) else {
            return true;
        };
        plan.later += 1;
        plan.probe = !plan.aside;
        *wait
    };
    plan.next_at = Some(tried.ended.after(wait));
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    fn at_once(now: i64) -> Tried {
        Tried {
            began: time(now),
            ended: time(now),
        }
    }

    fn lane(seqs: impl IntoIterator<Item = i64>) -> Lane {
        let mut lane = Lane::default();
        seqs.into_iter()
            .for_each(|seq| lane.owe(seq, Plan::default()));
        lane
    }

    /// Waits until something is to be tried; gives what, and when.
    fn wait(lane: &Lane, now: &mut i64) -> i64 {
        let next = lane.next(time(*now)).unwrap();
        if let Some(at) = next.at {
            *now = (*now).max(at.as_millis() / 1_000);
        }
        next.seq
    }

    #[test]
    fn a_refused_event_is_tried_as_often_as_is_promised() {
        let (mut lane, mut now, mut waits) = (lane([7]), 0, Vec::new());
        loop {
            let before = now;
            assert_eq!(wait(&lane, &mut now), 7);
            waits.push(now - before);
            let changes = lane.settle(7, false, at_once(now));
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].plan.tries, waits.len() as i64);
            match changes[0].end {
                None => {}
                Some(end) => break assert_eq!(end, End::Failed),
            }
        }
        let soon = [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60, 60];
        let later = [5 * 60, 30 * 60]
            .into_iter()
            .chain([2, 5, 10, 14, 20, 24].map(|hours| hours * 3_600));
        assert_eq!(waits, soon.into_iter().chain(later).collect::<Vec<_>>());
        assert_eq!(lane.next(time(now)), None);
    }

    /// The ten minutes are a time, not a number of tries: those of a receiver that does not answer take longer.
    #[test]
    fn slow_refusals_do_not_make_the_ten_minutes_longer() {
        let (mut lane, mut now) = (lane([7]), 0);
        let first_long = loop {
            wait(&lane, &mut now);
            let tried = Tried {
                began: time(now),
                ended: time(now + 20),
            };
            now += 20;
            let plan = lane.settle(7, false, tried)[0].plan;
            if plan.later == 1 {
                break plan;
            }
        };
        assert!((600..700).contains(&now), "{now}");
        assert_eq!(first_long.next_at, Some(time(now + 300)));
        assert!(first_long.probe);
    }

    /// Plays until the first event is refused after its ten minutes.
    fn until_probe(lane: &mut Lane, now: &mut i64) {
        while wait(lane, now) == 1 {
            lane.settle(1, false, at_once(*now));
        }
    }

    #[test]
    fn a_bad_event_steps_aside_once_the_next_one_is_taken() {
        let (mut lane, mut now) = (lane([1, 2, 3]), 0);
        until_probe(&mut lane, &mut now);
        assert_eq!((wait(&lane, &mut now), now), (2, 603));
        let changes = lane.settle(2, true, at_once(now));
        assert_eq!((changes[0].seq, changes[0].end), (2, Some(End::Delivered)));
        assert_eq!(
            (changes[1].seq, changes[1].plan.aside, changes[1].end),
            (1, true, None)
        );
        assert_eq!((wait(&lane, &mut now), now), (3, 603));
        lane.settle(3, true, at_once(now));
        // It goes on alone where it was.
        assert_eq!((wait(&lane, &mut now), now), (1, 903));
        assert_eq!(
            lane.settle(1, true, at_once(now))[0].end,
            Some(End::Delivered)
        );
        assert_eq!(lane.len(), 0);
    }

    #[test]
    fn the_order_waits_for_a_receiver_that_is_down() {
        let (mut lane, mut now) = (lane([1, 2, 3]), 0);
        until_probe(&mut lane, &mut now);
        let changes = lane.settle(2, false, at_once(now));
        // The probe has all its tries still before it.
        let of_probe = Plan {
            tries: 1,
            ..Plan::default()
        };
        assert_eq!((changes[0].plan, changes[0].end), (of_probe, None));
        assert!(!changes[1].plan.aside && !changes[1].plan.probe);
        // One probe for each refusal.
        for at in [903, 903 + 1_800] {
            assert_eq!((wait(&lane, &mut now), now), (1, at));
            lane.settle(1, false, at_once(now));
            assert_eq!((wait(&lane, &mut now), now), (2, at));
            lane.settle(2, false, at_once(now));
        }
        // It is back: all come in their order.
        for seq in [1, 2, 3] {
            assert_eq!(wait(&lane, &mut now), seq);
            lane.settle(seq, true, at_once(now));
        }
    }

    #[test]
    fn an_event_that_comes_after_the_ten_minutes_is_the_probe() {
        let (mut lane, mut now) = (lane([1]), 0);
        while lane
            .next(time(now))
            .unwrap()
            .at
            .is_none_or(|at| at <= time(700))
        {
            wait(&lane, &mut now);
            lane.settle(1, false, at_once(now));
        }
        lane.owe(2, Plan::default());
        assert_eq!(
            lane.next(time(now)),
            Some(Next {
                seq: 2,
                at: None,
                is_repeated: true
            })
        );
    }

    #[test]
    fn those_beside_the_line_and_those_in_it_take_turns() {
        let mut lane = lane([5, 6, 7, 8]);
        for seq in [1, 2] {
            lane.owe(
                seq,
                Plan {
                    aside: true,
                    next_at: Some(time(seq)),
                    ..Plan::default()
                },
            );
        }
        let (mut seen, mut now) = (Vec::new(), 10);
        while lane.len() > 0 {
            seen.push(wait(&lane, &mut now));
            lane.settle(seen[seen.len() - 1], true, at_once(now));
        }
        assert_eq!(seen, [1, 5, 2, 6, 7, 8]);
    }

    /// A receiver: it never takes the bad events, and nothing while it is down.
    #[derive(Debug, Clone)]
    struct World {
        /// Seconds between the events, whether each is bad, and how long an answer to it takes.
        events: Vec<(i64, bool, i64)>,
        /// When it goes down and for how long, in seconds.
        down: Vec<(i64, i64)>,
    }

    fn world() -> impl Strategy<Value = World> {
        let event = (0..2_000_i64, prop::bool::weighted(0.15), 0..20_i64);
        let down = (0..30_000_i64, 0..200_000_i64);
        let events = prop::collection::vec(event, 1..30);
        (events, prop::collection::vec(down, 0..3))
            .prop_map(|(events, down)| World { events, down })
    }

    impl World {
        fn takes(&self, seq: i64, now: i64) -> bool {
            let is_down = self
                .down
                .iter()
                .any(|(from, long)| (*from..from + long).contains(&now));
            !self.events[seq as usize].1 && !is_down
        }
    }

    /// The state of an event, as a receiver sees it.
    #[derive(Debug, Clone, Copy, Default)]
    struct Seen {
        first: Option<i64>,
        refused: Option<i64>,
        probed: Option<i64>,
        is_over: bool,
        is_aside: bool,
        long_waits: usize,
    }

    proptest! {
        #[test]
        fn order_and_patience_are_as_promised(world in world()) {
            let mut arrivals = world.events.iter().scan(0, |at, (gap, ..)| {
                *at += gap;
                Some(*at)
            }).enumerate().peekable();
            let arrived: Vec<_> = arrivals.clone().map(|(_, at)| at).collect();
            let (mut lane, mut now) = (Lane::default(), 0);
            let mut table = BTreeMap::new();
            let mut seen = vec![Seen::default(); world.events.len()];
            loop {
                while let Some((seq, _)) = arrivals.next_if(|(_, at)| *at <= now) {
                    lane.owe(seq as i64, Plan::default());
                    table.insert(seq as i64, Plan::default());
                }
                let next = lane.next(time(now));
                let due = next.map(|next| next.at.map_or(now, |at| at.as_millis() / 1_000));
                match (due, arrivals.peek()) {
                    (Some(due), _) if due <= now => {}
                    (Some(due), Some((_, at))) => { now = due.min(*at); continue; }
                    (Some(due), None) => { now = due; continue; }
                    (None, Some((_, at))) => { now = *at; continue; }
                    (None, None) => break,
                }
                let seq = next.unwrap().seq;
                let n = seq as usize;
                prop_assert!(!seen[n].is_over, "{seq} is over");
                let in_line = |seen: &[Seen], upto: usize| (0..upto).filter(|n| !seen[*n].is_over && !seen[*n].is_aside).collect::<Vec<_>>();
                let before = in_line(&seen, n);
                let is_probe = !seen[n].is_aside && !before.is_empty();
                if is_probe {
                    // Only the next one, after each refusal of a first one that has had its ten minutes, once.
                    prop_assert_eq!(before.len(), 1);
                    let first = seen[before[0]];
                    prop_assert!(now - first.first.unwrap() >= 600);
                    prop_assert!(seen[n].probed.is_none_or(|probed| probed < first.refused.unwrap()));
                    seen[n].probed = Some(now);
                } else if let Some(refused) = seen[n].refused {
                    let wait = now - refused;
                    if refused - seen[n].first.unwrap() >= 600 {
                        let promised = [300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400][seen[n].long_waits];
                        prop_assert!(wait >= promised);
                        seen[n].long_waits += 1;
                    } else {
                        prop_assert!((1..=60 + 40).contains(&wait), "{}", wait);
                    }
                }
                let is_taken = world.takes(seq, now);
                let began = now;
                now += world.events[n].2;
                let changes = lane.settle(seq, is_taken, Tried { began: time(began), ended: time(now) });
                prop_assert_eq!(changes[0].seq, seq);
                if !is_probe {
                    seen[n].first.get_or_insert(began);
                    if !is_taken {
                        seen[n].refused = Some(now);
                    }
                } else if is_taken {
                    seen[before[0]].is_aside = true;
                }
                match changes[0].end {
                    Some(End::Delivered) => prop_assert!(is_taken),
                    Some(End::Failed) => prop_assert_eq!((is_taken, seen[n].long_waits), (false, 8)),
                    None => prop_assert!(!is_taken),
                }
                seen[n].is_over = changes[0].end.is_some();
                // A lane that is read from the tables is the same.
                for change in changes {
                    match change.end {
                        Some(_) => { table.remove(&change.seq); }
                        None => { table.insert(change.seq, change.plan); }
                    }
                }
                let mut again = Lane { had_aside: lane.had_aside, ..Lane::default() };
                table.iter().for_each(|(seq, plan)| again.owe(*seq, *plan));
                prop_assert_eq!(&again, &lane);
                // A bad event holds up those behind it for its ten minutes, and no longer.
                let are_alone = world.events.windows(2).all(|two| !(two[0].1 && two[1].1));
                if is_taken && world.down.is_empty() && are_alone {
                    let bad = world.events[..=n].iter().filter(|event| event.1).count() as i64;
                    let others = 20 * 2 * world.events.len() as i64;
                    prop_assert!(now - arrived[n] <= bad * (600 + 60 + 300 + others) + others, "{} waited {}", seq, now - arrived[n]);
                }
            }
            prop_assert!(seen.iter().all(|seen| seen.is_over));
        }
    }
}
