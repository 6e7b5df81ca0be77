//! H.264 in RTP, [RFC 6184](https://www.rfc-editor.org/rfc/rfc6184) in packetization mode 1.
//!
//! ```text
//! single:  | unit ...                                         |
//! STAP-A:  |F|NRI| 24 | size u16 | unit ... | size u16 | ...  |
//! FU-A:    |F|NRI| 28 |S|E|0| type | a part of the unit       |   S: it begins, E: it ends
//! ```
//!
//! A unit begins with the byte `|F|NRI| type |`; an access unit with start codes is what encoders and decoders take.

use super::picture::{MAX_PICTURE, MAX_PICTURE_PAYLOAD, Unfit};

const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// Of the first byte of a unit.
const TYPE: u8 = 0x1F;
const NRI: u8 = 0x60;

/// Bytes before each unit in a STAP-A, and before the first one.
const SIZE_LEN: usize = 2;
const STAP_HEADER_LEN: usize = 1;
/// Bytes before the part of a unit in a FU-A.
const FU_HEADER_LEN: usize = 2;

const START_CODE: &[u8] = &[0, 0, 0, 1];

/// The units between start codes, without those that are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Units<'a>(&'a [u8]);

impl<'a> Units<'a> {
    /// Of an access unit; `None` if it does not begin with a start code.
    pub(super) fn new(access_unit: &'a [u8]) -> Option<Self> {
        let (before, rest) = split_at_start_code(access_unit)?;
        before.iter().all(|&byte| byte == 0).then_some(Self(rest))
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let (unit, rest) = split_at_start_code(self.0).unwrap_or((self.0, &[]));
            self.0 = rest;
            // A unit never ends with a zero: those belong to the start code, or trail.
            let len = unit
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |at| at + 1);
            if let Some(unit @ [_, ..]) = unit.get(..len) {
                return Some(unit);
            }
        }
        None
    }
}

/// What is before the first start code, and after it.
fn split_at_start_code(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(3).position(|three| three == [0, 0, 1])?;
    Some((bytes.get(..at)?, bytes.get(at + 3..)?))
}

/// Whether the first byte of a unit is one that RTP carries: of a coded type, without its error bit.
const fn is_unit(header: u8) -> bool {
    matches!(header & TYPE, 1..STAP_A) && header & 0x80 == 0
}

/// Whether an access unit is a key picture: one with an IDR slice, and SPS and PPS before it. One that is too long when it
/// has been joined is none.
pub(super) fn is_key(access_unit: &[u8]) -> Result<bool, Unfit> {
    let (mut sps, mut pps, mut key, mut len) = (false, false, false, 0);
    for unit in Units::new(access_unit).ok_or(Unfit::Malformed)? {
        let header = *unit.first().ok_or(Unfit::Malformed)?;
        if !is_unit(header) {
            return Err(Unfit::Malformed);
        }
        len += START_CODE.len() + unit.len();
        match header & TYPE {
            SPS => sps = true,
            PPS => pps = true,
            IDR if sps && pps => key = true,
            IDR => return Err(Unfit::NoParameterSets),
            _ => {}
        }
    }
    match len {
        0 => Err(Unfit::Malformed),
        1..=MAX_PICTURE => Ok(key),
        _ => Err(Unfit::TooLong),
    }
}

/// One payload of an access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Single(&'a [u8]),
    /// The first `count` of the units, and their length as a payload.
    Aggregate {
        units: Units<'a>,
        count: usize,
        len: usize,
    },
    Fragment {
        header: [u8; FU_HEADER_LEN],
        part: &'a [u8],
    },
}

impl Payload<'_> {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Single(unit) => unit.len(),
            Self::Aggregate { len, .. } => *len,
            Self::Fragment { part, .. } => FU_HEADER_LEN + part.len(),
        }
    }

    /// Writes the payload to `out`, which has its length.
    pub(super) fn write(&self, out: &mut [u8]) -> Option<()> {
        match self {
            Self::Single(unit) => (out.len() == unit.len()).then(|| out.copy_from_slice(unit)),
            Self::Fragment { header, part } => {
                let (head, body) = out.split_first_chunk_mut()?;
                *head = *header;
                (body.len() == part.len()).then(|| body.copy_from_slice(part))
            }
            Self::Aggregate { units, count, .. } => {
                let (head, mut rest) = out.split_first_mut()?;
                *head = STAP_A;
                for unit in units.clone().take(*count) {
                    let (size, body) = rest.split_first_chunk_mut::<SIZE_LEN>()?;
                    *size = u16::try_from(unit.len()).ok()?.to_be_bytes();
                    let (body, behind) = body.split_at_mut_checked(unit.len())?;
                    body.copy_from_slice(unit);
                    *head = STAP_A | (*head & NRI).max(unit.first()? & NRI);
                    rest = behind;
                }
                Some(())
            }
        }
    }
}

