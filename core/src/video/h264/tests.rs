use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn units(access_unit: &[u8]) -> Option<Vec<&[u8]>> {
    Some(Units::new(access_unit)?.collect())
}

fn annex_b(units: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = units.iter().flat_map(|unit| [START_CODE, unit]).collect();
    parts.concat()
}

fn payloads(access_unit: &[u8]) -> Vec<Vec<u8>> {
    let write = |payload: Payload<'_>| {
        let mut out = vec![0; payload.len()];
        payload.write(&mut out).unwrap();
        out
    };
    Payloads::new(Units::new(access_unit).unwrap())
        .map(write)
        .collect()
}

/// What the payloads join to; `None` if one does not fit, or the last unit has no end.
fn join(payloads: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (mut joiner, mut joined) = (Joiner::default(), Vec::new());
    for payload in payloads {
        joiner.join(payload, &mut |part| joined.extend_from_slice(part))?;
    }
    joiner.is_whole().then_some(joined)
}

#[test]
fn units_are_what_is_between_start_codes_of_either_length() {
    let access_unit = [
        0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 2, 0, 0, 0, 0, 1, 0x65, 3, 0, 0,
    ];
    let expected: [&[u8]; 3] = [&[0x67, 1], &[0x68, 0, 2], &[0x65, 3]];
    assert_eq!(units(&access_unit).unwrap(), expected);
    assert_eq!(units(&[0, 0, 1, 0, 0, 1, 9]).unwrap(), [&[9]]);
    assert_eq!(units(&[1, 0, 0, 1, 9]), None);
    assert_eq!(units(&[0x65, 1, 2]), None);
}

#[test]
fn a_key_picture_has_its_parameter_sets_before_it() {
    let (sps, pps, idr, other) = (vec![0x67, 1], vec![0x68, 1], vec![0x65, 1], vec![0x41, 1]);
    let key = |units: &[&Vec<u8>]| {
        let units: Vec<Vec<u8>> = units.iter().map(|unit| (*unit).clone()).collect();
        is_key(&annex_b(&units))
    };
    assert_eq!(key(&[&sps, &pps, &idr, &idr]), Ok(true));
    assert_eq!(key(&[&sps, &pps, &other]), Ok(false));
    assert_eq!(key(&[&other]), Ok(false));
    assert_eq!(key(&[&sps, &idr, &pps]), Err(Unfit::NoParameterSets));
    assert_eq!(key(&[&idr]), Err(Unfit::NoParameterSets));
    assert_eq!(is_key(&[0, 0, 1]), Err(Unfit::Malformed));
    for header in [0xE5, 0, 24, 28] {
        assert_eq!(is_key(&[0, 0, 1, header, 1]), Err(Unfit::Malformed));
    }
}

#[test]
fn small_units_share_a_payload_and_large_ones_are_cut() {
    let sizes = [10, 8, 2_000, 960, 961, 5];
    let units: Vec<Vec<u8>> = sizes.map(|size| vec![0x41; size]).to_vec();
    let heads: Vec<(u8, u8, usize)> = payloads(&annex_b(&units))
        .iter()
        .map(|payload| (payload[0], payload[1], payload.len()))
        .collect();
    let expected = [
        (0x58, 0, 1 + 2 + 10 + 2 + 8),
        (0x5C, 0x81, 669),
        (0x5C, 0x01, 669),
        (0x5C, 0x41, 667),
        (0x41, 0x41, 960),
        (0x5C, 0x81, 482),
        (0x5C, 0x41, 482),
        (0x41, 0x41, 5),
    ];
    assert_eq!(heads, expected);
}

#[test]
fn payloads_that_do_not_continue_are_refused() {
    let cases: [&[&[u8]]; 13] = [
        // Begun twice, not begun, not ended, of another type, of nothing.
        &[&[0x5C, 0x81, 1], &[0x5C, 0x81, 1], &[0x5C, 0x41, 1]],
        &[&[0x5C, 0x41, 1]],
        &[&[0x5C, 0x81, 1]],
        &[&[0x5C, 0x81, 1], &[0x5C, 0x45, 1]],
        &[&[0x5C, 0x81, 1], &[0x5C, 0x41]],
        &[&[0x5C, 0xC1, 1]],
        // Another unit in the middle.
        &[&[0x5C, 0x81, 1], &[0x41, 1], &[0x5C, 0x41, 1]],
        // A STAP-A in a STAP-A, one that overruns, one with an empty unit, one without any.
        &[&[0x58, 0, 2, 0x58, 1]],
        &[&[0x58, 0, 3, 0x41, 1]],
        &[&[0x58, 0, 0]],
        &[&[0x58]],
        // Other kinds of payload, and the error bit.
        &[&[0x5D, 0x81, 1]],
        &[&[0xC1, 1]],
    ];
    for case in cases {
        let payloads: Vec<Vec<u8>> = case.iter().map(|payload| payload.to_vec()).collect();
        assert_eq!(join(&payloads), None, "{case:?}");
    }
}

proptest! {
    #[test]
    fn what_is_cut_joins_to_the_same_units(
        units in prop::collection::vec((1u8..24, 0u8..4, 0usize..3_000, 1u8..=255), 1..20),
    ) {
        let unit = |(kind, importance, len, fill): (u8, u8, usize, u8)| {
            let mut unit = vec![importance << 5 | kind];
            unit.extend(std::iter::repeat_n(fill, len));
            unit
        };
        let access_unit = annex_b(&units.into_iter().map(unit).collect::<Vec<_>>());
        let payloads = payloads(&access_unit);
        for payload in &payloads {
            prop_assert!((1..=MAX_PICTURE_PAYLOAD).contains(&payload.len()));
        }
        prop_assert_eq!(join(&payloads), Some(access_unit));
    }

    #[test]
    fn any_bytes_are_cut_and_join_to_their_units(bytes in prop::collection::vec(0u8..4, 0..200)) {
        let access_unit = [START_CODE, &bytes].concat();
        let _ = is_key(&access_unit);
        let payloads = payloads(&access_unit);
        if is_key(&access_unit).is_ok() {
            let joined = join(&payloads).unwrap();
            prop_assert_eq!(units(&joined), units(&access_unit));
        }
    }

    #[test]
    fn any_payloads_are_joined_or_refused(
        payloads in prop::collection::vec(
            (prop::sample::select(vec![0x41u8, 0x58, 0x5C, 0xFF]), prop::collection::vec(any::<u8>(), 0..12)), 0..6),
    ) {
        let payloads: Vec<Vec<u8>> = payloads.into_iter().map(|(head, rest)| [&[head][..], &rest].concat()).collect();
        let _ = join(&payloads);
    }
}
