//! From the microphone to the room and from the room to the loudspeaker, 20 ms at a time.
//!
//! ```text
//!  AudioIn ──► EchoCanceller ──► TalkGate ──► AudioWriter ──► room
//!                    ▲ reference
//!  AudioOut ◄────────┴─────────────────────── MixedReader ◄── room
//! ```
//!
//! Both drivers work at the same time, and each frame of one belongs to a frame of the other. There is no buffer here:
//! what the room has for the loudspeaker goes to its driver at once, and what the microphone says goes to the room in
//! the moment in which its driver has it, whether the loudspeaker is done or not.

mod line;

use core::ops::ControlFlow;

use embassy_futures::join::join;
use parlour_core::client::Profile;
use parlour_core::time::Instant;
use thiserror::Error;

use crate::gate::TalkGate;
use crate::time::{now, wait_until};
use crate::{
    AudioIn, AudioOut, AudioWriter, Device, EchoCanceller, FRAME, MixedReader, NoEchoCanceller,
    WriteError,
};
use line::{Attempt, Lag, Line, SHORTEST};

/// Microphone, loudspeaker, writer and reader are not all at one rate, of which a frame holds `N` samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error(
    "give microphone, loudspeaker, writer and reader one rate, and N the samples of 20 ms at it"
)]
pub struct RateMismatch;

/// The reason that 20 ms were not whole.
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
    /// See [`RateMismatch`].
    #[error(transparent)]
    SampleRate(#[from] RateMismatch),
}

/// Something befell the sound of a device, which goes on: see [`Duplex::run_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SoundEvent<I, O> {
    /// The audio task is behind by so many frames of 20 ms more. Drivers with rings that are long enough make up for
    /// it; the sound of others has a gap. If it comes all the time, a driver is too slow, or a task hogs the
    /// processor.
    Late {
        /// Frames of 20 ms.
        frames: u32,
    },
    /// The microphone failed, and is started anew; until then nothing is sent.
    MicrophoneFailed(I),
    /// The microphone works again.
    MicrophoneRecovered,
    /// The loudspeaker failed, and is started anew; until then it is silent.
    LoudspeakerFailed(O),
    /// The loudspeaker works again.
    LoudspeakerRecovered,
    /// Frames are not sent, from this one on. The loudspeaker plays on.
    NotSent(WriteError),
}

/// Counts since the start of a device; see [`Room::sound_statistics`](crate::Room::sound_statistics). They wrap around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SoundStatistics {
    /// Frames of 20 ms by which the audio task came late; see [`SoundEvent::Late`].
    pub late: u32,
    /// Failures of the microphone.
    pub microphone_failures: u32,
    /// Failures of the loudspeaker.
    pub loudspeaker_failures: u32,
    /// Frames that were to be sent, and were not: see [`WriteError`].
    pub not_sent: u32,
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

/// How the sound has gone so far.
#[derive(Default)]
struct Course {
    microphone: Line,
    loudspeaker: Line,
    lag: Lag,
    not_sent: bool,
}

