//! Payloads that wait to be sent, each kept once however many it is for.

use alloc::vec::Vec;

/// A payload in a [`Pool`]. Each one must be given back exactly once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload(u32);

/// A bounded number of buffers, allocated when first needed and reused ever after.
#[derive(Debug)]
pub(super) struct Pool {
    buffers: Vec<Buffer>,
    free: Vec<u32>,
    capacity: usize,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    holders: u32,
}

impl Pool {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            buffers: Vec::new(),
            free: Vec::new(),
            capacity: capacity.min(u32::MAX as usize),
        }
    }

    /// Copies `bytes` into a free buffer, for one holder; `None` if all are in use.
    pub(super) fn insert(&mut self, bytes: &[u8]) -> Option<Payload> {
        self.insert_parts(bytes, &[])
    }

    /// The same with two slices, one behind the other.
    pub(super) fn insert_parts(&mut self, first: &[u8], second: &[u8]) -> Option<Payload> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.buffers.len() < self.capacity => {
                let index = u32::try_from(self.buffers.len()).ok()?;
                self.buffers.push(Buffer {
                    bytes: Vec::new(),
                    holders: 0,
                });
                index
            }
            None => return None,
        };
        let buffer = self.buffers.get_mut(index as usize)?;
        buffer.bytes.clear();
        buffer.bytes.extend_from_slice(first);
        buffer.bytes.extend_from_slice(second);
        buffer.holders = 1;
        Some(Payload(index))
    }

    /// One more holder of the same payload.
    pub(super) fn share(&mut self, payload: &Payload) -> Payload {
        if let Some(buffer) = self.buffers.get_mut(payload.0 as usize) {
            buffer.holders += 1;
        }
        Payload(payload.0)
    }

    pub(super) fn get(&self, payload: &Payload) -> &[u8] {
        self.buffers
            .get(payload.0 as usize)
            .map_or(&[], |buffer| &buffer.bytes)
    }

    /// One holder fewer; the last one frees the buffer.
    pub(super) fn release(&mut self, payload: Payload) {
        let Some(buffer) = self.buffers.get_mut(payload.0 as usize) else {
            return;
        };
        buffer.holders = buffer.holders.saturating_sub(1);
        if buffer.holders == 0 {
            self.free.push(payload.0);
        }
    }

    /// Buffers in use.
    pub(super) fn used(&self) -> usize {
        self.buffers.len() - self.free.len()
    }

    /// Bytes allocated for buffers, in use or not.
    pub(super) fn allocated(&self) -> usize {
        self.buffers
            .iter()
            .map(|buffer| buffer.bytes.capacity())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_pool_takes_nothing_until_the_last_holder_is_done() {
        let mut pool = Pool::new(2);
        let a = pool.insert(b"aa").unwrap();
        let b = pool.insert(b"b").unwrap();
        assert_eq!(pool.insert(b"c"), None);
        let a2 = pool.share(&a);
        pool.release(a);
        assert_eq!(pool.insert(b"c"), None);
        assert_eq!(pool.get(&a2), b"aa");
        pool.release(a2);
        let c = pool.insert(b"c").unwrap();
        assert_eq!(
            (pool.get(&c), pool.get(&b), pool.used()),
            (&b"c"[..], &b"b"[..], 2)
        );
    }

    proptest! {
        /// Every held payload reads as it was put in, whatever is added or removed meanwhile.
        #[test]
        fn payloads_stay_as_they_are(steps in prop::collection::vec((0u8..3, any::<u8>()), 0..200)) {
            let mut pool = Pool::new(8);
            let mut held: Vec<(Payload, Vec<u8>)> = Vec::new();
            for (step, byte) in steps {
                let pick = usize::from(byte) % held.len().max(1);
                match step {
                    0 => {
                        let bytes = alloc::vec![byte; usize::from(byte % 7)];
                        if let Some(payload) = pool.insert(&bytes) {
                            held.push((payload, bytes));
                        }
                    }
                    1 if !held.is_empty() => {
                        let bytes = held[pick].1.clone();
                        let payload = pool.share(&held[pick].0);
                        held.push((payload, bytes));
                    }
                    2 if !held.is_empty() => pool.release(held.swap_remove(pick).0),
                    _ => {}
                }
                for (payload, bytes) in &held {
                    prop_assert_eq!(pool.get(payload), &bytes[..]);
                }
                prop_assert!(pool.used() <= held.len().min(8));
            }
            for (payload, _) in held {
                pool.release(payload);
            }
            prop_assert_eq!(pool.used(), 0);
        }
    }
}
