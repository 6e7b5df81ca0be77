//! Audio on its way in.
#![allow(unused_variables)]

use parlour_core::signal::StreamRef;

/// All that is heard, mixed to mono PCM. The caller's clock is the audio clock: each sample that is read is one of the
/// loudspeaker's.
///
/// Decoding happens in [`read`](Self::read), on the caller's thread: give that 1 MB of stack.
#[derive(Debug)]
pub struct MixedReader {}

impl MixedReader {
    /// Fills `pcm` with what is to be played next: silence where nobody speaks. Never waits.
    pub fn read(&mut self, pcm: &mut [i16]) {
        todo!()
    }

    /// Waits until the next 20 ms are due by this machine's clock, then [reads](Self::read) them, or as much as `pcm`
    /// holds. For those who have no sound card that asks.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) {
        todo!()
    }
}

/// What is heard in one slot: one voice at a time, now one participant's, now another's.
#[derive(Debug)]
pub struct SlotReader {}

impl SlotReader {
    /// Fills `pcm` with what is to be played next, and says who speaks at its end. Never waits.
    pub fn read(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        todo!()
    }

    /// Waits until the next 20 ms are due by this machine's clock, then [reads](Self::read) them.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        todo!()
    }
}
