//! An I2S microphone and an I2S amplifier, 16 kHz mono. They have a bus each, so that one keeps running when the other
//! is restarted; the chip derives both clocks from one source, so that neither drifts.

use core::iter;

use esp_hal::Async;
use esp_hal::dma::{DmaRxStreamBuf, DmaTxStreamBuf};
use esp_hal::i2s::master::{
    Channels, ConfigError, DataFormat, Error as I2sError, I2s, I2sRx, I2sRxDmaTransfer, I2sTx,
    I2sTxDmaTransfer, TdmConfig,
};
use esp_hal::time::Rate;
use esp_hal::{dma_rx_stream_buffer, dma_tx_stream_buffer};
use heapless::Deque;
use parlour_device_parts::slot::{self, SLOT};
use thiserror::Error;

use crate::board::Sound;

/// Samples of 20 ms.
pub const FRAME: usize = 320;
/// A descriptor of the DMA: 10 ms.
const CHUNK: usize = FRAME * SLOT / 2;
/// 80 ms in each direction: the longest tolerated delay of the audio task.
const RING: usize = 8 * CHUNK;

/// Why there is no audio.
#[derive(Debug, Error)]
pub enum SoundError {
    #[error("I2S does not take these settings: {0:?}")]
    Config(ConfigError),
    #[error("I2S does not start, or stopped: {0:?}")]
    Stream(I2sError),
}

impl From<I2sError> for SoundError {
    fn from(error: I2sError) -> Self {
        Self::Stream(error)
    }
}

/// Starts both.
pub fn start(parts: Sound) -> Result<(Microphone, Loudspeaker), SoundError> {
    // 32 clocks a slot, as the microphone needs; the amplifier takes any number. Memory holds one slot of the two: the
    // microphone's left slot, and the loudspeaker's both.
    let config = TdmConfig::new_tdm_philips()
        .with_sample_rate(Rate::from_hz(16_000))
        .with_data_format(DataFormat::Data32Channel32)
        .with_channels(Channels::MONO);
    let i2s = I2s::new(parts.i2s, parts.dma, config);
    let i2s = i2s.map_err(SoundError::Config)?.into_async();
    let wires = parts.microphone;
    let input = i2s
        .i2s_rx
        .with_bclk(wires.bit_clock)
        .with_ws(wires.word_select);
    let input = input.with_din(wires.data).build();
    let wires = parts.loudspeaker;
    let output = i2s
        .i2s_tx
        .with_bclk(wires.bit_clock)
        .with_ws(wires.word_select);
    let output = output.with_dout(wires.data).build();
    let microphone = Microphone {
        transfer: Some(listen(input, dma_rx_stream_buffer!(RING, CHUNK))?),
        samples: Deque::new(),
    };
    let loudspeaker = Loudspeaker {
        transfer: Some(play(output, dma_tx_stream_buffer!(RING, CHUNK))?),
    };
    Ok((microphone, loudspeaker))
}

type Listening = I2sRxDmaTransfer<'static, Async, DmaRxStreamBuf>;
type Playing = I2sTxDmaTransfer<'static, Async, DmaTxStreamBuf>;

fn listen(input: I2sRx<'static, Async>, ring: DmaRxStreamBuf) -> Result<Listening, I2sError> {
    input.read(ring).map_err(|(error, ..)| error)
}

/// Starts with silence of half the ring, which stays the distance to the written audio.
fn play(output: I2sTx<'static, Async>, mut ring: DmaTxStreamBuf) -> Result<Playing, I2sError> {
    ring.push(&[0; RING / 2]);
    output.write(ring).map_err(|(error, ..)| error)
}

/// An INMP441, or any other microphone with 24 bits in the left slot.
pub struct Microphone {
    transfer: Option<Listening>,
    /// Taken from the ring, which is emptied whole: at most all of it, beside less than a frame.
    samples: Deque<i16, { RING / SLOT + FRAME }>,
}

