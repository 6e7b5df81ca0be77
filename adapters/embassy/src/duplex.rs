//! From the microphone to the room and from the room to the loudspeaker, 20 ms at a time.
//!
//! ```text
//!  AudioIn ──► EchoCanceller ──► TalkGate ──► AudioWriter ──► room
//!                    ▲ reference
//!  AudioOut ◄────────┴─────────────────────── MixedReader ◄── room
//! ```

use core::future::Future;

use parlour_core::audio::codec::SampleRate;
use parlour_core::client::Profile;
use thiserror::Error;

use crate::gate::TalkGate;
use crate::{AudioWriter, Device, FRAME, MixedReader, WriteError};

/// A microphone: an I2S or PDM driver, or a file.
pub trait AudioIn {
    /// The microphone's error.
    type Error;

    /// Samples per second.
    fn sample_rate(&self) -> SampleRate;

    /// Waits for 20 ms of mono PCM, and fills `frame` with it.
    fn read(&mut self, frame: &mut [i16]) -> impl Future<Output = Result<(), Self::Error>>;
}

/// A loudspeaker: an I2S driver, or a file.
pub trait AudioOut {
    /// The loudspeaker's error.
    type Error;

    /// Samples per second.
    fn sample_rate(&self) -> SampleRate;

    /// Plays 20 ms of mono PCM; waits while as much as it likes to hold is still to be played.
    fn write(&mut self, frame: &[i16]) -> impl Future<Output = Result<(), Self::Error>>;
}

/// Takes out of the microphone what the loudspeaker put there.
pub trait EchoCanceller {
    /// Cleans `microphone`. `reference` is the frame handed to the loudspeaker just before. It is heard later, by the
    /// delay of loudspeaker and microphone, which the canceller has to know or to find.
    fn process(&mut self, microphone: &mut [i16], reference: &[i16]);
}

/// For headsets, push-to-talk, and codecs that cancel echo in hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoEchoCanceller;

impl EchoCanceller for NoEchoCanceller {
    fn process(&mut self, _microphone: &mut [i16], _reference: &[i16]) {}
}

/// The reason that a device does not talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DuplexError<I, O> {
    /// The microphone failed.
    #[error("the microphone failed")]
    Microphone(I),
    /// The loudspeaker failed.
    #[error("the loudspeaker failed")]
    Loudspeaker(O),
    /// A frame could not be sent.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Microphone, loudspeaker, writer and reader are not all at one rate, of which a frame holds `N` samples.
    #[error(
        "give microphone, loudspeaker, writer and reader one rate, and N the samples of 20 ms at it"
    )]
    SampleRate,
}

/// A telephone: `N` samples are 20 ms at the rate of all its parts.
///
/// Microphone and loudspeaker are assumed to run on one clock, as on one I2S bus, so that neither gets ahead. If they
/// do not, use [`AudioWriter`] and [`MixedReader`] in a task each.
#[derive(Debug)]
pub struct Duplex<
    'd,
    I,
    O,
    E = NoEchoCanceller,
    G = crate::AlwaysOpen,
    P: Profile = Device,
    const N: usize = 320,
> {
    /// The source of PCM.
    pub microphone: I,
    /// The sink of PCM.
    pub loudspeaker: O,
    /// The filter that removes the loudspeaker's sound from the microphone's.
    pub echo_canceller: E,
    /// Decides when the microphone is sent.
    pub gate: G,
    /// To the room.
    pub writer: AudioWriter<'d, P>,
    /// From the room.
    pub reader: MixedReader<'d>,
}

impl<I, O, E, G, P, const N: usize> Duplex<'_, I, O, E, G, P, N>
where
    I: AudioIn,
    O: AudioOut,
    E: EchoCanceller,
    G: TalkGate,
    P: Profile,
{
    /// Talks until something fails.
    ///
    /// # Errors
    /// Always, at last: [`DuplexError`].
    pub async fn run(&mut self) -> DuplexError<I::Error, O::Error> {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    /// Plays 20 ms, and takes 20 ms in.
    ///
    /// # Errors
    /// [`DuplexError`]
    pub async fn step(&mut self) -> Result<(), DuplexError<I::Error, O::Error>> {
        self.check()?;
        let mut heard = [0; N];
        self.reader.read(&mut heard);
        let played = self.loudspeaker.write(&heard).await;
        played.map_err(DuplexError::Loudspeaker)?;
        let mut said = [0; N];
        let taken = self.microphone.read(&mut said).await;
        taken.map_err(DuplexError::Microphone)?;
        self.echo_canceller.process(&mut said, &heard);
        if self.gate.is_open(&said) {
            self.writer.write(&said)?;
        } else {
            self.writer.silence();
        }
        Ok(())
    }

    fn check(&self) -> Result<(), DuplexError<I::Error, O::Error>> {
        let rate = self.reader.sample_rate();
        let one_rate = [
            self.microphone.sample_rate(),
            self.loudspeaker.sample_rate(),
            self.writer.sample_rate(),
        ] == [rate; 3];
        if one_rate && rate.samples(FRAME.ms()) == N {
            Ok(())
        } else {
            Err(DuplexError::SampleRate)
        }
    }
}
