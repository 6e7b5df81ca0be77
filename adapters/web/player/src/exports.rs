//! What the worklet calls. One module has one playback.
//!
//! The names are those of the exports only in WebAssembly: elsewhere they would replace functions of the C library.

use std::cell::RefCell;

use parlour_core::audio::Packet;
use parlour_core::room::Codec;
use parlour_core::time::Instant;

use crate::{MAX_PAYLOAD, MAX_SAMPLES, Playback};

struct State {
    playback: Playback,
    payload: [u8; MAX_PAYLOAD],
    out: Vec<f32>,
}

thread_local! {
    static STATE: RefCell<Box<State>> = RefCell::new(Box::new(State {
        playback: Playback::default(),
        payload: [0; MAX_PAYLOAD],
        out: vec![0.0; MAX_SAMPLES],
    }));
}

fn at(now: f64) -> Instant {
    Instant::from_micros((now * 1_000.0) as u64)
}

/// Where the payload of a packet goes in.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn payload() -> *const u8 {
    STATE.with_borrow(|state| state.payload.as_ptr())
}

/// See [`Playback::prepare`].
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn prepare(count: u32) {
    STATE.with_borrow_mut(|state| state.playback.prepare(count as usize));
}

/// Takes a packet whose payload of `len` bytes is at [`payload`]; 0: taken.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn push(
    now: f64,
    slot: u32,
    sequence: f64,
    timestamp: f64,
    duration: u32,
    payload_type: u32,
    speaker: u32,
    marker: u32,
    len: u32,
) -> u32 {
    STATE.with_borrow_mut(|state| {
        let State {
            playback, payload, ..
        } = &mut **state;
        let codec = u8::try_from(payload_type)
            .ok()
            .and_then(Codec::from_payload_type);
        let (Some(codec), Some(payload)) = (codec, payload.get(..len as usize)) else {
            return 1;
        };
        let packet = Packet {
            sequence: sequence as u64,
            timestamp: timestamp as u64,
            duration,
            codec,
            speaker: Some(speaker),
            marker: marker != 0,
            payload,
        };
        (!playback.push(at(now), slot as usize, packet)).into()
    })
}

/// Mixes so many samples, at most [`MAX_SAMPLES`], and says where they are.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn read(now: f64, samples: u32) -> *const f32 {
    STATE.with_borrow_mut(|state| {
        let State { playback, out, .. } = &mut **state;
        if let Some(out) = out.get_mut(..samples as usize) {
            playback.read(at(now), out);
        }
        out.as_ptr()
    })
}

/// See [`Playback::restart`].
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn restart() {
    STATE.with_borrow_mut(|state| state.playback.restart());
}

/// A figure of a slot's jitter buffer, by its place in this list: packets received, late and lost, samples concealed, delay and
/// its target in samples; −1 if the slot has never been heard.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn statistic(slot: u32, figure: u32) -> f64 {
    STATE.with_borrow(|state| {
        let Some(counted) = state.playback.statistics(slot as usize) else {
            return -1.0;
        };
        let figures = [
            counted.received,
            counted.late,
            counted.lost,
            counted.concealed,
            counted.delay.into(),
            counted.target.into(),
        ];
        figures
            .get(figure as usize)
            .map_or(-1.0, |&figure| figure as f64)
    })
}
