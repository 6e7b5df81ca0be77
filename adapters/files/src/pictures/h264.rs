//! H.264 as Matroska has it: units with their lengths, and the parameter sets in front (ISO/IEC 14496-15, section 5).

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal as _, RefNal};

const SPS: u8 = 7;
const PPS: u8 = 8;
/// Of the first byte of a unit.
const TYPE: u8 = 0x1F;

/// The units between start codes, without those that are empty; nothing if it does not begin with a start code.
fn units(access_unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(access_unit)
        .filter(|(before, _)| before.iter().all(|&byte| byte == 0))
        .map(|(_, behind)| behind);
    std::iter::from_fn(move || {
        let from = rest?;
        let (unit, behind) = match after_start_code(from) {
            Some((unit, behind)) => (unit, Some(behind)),
            None => (from, None),
        };
        rest = behind;
        // A unit never ends with a zero: those belong to the start code, or trail.
        let zeros = unit.iter().rev().take_while(|&&byte| byte == 0).count();
        unit.get(..unit.len() - zeros)
    })
    .filter(|unit| !unit.is_empty())
}

/// What is before the first start code, and behind it.
fn after_start_code(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(3).position(|three| three == [0, 0, 1])?;
    Some((bytes.get(..at)?, bytes.get(at + 3..)?))
}

/// The units of an access unit, each behind its length in four bytes.
///
/// SPS and PPS stay where they are: an encoder may change them at a key picture without changing the size, and decoders take
/// them from there, too.
pub(super) fn with_lengths(access_unit: &[u8]) -> Result<Vec<u8>, &'static str> {
    // Start codes have three or four bytes.
    let mut data = Vec::with_capacity(access_unit.len() + 64);
    for unit in units(access_unit) {
        let len = u32::try_from(unit.len()).map_err(|_| "has a unit of 4 GiB")?;
        data.extend(len.to_be_bytes());
        data.extend(unit);
    }
    if data.is_empty() {
        return Err("does not begin with a start code and a unit");
    }
    Ok(data)
}

/// The parameter sets of a key picture. There is one of each at least.
#[derive(Debug)]
pub(super) struct ParameterSets<'a> {
    sps: Vec<&'a [u8]>,
    pps: Vec<&'a [u8]>,
    /// The first SPS.
    first: SeqParameterSet,
}

impl<'a> ParameterSets<'a> {
    /// Those of a key picture.
    pub(super) fn of(access_unit: &'a [u8]) -> Result<Self, &'static str> {
        let of_type = |wanted| {
            let units = units(access_unit);
            let units =
                units.filter(|unit| unit.first().is_some_and(|&head| head & TYPE == wanted));
            units.collect::<Vec<_>>()
        };
        let (sps, pps) = (of_type(SPS), of_type(PPS));
        let (Some(first), false) = (sps.first(), pps.is_empty()) else {
            return Err("is a key picture without SPS and PPS");
        };
        let lengths = sps.iter().chain(&pps).map(|unit| unit.len());
        // What a head can say of them.
        if sps.len() > 31 || pps.len() > 255 || lengths.max() > Some(usize::from(u16::MAX)) {
            return Err("has too many or too long parameter sets");
        }
        let first = SeqParameterSet::from_bits(RefNal::new(first, &[], true).rbsp_bits())
            .map_err(|_| "has an SPS that cannot be read")?;
        Ok(Self { sps, pps, first })
    }

    /// Width and height, without what is cropped.
    pub(super) fn size(&self) -> Result<(u32, u32), &'static str> {
        let size = self.first.pixel_dimensions();
        size.map_err(|_| "has an SPS with a size that is none")
    }

    /// The `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, section 5.3.3.1): lengths have four bytes.
    pub(super) fn codec_private(&self) -> Vec<u8> {
        let sps = &self.first;
        let (profile, flags) = (sps.profile_idc, u8::from(sps.constraint_flags));
        let mut record = vec![1, profile.into(), flags, sps.level_idc, 0xFF];
        let mut append = |reserved: u8, units: &[&[u8]]| {
            // Not more than fit, by `of`.
            record.push(reserved | units.len() as u8);
            for unit in units {
                record.extend((unit.len() as u16).to_be_bytes());
                record.extend(*unit);
            }
        };
        append(0xE0, &self.sps);
        append(0, &self.pps);
        if profile.has_chroma_info() {
            let chroma = &sps.chroma_info;
            record.push(0xFC | (chroma.chroma_format.to_u32() & 3) as u8);
            record.push(0xF8 | chroma.bit_depth_luma_minus8);
            record.push(0xF8 | chroma.bit_depth_chroma_minus8);
            // No extensions of an SPS.
            record.push(0);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_behind_start_codes_of_any_length() {
        let bytes = [
            0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 0, 0, 0, 1, 0, 0, 1, 0x65, 7, 0,
        ];
        let found: Vec<_> = units(&bytes).collect();
        assert_eq!(found, [&[0x67, 1][..], &[0x68], &[0x65, 7]]);
        let data = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 0, 2, 0x65, 7];
        assert_eq!(with_lengths(&bytes).as_deref(), Ok(&data[..]));
        for none in [
            &[][..],
            &[0, 0, 1],
            &[0x65, 0, 0, 1, 0x65],
            &[0, 0, 1, 0, 0],
        ] {
            assert!(with_lengths(none).is_err(), "{none:?}");
        }
    }
}
