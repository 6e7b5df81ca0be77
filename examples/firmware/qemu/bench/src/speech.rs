//! Ten seconds of recorded speech in a loop.

use alloc::vec::Vec;

use parlour_core::audio::codec::SampleRate;

pub const RATE: SampleRate = SampleRate::Hz16000;
/// Samples in 20 ms.
pub const FRAME: usize = RATE.samples(20);

/// 16-bit mono PCM at [`RATE`] behind a header of 44 bytes.
static WAV: &[u8] = include_bytes!("../../../../assets/device.wav");
const HEADER: usize = 44;

pub struct Speech {
    pub rate: SampleRate,
    pcm: Vec<i16>,
    at: usize,
}

impl Speech {
    /// At 8 kHz it aliases, which does not change the instruction counts.
    pub fn new(rate: SampleRate) -> Self {
        let bytes = WAV.get(HEADER..).unwrap_or_default().chunks_exact(2);
        let pcm = bytes.map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]));
        let each = (RATE.hz() / rate.hz()) as usize;
        Self {
            rate,
            pcm: pcm.step_by(each).collect(),
            at: 0,
        }
    }

    /// Reads the next samples.
    pub fn read(&mut self, frame: &mut [i16]) {
        if self.pcm.len() < self.at + frame.len() {
            self.at = 0;
        }
        frame.copy_from_slice(&self.pcm[self.at..][..frame.len()]);
        self.at += frame.len();
    }
}