impl Course {
    /// Counts and tells what 20 ms have brought.
    fn account<I, O, P: Profile>(
        &mut self,
        done: Done<I, O>,
        now: Instant,
        writer: &AudioWriter<'_, P>,
        tell: &mut impl FnMut(SoundEvent<I, O>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let frames = self.lag.frame_done(now);
        if frames > 0 {
            writer.count(|counts| counts.late = counts.late.wrapping_add(frames));
            tell(SoundEvent::Late { frames })?;
        }
        match done.taken {
            Some(Err(error)) => {
                self.microphone.failed(now);
                writer.count(|counts| add_one(&mut counts.microphone_failures));
                tell(SoundEvent::MicrophoneFailed(error))?;
            }
            Some(Ok(())) if self.microphone.worked() => tell(SoundEvent::MicrophoneRecovered)?,
            _ => {}
        }
        match done.played {
            Some(Err(error)) => {
                self.loudspeaker.failed(now);
                writer.count(|counts| add_one(&mut counts.loudspeaker_failures));
                tell(SoundEvent::LoudspeakerFailed(error))?;
            }
            Some(Ok(())) if self.loudspeaker.worked() => tell(SoundEvent::LoudspeakerRecovered)?,
            _ => {}
        }
        let failed_before = self.not_sent;
        self.not_sent = done.sent.is_err();
        if let Err(error) = done.sent {
            writer.count(|counts| add_one(&mut counts.not_sent));
            if !failed_before {
                tell(SoundEvent::NotSent(error))?;
            }
        }
        ControlFlow::Continue(())
    }
}

fn add_one(count: &mut u32) {
    *count = count.wrapping_add(1);
}

/// What 20 ms have brought; `None` for a driver that rested.
struct Done<I, O> {
    played: Option<Result<(), O>>,
    taken: Option<Result<(), I>>,
    sent: Result<(), WriteError>,
}

impl<I, O, E, G, P, const N: usize> Duplex<'_, I, O, E, G, P, N>
where
    I: AudioIn,
    O: AudioOut,
    E: EchoCanceller,
    G: TalkGate,
    P: Profile,
{
    /// Talks until it is dropped. A driver that fails is [started anew](AudioIn::restart), again and again with pauses
    /// of up to two seconds, while the other one goes on. [`Room::sound_statistics`](crate::Room::sound_statistics)
    /// counts that; [`run_with`](Self::run_with) tells.
    ///
    /// # Errors
    /// [`RateMismatch`], at once.
    pub async fn run(&mut self) -> RateMismatch {
        loop {
            if let Err(error) = self.run_with(|_| ControlFlow::Continue(())).await {
                return error;
            }
        }
    }

    /// Talks like [`run`](Self::run), and tells `tell` what befalls the sound, until that breaks.
    ///
    /// ```no_run
    /// # use core::{fmt::Debug, ops::ControlFlow};
    /// # use parlour_embassy::{AudioIn, AudioOut, Duplex, SoundEvent};
    /// # async fn talk<I: AudioIn<Error: Debug>, O: AudioOut<Error: Debug>>(mut telephone: Duplex<'static, I, O>) {
    /// let mut failures = 0;
    /// let ended = telephone.run_with(|event| {
    ///     println!("sound: {event:?}");
    ///     failures += u32::from(matches!(event, SoundEvent::MicrophoneFailed(_)));
    ///     if failures < 100 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    /// });
    /// match ended.await {
    ///     Ok(()) => println!("reset the codec chip"),
    ///     Err(mismatch) => println!("{mismatch}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RateMismatch`], at once.
    pub async fn run_with(
        &mut self,
        mut tell: impl FnMut(SoundEvent<I::Error, O::Error>) -> ControlFlow<()>,
    ) -> Result<(), RateMismatch> {
        self.check()?;
        let mut course = Course::default();
        let mut begun = now();
        loop {
            let attempts = [&course.microphone, &course.loudspeaker];
            let done = self
                .exchange(attempts.map(|line| line.attempt(begun)))
                .await;
            let whole = matches!((&done.taken, &done.played), (Some(Ok(())), Some(Ok(()))));
            let (shortest, mut ended) = (begun + SHORTEST, now());
            if !whole && ended < shortest {
                wait_until(Some(shortest)).await;
                ended = now();
            }
            let told = course.account(done, ended, &self.writer, &mut tell);
            if told.is_break() {
                return Ok(());
            }
            begun = ended;
        }
    }

    /// Plays 20 ms and takes 20 ms in, at the same time: for a loop of your own, which restarts and counts by itself.
    ///
    /// # Errors
    /// [`DuplexError`]: the first of what went wrong. The rest of the 20 ms is done all the same.
    pub async fn step(&mut self) -> Result<(), DuplexError<I::Error, O::Error>> {
        self.check()?;
        let done = self.exchange([Attempt::Transfer; 2]).await;
        (done.played.unwrap_or(Ok(()))).map_err(DuplexError::Loudspeaker)?;
        (done.taken.unwrap_or(Ok(()))).map_err(DuplexError::Microphone)?;
        Ok(done.sent?)
    }

    /// Both directions at once, as `attempts` says of microphone and loudspeaker.
    async fn exchange(&mut self, attempts: [Attempt; 2]) -> Done<I::Error, O::Error> {
        let Self {
            microphone,
            loudspeaker,
            echo_canceller,
            gate,
            writer,
            reader,
        } = self;
        let [take, play] = attempts;
        let mut heard = [0; N];
        reader.read(&mut heard);
        if play == Attempt::Rest {
            heard = [0; N];
        }
        let playing = async {
            let started = match play {
                Attempt::Restart => loudspeaker.restart().await,
                Attempt::Transfer => Ok(()),
                Attempt::Rest => return None,
            };
            match started {
                Ok(()) => Some(loudspeaker.write(&heard).await),
                failed => Some(failed),
            }
        };
        let taking = async {
            let started = match take {
                Attempt::Restart => Some(microphone.restart().await),
                Attempt::Transfer => Some(Ok(())),
                Attempt::Rest => None,
            };
            let mut said = [0; N];
            let taken = match started {
                Some(Ok(())) => Some(microphone.read(&mut said).await),
                not_started => not_started,
            };
            if !matches!(taken, Some(Ok(()))) {
                writer.silence();
                return (taken, Ok(()));
            }
            echo_canceller.process(&mut said, &heard);
            if gate.is_open(&said) {
                return (taken, writer.write(&said));
            }
            writer.silence();
            (taken, Ok(()))
        };
        let (played, (taken, sent)) = join(playing, taking).await;
        Done {
            played,
            taken,
            sent,
        }
    }

    fn check(&self) -> Result<(), RateMismatch> {
        let rate = self.reader.sample_rate();
        let one_rate = [
            self.microphone.sample_rate(),
            self.loudspeaker.sample_rate(),
            self.writer.sample_rate(),
        ] == [rate; 3];
        if one_rate && rate.samples(FRAME.ms()) == N {
            Ok(())
        } else {
            Err(RateMismatch)
        }
    }
}
