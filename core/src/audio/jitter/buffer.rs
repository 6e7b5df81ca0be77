//! The public interface: pushing, pulling, and the cells that hold payloads.

use super::lateness::Lateness;
use super::playout::{Cell, Playout, Step};
use crate::room::Codec;
use crate::time::{Duration, Instant};

/// The settings of a [`JitterBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JitterConfig {
    /// RTP timestamp units per second, 8,000 to 192,000 (other values are clamped). 48,000 in
    /// Parlour's slots.
    pub clock_rate: u32,
    /// The target delay until a quarter of a second has been heard, which tells what the network needs.
    pub start_delay: Duration,
    /// The minimum of the target delay.
    pub min_delay: Duration,
    /// The maximum of the target delay. Other maxima are one second and the capacity of the cells.
    pub max_delay: Duration,
}

impl Default for JitterConfig {
    /// 48 kHz, 40 ms at the start, 10 to 400 ms later.
    fn default() -> Self {
        Self {
            clock_rate: 48_000,
            start_delay: Duration::from_millis(40),
            min_delay: Duration::from_millis(10),
            max_delay: Duration::from_millis(400),
        }
    }
}

/// One packet of audio on its way into a [`JitterBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Extended RTP sequence number, below 2^62.
    pub sequence: u64,
    /// Extended RTP timestamp of the first sample, below 2^62.
    pub timestamp: u64,
    /// The duration of the audio, in samples of the RTP clock: more than 0, at most 120 ms.
    pub duration: u32,
    /// The codec of the payload.
    pub codec: Codec,
    /// The talker: the contributing source of the slot's packet.
    pub speaker: Option<u32>,
    /// The RTP marker bit: the first packet after a silence.
    pub marker: bool,
    /// The encoded audio.
    pub payload: &'a [u8],
}

/// Why a packet was dropped. [`JitterStatistics`] counts it if it has a counter for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PushError {
    /// Its playing time has passed. (The buffer still learns from it to wait longer.)
    #[error("packet came too late to be played")]
    Late,
    /// The buffer already holds a packet with this sequence number.
    #[error("packet is a duplicate of one that is held")]
    Duplicate,
    /// All cells hold newer packets than this one.
    #[error("buffer is full of newer packets")]
    Full,
    /// The payload is longer than a cell.
    #[error("payload is longer than a cell; use a larger BYTES")]
    TooLarge,
    /// The duration is zero or above 120 ms, or sequence or timestamp is 2^62 or more.
    #[error("duration must be 1 sample to 120 ms, sequence and timestamp below 2^62")]
    Invalid,
    /// Sequence or timestamp jumped. If the next packet confirms it, the buffer re-bases.
    #[error(
        "sequence or timestamp jumped; the next packet will decide whether the sender restarted"
    )]
    Discontinuous,
}

/// A packet that is due, as [`Pull::Frame`] hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Extended RTP sequence number.
    pub sequence: u64,
    /// Extended RTP timestamp. From one frame to the next it rises, unless
    /// [`JitterStatistics::rebased`] has changed between them.
    pub timestamp: u64,
    /// The duration of the audio, in samples of the RTP clock.
    pub samples: u32,
    /// The codec of the payload.
    pub codec: Codec,
    /// The talker.
    pub speaker: Option<u32>,
    /// The encoded audio.
    pub payload: &'a [u8],
}

/// The audio to play now. In every case play [`samples`](Self::samples) of it, then pull again.
///
/// Except for frames, the number of samples is a multiple of 2.5 ms, as Opus decoders require for concealment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "each pull consumes the time that it stands for"]
pub enum Pull<'a> {
    /// Decode this packet.
    Frame(Frame<'a>),
    /// Audio is missing: let the decoder conceal it.
    Lost {
        /// The duration of the missing audio, in samples of the RTP clock.
        samples: u32,
        /// The payload that follows directly, if it has arrived: its in-band FEC (Opus) may hold the missing audio. The
        /// next pull returns it as a [`Pull::Frame`].
        next: Option<&'a [u8]>,
    },
    /// The sender is silent (DTX), or the buffer inserts silence: play silence or comfort noise.
    Silence {
        /// The duration, in samples of the RTP clock.
        samples: u32,
    },
    /// There is nothing to play, at the start or after the end: play silence or comfort noise.
    Buffering {
        /// The duration, in samples of the RTP clock.
        samples: u32,
    },
}

impl Pull<'_> {
    /// The duration of this answer, in samples of the RTP clock. Never 0.
    pub const fn samples(&self) -> u32 {
        match self {
            Self::Frame(frame) => frame.samples,
            Self::Lost { samples, .. }
            | Self::Silence { samples }
            | Self::Buffering { samples } => *samples,
        }
    }
}

/// Counters of a [`JitterBuffer`] since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JitterStatistics {
    /// Packets accepted.
    pub received: u64,
    /// Packets that came after their playing time.
    pub late: u64,
    /// Packets that came while another with their sequence number was held.
    pub duplicates: u64,
    /// Packets missing at their playing time, by sequence number. Those that come afterwards also count as `late`.
    pub lost: u64,
    /// Samples of requested concealment ([`Pull::Lost`]), but for pauses, which are known only when they end.
    pub concealed: u64,
    /// Packets that arrived but were never played, because the buffer was full or its delay too long.
    pub dropped: u64,
    /// Restarts of playing because the sender's sequence or timestamps jumped.
    pub rebased: u64,
    /// The lag of playing behind the fastest recent packet, in samples; smoothed.
    pub delay: u32,
    /// The target of `delay`, in samples.
    pub target: u32,
}

