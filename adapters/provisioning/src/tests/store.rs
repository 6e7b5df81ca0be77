use std::vec::Vec;

use embassy_futures::block_on;
use proptest::prelude::*;
use sequential_storage::cache::Cache;
use sequential_storage::map::{MapConfig, MapStorage};

use super::flash::{Flash, SECTOR};
use super::settings;
use crate::{LoadError, SaveError, Settings, Store};

fn store(flash: &mut Flash) -> Store<&mut Flash> {
    let end = flash.bytes.len() as u32;
    Store::new(flash, 0..end).unwrap()
}

fn load(flash: &mut Flash) -> Result<Option<Settings>, LoadError> {
    block_on(store(flash).load())
}

fn save(flash: &mut Flash, settings: &Settings) -> Result<(), SaveError> {
    block_on(store(flash).save(settings))
}

#[test]
fn settings_are_there_after_a_restart() {
    let mut flash = Flash::new(2);
    assert_eq!(load(&mut flash), Ok(None));
    for n in 0..100 {
        save(&mut flash, &settings(n)).unwrap();
        assert_eq!(load(&mut flash), Ok(Some(settings(n))));
    }
    // What the documentation of `Store` says of wear.
    assert!((1..=50).contains(&flash.erased), "{}", flash.erased);
    block_on(store(&mut flash).erase()).unwrap();
    assert_eq!(load(&mut flash), Ok(None));
}

#[test]
fn whatever_was_in_flash_does_not_prevent_a_save() {
    for byte in [0x00, 0x55, 0xff] {
        let mut flash = Flash::new(2);
        flash.bytes.fill(byte);
        save(&mut flash, &settings(1)).unwrap();
        assert_eq!(load(&mut flash), Ok(Some(settings(1))));
    }
}

/// Writes what another firmware would.
pub(super) fn put(flash: &mut Flash, record: &[u8]) {
    let config = MapConfig::new(0..flash.bytes.len() as u32);
    let mut map = MapStorage::new(flash, config, Cache::new_uncached());
    block_on(map.store_item(&mut [0; 2_048], &0u8, &record)).unwrap();
}

#[test]
fn another_version_is_named_and_replaced() {
    let mut flash = Flash::new(2);
    put(&mut flash, &[2, 1, 2, 3]);
    assert_eq!(load(&mut flash), Err(LoadError::Version(2)));
    save(&mut flash, &settings(1)).unwrap();
    assert_eq!(load(&mut flash), Ok(Some(settings(1))));
}

#[test]
fn values_that_nobody_could_have_said_are_damage() {
    // Version, Wi-Fi with an empty name and no password, host "h", port 1, key, token "t".
    let tail = [&[1, b'h', 1][..], &[0; 32], &[1, b't']].concat();
    for (wifi, expected) in [
        (&[0][..], true),
        (&[1, 1, b'n', 0], true),
        (&[1, 0, 0], false),
    ] {
        let mut flash = Flash::new(2);
        put(&mut flash, &[&[1], wifi, &tail].concat());
        assert_eq!(load(&mut flash).is_ok(), expected, "{wifi:?}");
    }
    let mut flash = Flash::new(2);
    put(&mut flash, &[]);
    assert_eq!(load(&mut flash), Err(LoadError::Damaged));
}

#[test]
fn worn_flash_is_noticed() {
    let mut flash = Flash::new(2);
    flash.stuck = true;
    assert_eq!(save(&mut flash, &settings(1)), Err(SaveError));
    let mut flash = Flash::new(2);
    flash.unreadable = true;
    assert_eq!(load(&mut flash), Err(LoadError::Flash));
    assert_eq!(save(&mut flash, &settings(1)), Err(SaveError));
}

#[test]
fn a_power_failure_leaves_the_old_or_the_new() {
    // Two records fill a sector: some of these saves begin another.
    for before in 1..5 {
        for power in (0..1_400).step_by(41) {
            let mut flash = Flash::new(2);
            for n in 0..before {
                save(&mut flash, &settings(n)).unwrap();
            }
            flash.power = Some(power);
            let saved = save(&mut flash, &settings(before));
            flash.power = None;
            let found = load(&mut flash).unwrap();
            let old = found == Some(settings(before - 1)) && saved.is_err();
            assert!(
                old || found == Some(settings(before)),
                "{before} {power} {found:?}"
            );
            save(&mut flash, &settings(99)).unwrap();
        }
    }
}

#[test]
fn a_range_that_is_no_store_is_refused() {
    let mut flash = Flash::new(2);
    let sector = SECTOR as u32;
    for range in [0..sector, 0..3 * sector, 1..2 * sector] {
        assert!(Store::new(&mut flash, range.clone()).is_none(), "{range:?}");
    }
}

proptest! {
    #[test]
    fn any_flash_is_read_and_then_written(
        pattern in prop::collection::vec(any::<u8>(), 1..64),
        used in 0..2 * SECTOR,
        damage in prop::collection::vec((0..2 * SECTOR, any::<u8>()), 0..20),
        saved in any::<bool>(),
    ) {
        let mut flash = Flash::new(2);
        for (place, byte) in flash.bytes[..used].iter_mut().zip(pattern.iter().cycle()) {
            *place = *byte;
        }
        if saved {
            save(&mut flash, &settings(1)).unwrap();
        }
        for (place, byte) in damage {
            flash.bytes[place] = byte;
        }
        let found = load(&mut flash);
        prop_assert!(matches!(found, Ok(None) | Err(_)) || found == Ok(Some(settings(1))));
        save(&mut flash, &settings(2)).unwrap();
        prop_assert_eq!(load(&mut flash), Ok(Some(settings(2))));
    }
}

#[test]
fn the_longest_settings_fill_no_more_than_the_buffer() {
    let bytes: Vec<u8> = postcard::to_slice(&settings(1), &mut [0; 2_048])
        .unwrap()
        .to_vec();
    assert!(bytes.len() < 1_216, "{}", bytes.len());
}
