//! A ring of byte records over storage that its owner sized.
//!
//! Every byte queue of this crate is one of these: signalling messages until they are acknowledged, packets until there
//! is a datagram for them, messages until the application takes them. Records come out in the order they went in, each
//! as one slice.
//!
//! A record is its length, then its bytes, never split over the end of the storage: one that does not fit behind the
//! last one starts over at offset 0, and the rest of the storage stays unused until the ring comes around. A record may
//! therefore be refused though there are enough free bytes, but never while they are at least twice the longest record,
//! prefix included.
//!
//! ```text
//!                     head             tail
//! not wrapped   |      | 5 hello | 2 hi |          free          |
//!
//!                    tail      head                  wrap
//! wrapped       | 3 abc |  free  | 5 hello | 4 room  |  unused   |
//! ```

/// There is no room for the record now; if it exceeds [`ByteQueue::max_record`], there never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Bytes of the length before each record: a big-endian `u16`.
const PREFIX: usize = 2;

/// A first-in, first-out queue of byte records in `S`: an owned array, a boxed or a lent slice.
///
/// `S` stands last and may be unsized, so that `&mut ByteQueue<[u8; N]>` coerces to
/// `&mut ByteQueue<[u8]>` and code on top can be compiled once for all sizes.
#[derive(Debug, Clone)]
pub(crate) struct ByteQueue<S: ?Sized> {
    ring: Ring,
    storage: S,
}

impl<S> ByteQueue<S> {
    /// An empty queue in `storage`, with any content.
    pub(crate) const fn new(storage: S) -> Self {
        Self {
            ring: Ring::EMPTY,
            storage,
        }
    }
}

impl<S: AsRef<[u8]> + AsMut<[u8]> + ?Sized> ByteQueue<S> {
    /// Appends one record made of `parts`, joined. Nothing changes if it does not fit.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        self.ring.push(self.storage.as_mut(), parts)
    }

    /// The oldest record.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn front(&self) -> Option<&[u8]> {
        self.iter().next()
    }

    /// Record number `index` from the front; takes time in proportion to `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.ring.records {
            return None;
        }
        self.iter().nth(index)
    }

    /// Removes the oldest record. False if there is none.
    pub(crate) fn pop_front(&mut self) -> bool {
        self.ring.pop_front(self.storage.as_ref())
    }

    /// All records, oldest first.
    pub(crate) fn iter(&self) -> Records<'_> {
        Records {
            storage: self.storage.as_ref(),
            ring: self.ring,
        }
    }

    /// Removes all records.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn clear(&mut self) {
        self.ring = Ring::EMPTY;
    }

    /// How many records wait.
    pub(crate) const fn len(&self) -> usize {
        self.ring.records
    }

    /// Whether no record waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.ring.records == 0
    }

    /// The longest record that an empty queue takes, in bytes; storage of less than two takes none.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn max_record(&self) -> usize {
        let room = self.storage.as_ref().len().saturating_sub(PREFIX);
        room.min(usize::from(u16::MAX))
    }
}

/// The records of a [`ByteQueue`], oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Records<'a> {
    storage: &'a [u8],
    ring: Ring,
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let record = self.ring.front(self.storage)?;
        self.ring.advance(record.len());
        Some(record)
    }
}

/// The places of the records, for every storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ring {
    /// Offset of the oldest record.
    head: usize,
    /// Offset after the newest record.
    tail: usize,
    /// Where the records from `head` on end, if newer ones start over at 0.
    wrap: Option<usize>,
    records: usize,
}

impl Ring {
    const EMPTY: Self = Self {
        head: 0,
        tail: 0,
        wrap: None,
        records: 0,
    };

    fn push(&mut self, storage: &mut [u8], parts: &[&[u8]]) -> Result<(), Full> {
        let length = parts
            .iter()
            .try_fold(0_usize, |sum, part| sum.checked_add(part.len()))
            .ok_or(Full)?;
        let prefix = u16::try_from(length).map_err(|_| Full)?.to_be_bytes();
        let needed = PREFIX + usize::from(u16::from_be_bytes(prefix));

        let (start, wrap) = match self.wrap {
            Some(_) if needed <= self.head.saturating_sub(self.tail) => (self.tail, self.wrap),
            None if needed <= storage.len().saturating_sub(self.tail) => (self.tail, None),
            None if needed <= self.head => (0, Some(self.tail)),
            _ => return Err(Full),
        };
        let end = start + needed;
        let mut rest = storage.get_mut(start..end).ok_or(Full)?;
        for part in core::iter::once(&prefix.as_slice()).chain(parts) {
            let (place, after) = rest.split_at_mut_checked(part.len()).ok_or(Full)?;
            place.copy_from_slice(part);
            rest = after;
        }
        *self = Self {
            head: self.head,
            tail: end,
            wrap,
            records: self.records + 1,
        };
        Ok(())
    }

