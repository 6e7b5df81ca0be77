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
use embassy_futures::select::select;
use parlour_core::client::Profile;
use parlour_core::time::Instant;
use thiserror::Error;

use crate::gate::TalkGate;
use crate::time::{now, wait_until};
use crate::{
    AudioIn, AudioOut, AudioWriter, Device, EchoCanceller, FRAME, MixedReader, NoEchoCanceller,
    WriteError,
};
use line::{Attempt, Lag, Line, PATIENCE, SHORTEST};

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
    /// The microphone did not answer for 300 ms, in which nothing was played, either. It is started anew; until then
    /// nothing is sent.
    MicrophoneStalled,
    /// The microphone works again.
    MicrophoneRecovered,
    /// The loudspeaker failed, and is started anew; until then it is silent.
    LoudspeakerFailed(O),
    /// The loudspeaker did not answer for 300 ms, in which nothing was sent, either. It is started anew; until then it
    /// is silent.
    LoudspeakerStalled,
    /// The loudspeaker works again.
    LoudspeakerRecovered,
    /// Frames are not sent, from this one on. The loudspeaker plays on. A cause is told once, until a frame has been
    /// sent again.
    NotSent(WriteError),
}

/// Counts since the start of a device; see [`Room::sound_statistics`](crate::Room::sound_statistics). They wrap around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SoundStatistics {
    /// Frames of 20 ms by which the audio task came late; see [`SoundEvent::Late`].
    pub late: u32,
    /// Failures of the microphone, also those to answer.
    pub microphone_failures: u32,
    /// Failures of the loudspeaker, also those to answer.
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
    /// Why frames are not sent, since one was last.
    not_sent: Option<WriteError>,
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
        let failed = match done.taken {
            Outcome::Rested => None,
            Outcome::Worked => {
                if self.microphone.worked() {
                    tell(SoundEvent::MicrophoneRecovered)?;
                }
                None
            }
            Outcome::Failed(error) => Some(SoundEvent::MicrophoneFailed(error)),
            Outcome::Stalled => Some(SoundEvent::MicrophoneStalled),
        };
        if let Some(event) = failed {
            self.microphone.failed(now);
            writer.count(|counts| add_one(&mut counts.microphone_failures));
            tell(event)?;
        }
        let failed = match done.played {
            Outcome::Rested => None,
            Outcome::Worked => {
                if self.loudspeaker.worked() {
                    tell(SoundEvent::LoudspeakerRecovered)?;
                }
                None
            }
            Outcome::Failed(error) => Some(SoundEvent::LoudspeakerFailed(error)),
            Outcome::Stalled => Some(SoundEvent::LoudspeakerStalled),
        };
        if let Some(event) = failed {
            self.loudspeaker.failed(now);
            writer.count(|counts| add_one(&mut counts.loudspeaker_failures));
            tell(event)?;
        }
        match done.sent {
            Ok(false) => {}
            Ok(true) => self.not_sent = None,
            Err(error) => {
                writer.count(|counts| add_one(&mut counts.not_sent));
                if self.not_sent.replace(error) != Some(error) {
                    tell(SoundEvent::NotSent(error))?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn add_one(count: &mut u32) {
    *count = count.wrapping_add(1);
}

/// What a driver has done in 20 ms.
enum Outcome<E> {
    /// It was left alone.
    Rested,
    Worked,
    Failed(E),
    /// It has not come to an end.
    Stalled,
}

impl<E> Outcome<E> {
    fn of(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Worked,
            Err(error) => Self::Failed(error),
        }
    }

    fn error(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Rested | Self::Worked | Self::Stalled => None,
        }
    }
}

/// What 20 ms have brought.
struct Done<I, O> {
    played: Outcome<O>,
    taken: Outcome<I>,
    /// Whether a packet was.
    sent: Result<bool, WriteError>,
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
    /// of up to two seconds, while the other one goes on. One that does not answer for 300 ms has failed, too: its
    /// future is dropped. [`Room::sound_statistics`](crate::Room::sound_statistics)
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
            let attempts = attempts.map(|line| line.attempt(begun));
            let done = self.exchange(attempts, Some(begun + PATIENCE)).await;
            let both = (&done.taken, &done.played);
            let whole = matches!(both, (Outcome::Worked, Outcome::Worked));
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
    /// [`DuplexError`]: the first of what went wrong. The rest of the 20 ms is done all the same. A driver that does not
    /// answer is waited for.
    pub async fn step(&mut self) -> Result<(), DuplexError<I::Error, O::Error>> {
        self.check()?;
        let done = self.exchange([Attempt::Transfer; 2], None).await;
        if let Some(error) = done.played.error() {
            return Err(DuplexError::Loudspeaker(error));
        }
        if let Some(error) = done.taken.error() {
            return Err(DuplexError::Microphone(error));
        }
        done.sent?;
        Ok(())
    }

    /// Both directions at once, as `attempts` says of microphone and loudspeaker; at most `until` then.
    async fn exchange(
        &mut self,
        attempts: [Attempt; 2],
        until: Option<Instant>,
    ) -> Done<I::Error, O::Error> {
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
        let mut done = Done {
            played: Outcome::Stalled,
            taken: Outcome::Stalled,
            sent: Ok(false),
        };
        let Done {
            played,
            taken,
            sent,
        } = &mut done;
        let playing = async {
            let started = match play {
                Attempt::Restart => loudspeaker.restart().await,
                Attempt::Transfer => Ok(()),
                Attempt::Rest => return *played = Outcome::Rested,
            };
            *played = Outcome::of(match started {
                Ok(()) => loudspeaker.write(&heard).await,
                failed => failed,
            });
        };
        let taking = async {
            let started = match take {
                Attempt::Restart => microphone.restart().await,
                Attempt::Transfer => Ok(()),
                Attempt::Rest => return *taken = Outcome::Rested,
            };
            let mut said = [0; N];
            *taken = Outcome::of(match started {
                Ok(()) => microphone.read(&mut said).await,
                failed => failed,
            });
            if matches!(taken, Outcome::Worked) {
                echo_canceller.process(&mut said, &heard);
                if gate.is_open(&said) {
                    *sent = writer.offer(&said);
                    return;
                }
            }
            writer.silence();
        };
        select(join(playing, taking), wait_until(until)).await;
        if !matches!(done.taken, Outcome::Worked | Outcome::Failed(_)) {
            writer.silence();
        }
        done
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
