//! The parts that a board has: microphone, loudspeaker, and the filter between them.

use core::future::{Future, ready};

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::level::level;
use parlour_core::audio::{EchoFilter, HalfDuplex};

/// A microphone: an I2S or PDM driver, or a file.
///
/// # What a driver has to buffer
/// [`read`](Self::read) is awaited in a row, but not without pauses: the task decodes and encodes in between, and other
/// tasks have their turn. A driver with a DMA ring, which goes on while no `read` is awaited, loses nothing as long as
/// the ring is longer than the longest pause: 40 ms at least, and as long as a handshake takes if no gap is to be heard
/// when a connection is restored. A driver whose transfer begins when it is awaited has a gap of the length of each
/// pause. Give such a driver a task of its own with a ring, or two buffers that take turns.
///
/// # A driver that hangs
/// [`Duplex::run`](crate::Duplex::run) waits for both drivers in each 20 ms. It drops a future of [`read`](Self::read) or
/// [`restart`](Self::restart) that takes 300 ms, in which the other direction stood still, and starts the driver anew. So
/// both must be safe to drop half way: the transfer ends with its future, or `restart` ends it.
pub trait AudioIn {
    /// The microphone's error.
    type Error;

    /// Samples per second.
    fn sample_rate(&self) -> SampleRate;

    /// Waits for 20 ms of mono PCM, and fills `frame` with it.
    fn read(&mut self, frame: &mut [i16]) -> impl Future<Output = Result<(), Self::Error>>;

    /// Starts the microphone anew after [`read`](Self::read) has failed: stops the transfer, empties the ring, starts
    /// again. [`Duplex::run`](crate::Duplex::run) calls it before it reads again. The loudspeaker waits for it, so it
    /// should take less than 20 ms.
    ///
    /// As it is, it does nothing: for drivers of which `read` does so itself.
    ///
    /// # Errors
    /// The microphone does not start; it is tried again later.
    fn restart(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        ready(Ok(()))
    }
}

/// A loudspeaker: an I2S driver, or a file.
///
/// Its driver has to buffer as that of [`AudioIn`] has: a ring of 40 ms at least, of which half may be empty. What the
/// ring holds before the first frame is delay for good. Its futures are dropped as those of [`AudioIn`] are, if they
/// take 300 ms.
pub trait AudioOut {
    /// The loudspeaker's error.
    type Error;

    /// Samples per second.
    fn sample_rate(&self) -> SampleRate;

    /// Plays 20 ms of mono PCM; waits while as much as it likes to hold is still to be played.
    fn write(&mut self, frame: &[i16]) -> impl Future<Output = Result<(), Self::Error>>;

    /// Starts the loudspeaker anew after [`write`](Self::write) has failed, as [`AudioIn::restart`] does.
    ///
    /// # Errors
    /// The loudspeaker does not start; it is tried again later.
    fn restart(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        ready(Ok(()))
    }
}

/// Takes out of the microphone what the loudspeaker put there.
pub trait EchoCanceller {
    /// Cleans `microphone`. `reference` is the frame handed to the loudspeaker in the same 20 ms. It is heard later, by
    /// the delay of loudspeaker and microphone, which the canceller has to know or to find.
    fn process(&mut self, microphone: &mut [i16], reference: &[i16]);
}

/// For headsets, push-to-talk, and codecs that cancel echo in hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoEchoCanceller;

impl EchoCanceller for NoEchoCanceller {
    fn process(&mut self, _microphone: &mut [i16], _reference: &[i16]) {}
}

/// The core's adaptive filter. Loudspeaker and microphone need one clock.
///
/// Its delay is what the loudspeaker's ring holds when it gets a frame, and what the microphone's ring holds when a frame
/// is read from it. Take up to 3 ms less, so that the first sound is not missed.
///
/// ```
/// use parlour_embassy::core::audio::EchoFilter;
/// const TAPS: usize = 256; // 32 ms at 8 kHz
/// const DELAY: usize = 20 * 8; // two rings that are half full: 10 ms each
/// let echo_canceller = EchoFilter::<TAPS, { TAPS + DELAY }>::new();
/// # let _: &dyn parlour_embassy::EchoCanceller = &echo_canceller;
/// ```
impl<const TAPS: usize, const HISTORY: usize> EchoCanceller for EchoFilter<TAPS, HISTORY> {
    fn process(&mut self, microphone: &mut [i16], reference: &[i16]) {
        self.process(microphone, reference);
    }
}

/// Silences the microphone while the loudspeaker can be heard, unless a voice is well above the echo: see
/// [`HalfDuplex`]. What `E` leaves of the echo is not sent then, and a [`TalkGate`](crate::TalkGate) behind it stays
/// closed.
///
/// ```
/// use parlour_embassy::core::audio::EchoFilter;
/// use parlour_embassy::{EchoCanceller, HalfDuplexCanceller, NoEchoCanceller};
/// // For a chip that can afford a filter, and for one that cannot.
/// let good = HalfDuplexCanceller::new(EchoFilter::<256, 416>::new());
/// let mut cheap = HalfDuplexCanceller::new(NoEchoCanceller);
/// let mut microphone = [1_000; 160];
/// cheap.process(&mut microphone, &[4_000; 160]);
/// assert_eq!(microphone, [0; 160]);
/// # let _: &dyn EchoCanceller = &good;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HalfDuplexCanceller<E = NoEchoCanceller> {
    canceller: E,
    duplex: HalfDuplex,
}

impl<E> HalfDuplexCanceller<E> {
    /// Behind `canceller`.
    pub const fn new(canceller: E) -> Self {
        Self {
            canceller,
            duplex: HalfDuplex::new(),
        }
    }
}

impl<E: EchoCanceller> EchoCanceller for HalfDuplexCanceller<E> {
    fn process(&mut self, microphone: &mut [i16], reference: &[i16]) {
        self.canceller.process(microphone, reference);
        if !self.duplex.hear(level(microphone), level(reference)) {
            microphone.fill(0);
        }
    }
}