impl Microphone {
    /// Waits for 20 ms. Audio that is not read within 80 ms is lost.
    pub async fn read(&mut self, frame: &mut [i16]) -> Result<(), I2sError> {
        let mut started_anew = false;
        while self.samples.len() < frame.len() {
            let transfer = self.transfer.as_mut().ok_or(I2sError::Unknown)?;
            let bytes = transfer.peek();
            let read = bytes.len();
            for slot in bytes.as_chunks().0 {
                // There is room: see `samples`.
                let _ = self.samples.push_back(slot::heard(*slot));
            }
            transfer.consume(read);
            if read > 0 {
                continue;
            }
            // An error means that the ring was full, and the DMA has stopped.
            if let Err(error) = transfer.wait_for_available_async().await {
                if started_anew {
                    return Err(error.into());
                }
                self.start_anew()?;
                started_anew = true;
            }
        }
        for (place, sample) in iter::zip(frame, iter::from_fn(|| self.samples.pop_front())) {
            *place = sample;
        }
        Ok(())
    }

    fn start_anew(&mut self) -> Result<(), I2sError> {
        if let Some(transfer) = self.transfer.take() {
            let (input, ring) = transfer.stop();
            self.transfer = Some(listen(input, ring)?);
        }
        Ok(())
    }
}

/// A MAX98357A, or any other amplifier or converter that needs no master clock.
pub struct Loudspeaker {
    transfer: Option<Playing>,
}

impl Loudspeaker {
    /// Plays 20 ms; waits until there is room for them.
    pub async fn write(&mut self, frame: &[i16]) -> Result<(), I2sError> {
        let needed = frame.len() * SLOT;
        let mut started_anew = false;
        loop {
            let transfer = self.transfer.as_mut().ok_or(I2sError::Unknown)?;
            let room = transfer.available_bytes();
            // A ring that ran empty does not restart.
            let mut stopped = room >= RING;
            if !stopped && room >= needed {
                break;
            }
            if !stopped {
                stopped = transfer.wait_for_available_async().await.is_err();
            }
            if stopped && started_anew {
                return Err(I2sError::Unknown);
            }
            if stopped {
                self.start_anew()?;
                started_anew = true;
            }
        }
        if let Some(transfer) = &mut self.transfer {
            for samples in frame.chunks(FRAME / 2) {
                let mut bytes = [0; CHUNK];
                for (place, sample) in iter::zip(bytes.as_chunks_mut().0, samples) {
                    *place = slot::said(*sample);
                }
                transfer.push(&bytes[..samples.len() * SLOT]);
            }
        }
        Ok(())
    }

    fn start_anew(&mut self) -> Result<(), I2sError> {
        if let Some(transfer) = self.transfer.take() {
            let (output, ring) = transfer.stop();
            // A new ring is empty.
            let (descriptors, bytes) = ring.split();
            let ring = DmaTxStreamBuf::new(descriptors, bytes);
            self.transfer = Some(play(output, ring.map_err(|_| I2sError::IllegalArgument)?)?);
        }
        Ok(())
    }
}

#[cfg(feature = "parlour")]
mod room {
    use parlour_embassy::core::audio::codec::SampleRate;
    use parlour_embassy::{AudioIn, AudioOut};

    use super::{I2sError, Loudspeaker, Microphone};

    impl AudioIn for Microphone {
        type Error = I2sError;

        fn sample_rate(&self) -> SampleRate {
            SampleRate::Hz16000
        }

        async fn read(&mut self, frame: &mut [i16]) -> Result<(), I2sError> {
            self.read(frame).await
        }
    }

    impl AudioOut for Loudspeaker {
        type Error = I2sError;

        fn sample_rate(&self) -> SampleRate {
            SampleRate::Hz16000
        }

        async fn write(&mut self, frame: &[i16]) -> Result<(), I2sError> {
            self.write(frame).await
        }
    }
}
