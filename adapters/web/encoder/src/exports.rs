//! What the worker calls. One module has one microphone.
//!
//! The names are those of the exports only in WebAssembly: elsewhere they would replace functions of the C library.

use std::cell::RefCell;

use parlour_core::time::Instant;

use crate::{Frame, MAX_SAMPLES, Microphone};

struct State {
    microphone: Option<Microphone>,
    input: Vec<f32>,
    frame: Frame,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State {
        microphone: None,
        input: vec![0.0; MAX_SAMPLES],
        frame: Frame { len: 0, timestamp: 0, level: 127 },
    });
}

/// Begins anew with these settings; 0 if the bit rate is one of Opus.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn open(bitrate: u32, dtx: u32) -> u32 {
    let microphone = Microphone::new(bitrate, dtx != 0).ok();
    let failed = microphone.is_none();
    STATE.with_borrow_mut(|state| state.microphone = microphone);
    failed.into()
}

/// Where samples go in, at most [`MAX_SAMPLES`].
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn input() -> *const f32 {
    STATE.with_borrow(|state| state.input.as_ptr())
}

/// Takes in the samples at [`input`]; a negative `loss` is not known.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn write(now: f64, samples: u32, loss: i32) {
    STATE.with_borrow_mut(|state| {
        let State {
            microphone, input, ..
        } = state;
        let (Some(microphone), Some(pcm)) = (microphone, input.get(..samples as usize)) else {
            return;
        };
        microphone.write(
            Instant::from_micros((now * 1_000.0) as u64),
            pcm,
            u8::try_from(loss).ok(),
        );
    });
}

/// Bytes of the next frame; 0: of silence, −1: there is none.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn next() -> i32 {
    STATE.with_borrow_mut(|state| {
        let Some(frame) = state.microphone.as_mut().and_then(Microphone::next_frame) else {
            return -1;
        };
        state.frame = frame;
        frame.len as i32
    })
}

/// The last frame's payload.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn payload() -> *const u8 {
    STATE.with_borrow(|state| {
        let microphone = state.microphone.as_ref();
        microphone.map_or(core::ptr::null(), |microphone| {
            microphone.payload().as_ptr()
        })
    })
}

/// The last frame's RTP timestamp.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn timestamp() -> u32 {
    STATE.with_borrow(|state| state.frame.timestamp)
}

/// The last frame's loudness in −dBov.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn level() -> u32 {
    STATE.with_borrow(|state| state.frame.level.into())
}