/// The payloads of an access unit, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payloads<'a> {
    units: Units<'a>,
    /// The unit that is being cut: its header, what is left of it, and the length of the parts.
    fragmented: Option<(u8, &'a [u8], usize)>,
}

impl<'a> Payloads<'a> {
    pub(super) const fn new(units: Units<'a>) -> Self {
        Self {
            units,
            fragmented: None,
        }
    }

    fn fragment(&mut self, unit: (u8, &'a [u8], usize), begins: bool) -> Payload<'a> {
        let (header, rest, each) = unit;
        let (part, rest) = rest.split_at_checked(each).unwrap_or((rest, &[]));
        let ends = rest.is_empty();
        self.fragmented = (!ends).then_some((header, rest, each));
        let fu = u8::from(begins) << 7 | u8::from(ends) << 6 | header & TYPE;
        Payload::Fragment {
            header: [header & NRI | FU_A, fu],
            part,
        }
    }
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Payload<'a>;

    fn next(&mut self) -> Option<Payload<'a>> {
        if let Some(unit) = self.fragmented.take() {
            return Some(self.fragment(unit, false));
        }
        let from = self.units.clone();
        let first = self.units.next()?;
        if first.len() > MAX_PICTURE_PAYLOAD {
            let (&header, rest) = first.split_first()?;
            let parts = rest.len().div_ceil(MAX_PICTURE_PAYLOAD - FU_HEADER_LEN);
            let each = rest.len().div_ceil(parts);
            return Some(self.fragment((header, rest, each), true));
        }
        let (mut count, mut len) = (1, STAP_HEADER_LEN + SIZE_LEN + first.len());
        let mut ahead = self.units.clone();
        while let Some(unit) = ahead.next() {
            let more = len + SIZE_LEN + unit.len();
            if more > MAX_PICTURE_PAYLOAD {
                break;
            }
            (count, len) = (count + 1, more);
            self.units = ahead.clone();
        }
        Some(match count {
            1 => Payload::Single(first),
            _ => Payload::Aggregate {
                units: from,
                count,
                len,
            },
        })
    }
}

/// Puts units together from payloads, in their order.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    /// The type of the unit whose end has not come yet.
    open: Option<u8>,
}

impl Joiner {
    /// Gives `put` the units in `payload` with start codes; `None` if it does not continue what came before it.
    pub(super) fn join(&mut self, payload: &[u8], put: &mut impl FnMut(&[u8])) -> Option<()> {
        let (&header, rest) = payload.split_first()?;
        if header & 0x80 != 0 || header & TYPE != FU_A && self.open.is_some() {
            return None;
        }
        match header & TYPE {
            STAP_A => self.aggregate(rest, put),
            FU_A => self.fragment(header, rest, put),
            _ => put_unit(payload, put),
        }
    }

    /// Whether the last unit is whole.
    pub(super) const fn is_whole(&self) -> bool {
        self.open.is_none()
    }

    fn aggregate(&self, mut rest: &[u8], put: &mut impl FnMut(&[u8])) -> Option<()> {
        (!rest.is_empty()).then_some(())?;
        while !rest.is_empty() {
            let (&size, behind) = rest.split_first_chunk()?;
            let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(size).into())?;
            put_unit(unit, put)?;
            rest = behind;
        }
        Some(())
    }

    fn fragment(&mut self, header: u8, rest: &[u8], put: &mut impl FnMut(&[u8])) -> Option<()> {
        let (&fu, part) = rest.split_first()?;
        let (begins, ends, kind) = (fu & 0x80 != 0, fu & 0x40 != 0, fu & TYPE);
        let expected = (!begins).then_some(kind);
        if self.open != expected || part.is_empty() || begins && ends {
            return None;
        }
        if begins {
            let header = header & NRI | kind;
            is_unit(header).then_some(())?;
            put(START_CODE);
            put(&[header]);
        }
        put(part);
        self.open = (!ends).then_some(kind);
        Some(())
    }
}

fn put_unit(unit: &[u8], put: &mut impl FnMut(&[u8])) -> Option<()> {
    is_unit(*unit.first()?).then_some(())?;
    put(START_CODE);
    put(unit);
    Some(())
}

#[cfg(test)]
mod tests;