    fn front<'a>(&self, storage: &'a [u8]) -> Option<&'a [u8]> {
        if self.records == 0 {
            return None;
        }
        let (prefix, rest) = storage.get(self.head..)?.split_first_chunk::<PREFIX>()?;
        rest.get(..usize::from(u16::from_be_bytes(*prefix)))
    }

    fn pop_front(&mut self, storage: &[u8]) -> bool {
        match self.front(storage) {
            Some(record) => self.advance(record.len()),
            None => return false,
        }
        true
    }

    /// Moves past the oldest record, which has `length` bytes.
    fn advance(&mut self, length: usize) {
        self.records = self.records.saturating_sub(1);
        if self.records == 0 {
            // Starting over at 0 leaves the whole storage in one piece.
            *self = Self::EMPTY;
            return;
        }
        self.head = self.head.saturating_add(PREFIX + length);
        if self.wrap == Some(self.head) {
            self.head = 0;
            self.wrap = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::VecDeque;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>, usize),
        Pop,
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (prop::collection::vec(any::<u8>(), 0..24), 0_usize..24)
                .prop_map(|(record, cut)| Step::Push(record, cut)),
            5 => Just(Step::Pop),
            1 => Just(Step::Clear),
        ]
    }

    fn agrees<S: AsRef<[u8]> + AsMut<[u8]> + ?Sized>(
        queue: &ByteQueue<S>,
        model: &VecDeque<Vec<u8>>,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(queue.len(), model.len());
        prop_assert_eq!(queue.is_empty(), model.is_empty());
        prop_assert_eq!(queue.front(), model.front().map(Vec::as_slice));
        prop_assert!(queue.iter().eq(model.iter().map(Vec::as_slice)));
        for index in 0..=model.len() {
            prop_assert_eq!(queue.get(index), model.get(index).map(Vec::as_slice));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn behaves_like_a_deque(
            capacity in 0_usize..96,
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut sized = ByteQueue::new(vec![0xaa; capacity]);
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Step::Push(record, cut) => {
                        let before = sized.clone();
                        let (first, second) = record.split_at(cut.min(record.len()));
                        let needed = record.len() + PREFIX;
                        let taken: usize = model.iter().map(|r: &Vec<u8>| r.len() + PREFIX).sum();
                        if sized.push(&[first, second]).is_ok() {
                            prop_assert!(taken + needed <= capacity);
                            model.push_back(record);
                        } else {
                            prop_assert_eq!(sized.ring, before.ring);
                            prop_assert_eq!(&sized.storage, &before.storage);
                            prop_assert!(!model.is_empty() || needed > capacity);
                            // The free bytes may be in two pieces, of which the smaller was too
                            // small for this record or for one that still waits.
                            let longest = model.iter().map(|r| r.len() + PREFIX).max();
                            let longest = longest.unwrap_or(0).max(needed);
                            prop_assert!(capacity - taken < needed + longest - 1);
                        }
                    }
                    Step::Pop => prop_assert_eq!(sized.pop_front(), model.pop_front().is_some()),
                    Step::Clear => {
                        sized.clear();
                        model.clear();
                    }
                }
                agrees(&sized, &model)?;
            }
        }
    }

    #[test]
    fn lent_owned_and_unsized_storage_work_alike() {
        let mut bytes = [0; 16];
        let mut lent = ByteQueue::new(bytes.as_mut_slice());
        assert_eq!(lent.push(&[b"lent"]), Ok(()));
        assert_eq!(lent.front(), Some(b"lent".as_slice()));

        let mut owned = ByteQueue::new([0; 16]);
        let any_size: &mut ByteQueue<[u8]> = &mut owned;
        assert_eq!(any_size.push(&[b"ow", b"", b"ned"]), Ok(()));
        assert_eq!(owned.front(), Some(b"owned".as_slice()));
    }

    #[test]
    fn a_ring_that_came_around_fills_to_the_last_byte() {
        let mut queue = ByteQueue::new([0; 16]);
        for record in [b"aaaa", b"bbbb"] {
            assert_eq!(queue.push(&[record]), Ok(()));
        }
        assert!(queue.pop_front());
        // Four bytes at the end are too few, six at the start are just enough.
        assert_eq!(queue.push(&[b"ccccc"]), Err(Full));
        assert_eq!(queue.push(&[b"cccc"]), Ok(()));
        assert_eq!(queue.push(&[b""]), Err(Full));
        assert!(queue.iter().eq([b"bbbb", b"cccc"]));
        assert!(queue.pop_front());
        // Now the start of the storage is the front, and the records that wrapped follow it.
        for record in [b"dddd", b"ee  "] {
            let _ = queue.push(&[record]);
        }
        assert!(queue.iter().eq([b"cccc", b"dddd"]));
    }

    #[test]
    fn a_gap_before_the_front_is_used_up() {
        let mut queue = ByteQueue::new([0; 16]);
        for record in [b"aa", b"bb", b"cc", b"dd"] {
            assert_eq!(queue.push(&[record]), Ok(()));
        }
        assert!(queue.pop_front() && queue.pop_front());
        for record in [b"ee", b"ff"] {
            assert_eq!(queue.push(&[record]), Ok(()));
        }
        assert_eq!(queue.push(&[b""]), Err(Full));
        assert!(queue.iter().eq([b"cc", b"dd", b"ee", b"ff"]));
    }

    #[test]
    fn the_longest_record_is_the_storage_without_its_prefix() {
        let mut queue = ByteQueue::new([0; 6]);
        assert_eq!(queue.max_record(), 4);
        assert_eq!(queue.push(&[b"12345"]), Err(Full));
        assert_eq!(queue.push(&[b"1234"]), Ok(()));
        assert_eq!(queue.push(&[b""]), Err(Full));

        let mut large = ByteQueue::new(vec![0; 1 << 17]);
        assert_eq!(large.max_record(), 0xffff);
        assert_eq!(large.push(&[&vec![1; 0x10000]]), Err(Full));
        assert_eq!(large.push(&[&vec![1; 0xffff]]), Ok(()));
    }
}
