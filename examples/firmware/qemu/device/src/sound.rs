//! A recording as the microphone, and a file as the loudspeaker.

use core::convert::Infallible;
use core::ffi::CStr;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Ticker};
use parlour_embassy::core::audio::codec::SampleRate;
use parlour_embassy::{AudioIn, AudioOut};

use crate::BUTTON;
use crate::board::host::{self, File};
use crate::board::println;

pub(crate) const RATE: SampleRate = SampleRate::Hz16000;

/// 16-bit mono PCM at 16 kHz behind a header of 44 bytes.
static WAV: &[u8] = include_bytes!("../../../../assets/device.wav");
const HEADER: usize = 44;

/// Signals the end of the recording.
pub(crate) static SAID: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Plays the recording from its start whenever the button is pressed, at the pace of a microphone.
pub(crate) struct Recording {
    clock: Ticker,
    at: usize,
}

impl Recording {
    pub(crate) fn new() -> Self {
        Self {
            clock: Ticker::every(Duration::from_millis(20)),
            at: 0,
        }
    }
}

impl AudioIn for Recording {
    type Error = Infallible;

    fn sample_rate(&self) -> SampleRate {
        RATE
    }

    async fn read(&mut self, frame: &mut [i16]) -> Result<(), Infallible> {
        self.clock.next().await;
        frame.fill(0);
        if !BUTTON.is_pressed() {
            self.at = 0;
            return Ok(());
        }
        let rest = WAV.get(HEADER + 2 * self.at..).unwrap_or_default();
        let samples = rest.chunks_exact(2);
        if samples.len() == 0 {
            SAID.signal(());
        }
        for (place, bytes) in frame.iter_mut().zip(samples) {
            *place = i16::from_le_bytes([bytes[0], bytes[1]]);
        }
        self.at += frame.len();
        Ok(())
    }
}

/// Writes the received audio to a file of the host, as raw 16-bit little-endian PCM; without a file it is discarded.
pub(crate) struct Loudspeaker(Option<File>);

impl Loudspeaker {
    pub(crate) fn new(path: Option<&CStr>) -> Self {
        let file = path.and_then(|path| File::create(path).ok());
        if let (Some(path), None) = (path, &file) {
            println!("cannot write what is heard to {path:?}");
        }
        Self(file)
    }
}

impl AudioOut for Loudspeaker {
    type Error = host::Error;

    fn sample_rate(&self) -> SampleRate {
        RATE
    }

    async fn write(&mut self, frame: &[i16]) -> Result<(), Self::Error> {
        let Some(file) = &mut self.0 else {
            return Ok(());
        };
        for part in frame.chunks(160) {
            let mut bytes = [0; 320];
            for (place, sample) in bytes.chunks_exact_mut(2).zip(part) {
                place.copy_from_slice(&sample.to_le_bytes());
            }
            file.write_all(&bytes[..2 * part.len()])?;
        }
        Ok(())
    }
}