/// An adaptive jitter buffer for one RTP flow: `PACKETS` cells of up to `BYTES` payload bytes each.
///
/// All memory is inline: `PACKETS × (BYTES + 48)` bytes and about 450 more; 16 cells of 160 bytes take under 3.8 KB.
/// With 20 ms packets 16 cells hold 320 ms.
///
/// ```
/// use parlour_core::audio::{JitterBuffer, JitterConfig, Lateness, Packet, Pull};
/// use parlour_core::room::Codec;
/// use parlour_core::time::{Duration, Instant};
///
/// # struct Decoder;
/// # impl Decoder {
/// #     fn decode(&mut self, _: &[u8], samples: u32) -> Vec<i16> { vec![1; samples as usize] }
/// #     fn decode_fec(&mut self, _: &[u8], samples: u32) -> Vec<i16> { vec![1; samples as usize] }
/// #     fn conceal(&mut self, samples: u32) -> Vec<i16> { vec![1; samples as usize] }
/// # }
/// # let mut decoder = Decoder;
/// let mut jitter = JitterBuffer::<16, 160>::new(JitterConfig::default());
/// let mut lateness = Lateness::new();
/// let mut now = Instant::from_micros(0);
/// let mut pcm: Vec<i16> = Vec::new();
///
/// for sequence in 0..50 {
///     // The network's side: a packet every 20 ms.
///     let packet = Packet {
///         sequence,
///         timestamp: sequence * 960,
///         duration: 960,
///         codec: Codec::Opus,
///         speaker: Some(7),
///         marker: sequence == 0,
///         payload: &[0x78; 40],
///     };
///     jitter.push(now, packet, &mut lateness)?;
///
///     // The sound card's side: it wants 960 samples.
///     while pcm.len() < 960 {
///         let pull = jitter.pull(now);
///         let samples = pull.samples();
///         pcm.extend(match pull {
///             Pull::Frame(frame) => decoder.decode(frame.payload, samples),
///             Pull::Lost { next: Some(next), .. } => decoder.decode_fec(next, samples),
///             Pull::Lost { next: None, .. } => decoder.conceal(samples),
///             Pull::Silence { .. } | Pull::Buffering { .. } => vec![0; samples as usize],
///         });
///     }
///     pcm.drain(..960);
///     now += Duration::from_millis(20);
/// }
/// assert_eq!(jitter.statistics().concealed, 0);
/// assert!(jitter.statistics().delay >= 10 * 48);
/// # Ok::<(), parlour_core::audio::PushError>(())
/// ```
#[derive(Debug, Clone)]
pub struct JitterBuffer<const PACKETS: usize, const BYTES: usize> {
    playout: Playout,
    cells: [Option<Cell>; PACKETS],
    payloads: [[u8; BYTES]; PACKETS],
}

impl<const PACKETS: usize, const BYTES: usize> JitterBuffer<PACKETS, BYTES> {
    /// An empty buffer. It needs at least two cells, which the compiler checks.
    pub fn new(config: JitterConfig) -> Self {
        const {
            assert!(PACKETS >= 2, "a jitter buffer needs at least two cells");
        }
        Self {
            playout: Playout::new(config, PACKETS),
            cells: [None; PACKETS],
            payloads: [[0; BYTES]; PACKETS],
        }
    }

    /// One whose caller plays a little faster or slower where the delay has to change: see [`excess`](Self::excess).
    pub(crate) fn stretching(config: JitterConfig) -> Self {
        let mut buffer = Self::new(config);
        buffer.playout.stretches = true;
        buffer
    }

    /// By how much the delay is longer than its target, or shorter if negative, in samples of the RTP clock.
    pub(crate) fn excess(&self) -> i64 {
        self.playout.excess()
    }

    /// The caller plays what it pulled last in so much more time, or less if negative.
    pub(crate) fn stretch(&mut self, time: i64) {
        self.playout.stretch(time);
    }

    /// Stores a packet that arrived at `now`. If all cells are full, the oldest packet is dropped.
    ///
    /// What the packet tells of the network is added to `lateness`, always the same one for this buffer: all slots of a
    /// receiver share one.
    ///
    /// # Errors
    /// See [`PushError`]. The packet was dropped; the buffer is unchanged.
    pub fn push(
        &mut self,
        now: Instant,
        packet: Packet<'_>,
        lateness: &mut Lateness,
    ) -> Result<(), PushError> {
        let index = (self.playout).admit(&mut self.cells, lateness, now, &packet, BYTES)?;
        if let Some(bytes) = self
            .payloads
            .get_mut(index)
            .and_then(|cell| cell.get_mut(..packet.payload.len()))
        {
            bytes.copy_from_slice(packet.payload);
        }
        Ok(())
    }

    /// The next audio to play. Call it when the audio of the last pull is used up; `now` is the time of the call. Never
    /// waits.
    pub fn pull(&mut self, now: Instant) -> Pull<'_> {
        match self.playout.step(&mut self.cells, now) {
            Step::Frame(index, cell) => Pull::Frame(Frame {
                sequence: cell.sequence,
                timestamp: cell.timestamp.unsigned_abs(),
                samples: cell.duration,
                codec: cell.codec,
                speaker: cell.speaker,
                payload: self.payload(index, &cell),
            }),
            Step::Lost { samples, next } => Pull::Lost {
                samples,
                next: next.map(|(index, cell)| self.payload(index, &cell)),
            },
            Step::Silence(samples) => Pull::Silence { samples },
            Step::Buffering(samples) => Pull::Buffering { samples },
        }
    }

    /// The counters so far.
    pub fn statistics(&self) -> JitterStatistics {
        self.playout.statistics()
    }

    fn payload(&self, index: usize, cell: &Cell) -> &[u8] {
        self.payloads
            .get(index)
            .and_then(|bytes| bytes.get(..cell.length))
            .unwrap_or_default()
    }
}
