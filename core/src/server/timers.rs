//! Timers: the work per wake-up does not depend on their number.

use alloc::collections::BTreeSet;

use crate::time::Instant;

/// Wake-ups in the order of time, one per key. The caller keeps, beside the key's object, the instant that it is
/// [armed](Alarm) for.
#[derive(Debug)]
pub(super) struct Timers<K> {
    queue: BTreeSet<(Instant, K)>,
    /// The first one, which each poll asks for.
    first: Option<(Instant, K)>,
}

/// The instant that one key is armed for. A removed key must have been disarmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Alarm(Option<Instant>);

impl<K: Ord + Copy> Timers<K> {
    pub(super) const fn new() -> Self {
        Self {
            queue: BTreeSet::new(),
            first: None,
        }
    }

    /// Wakes `key` at `at` and at no other time; `None` is never.
    pub(super) fn set(&mut self, key: K, alarm: &mut Alarm, at: Option<Instant>) {
        if alarm.0 == at {
            return;
        }
        if let Some(old) = alarm.0 {
            self.queue.remove(&(old, key));
        }
        if let Some(at) = at {
            self.queue.insert((at, key));
        }
        alarm.0 = at;
        self.first = self.queue.first().copied();
    }

    /// Wakes `key` at `at`, unless it is woken before that anyway.
    pub(super) fn set_sooner(&mut self, key: K, alarm: &mut Alarm, at: Option<Instant>) {
        if let Some(at) = at
            && alarm.0.is_none_or(|armed| at < armed)
        {
            self.set(key, alarm, Some(at));
        }
    }

    /// A key whose time has come. It stays armed until it is [`set`](Self::set) anew.
    pub(super) fn due(&self, now: Instant) -> Option<K> {
        let (at, key) = self.first?;
        (at <= now).then_some(key)
    }

    /// The time of the first wake-up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.first.map(|(at, _)| at)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_earlier_wake_up_stays() {
        let at = |micros| Some(Instant::from_micros(micros));
        let (mut timers, mut alarm) = (Timers::new(), Alarm::default());
        timers.set_sooner(1, &mut alarm, at(9));
        timers.set_sooner(1, &mut alarm, at(10));
        timers.set_sooner(1, &mut alarm, None);
        assert_eq!((timers.next(), timers.len()), (at(9), 1));
        timers.set_sooner(1, &mut alarm, at(8));
        assert_eq!((timers.next(), timers.len()), (at(8), 1));
    }

    proptest! {
        #[test]
        fn it_is_a_map_from_keys_to_instants(
            steps in prop::collection::vec((0usize..6, prop::option::of(0u64..50)), 0..100),
            now in 0u64..60,
        ) {
            let mut timers = Timers::new();
            let mut alarms = [Alarm::default(); 6];
            let mut model = BTreeMap::new();
            for (key, at) in steps {
                let at = at.map(Instant::from_micros);
                timers.set(key, &mut alarms[key], at);
                match at {
                    Some(at) => model.insert(key, at),
                    None => model.remove(&key),
                };
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.next(), model.values().min().copied());
            }
            let now = Instant::from_micros(now);
            let mut woken = 0;
            while let Some(key) = timers.due(now) {
                prop_assert!(model[&key] <= now);
                timers.set(key, &mut alarms[key], None);
                woken += 1;
            }
            prop_assert_eq!(woken, model.values().filter(|at| **at <= now).count());
        }
    }
}
