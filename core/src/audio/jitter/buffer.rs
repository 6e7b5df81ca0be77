//! The public face: what goes in, what comes out, and the cells that hold payloads.

use super::playout::{Cell, Playout, Step};
use crate::room::Codec;
use crate::time::{Duration, Instant};

/// How a [`JitterBuffer`] is tuned. The defaults suit a desktop; a device close to its server may
/// want a `start_delay` of 40 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JitterConfig {
    /// RTP timestamp units per second, 8,000 to 192,000 (other values are clamped). 48,000 in
    /// Parlour's slots.
    pub clock_rate: u32,
    /// The target delay until enough packets have come to know better (about three seconds).
    pub start_delay: Duration,
    /// The target delay is never below this.
    pub min_delay: Duration,
    /// The target delay is never above this, nor above one second, nor above what the cells hold.
    pub max_delay: Duration,
}

impl Default for JitterConfig {
    /// 48 kHz, 80 ms at the start, 20 to 400 ms later.
    fn default() -> Self {
        Self {
            clock_rate: 48_000,
            start_delay: Duration::from_millis(80),
            min_delay: Duration::from_millis(20),
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
    /// How much sound it holds, in samples of the RTP clock: more than 0, at most 120 ms.
    pub duration: u32,
    /// How the payload is coded.
    pub codec: Codec,
    /// Who speaks: the contributing source of the slot's packet.
    pub speaker: Option<u32>,
    /// The RTP marker bit: the first packet after a silence.
    pub marker: bool,
    /// The coded sound.
    pub payload: &'a [u8],
}

/// Why a packet was not taken. It was dropped and, where [`JitterStatistics`] has a place for it,
/// counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PushError {
    /// The time to play it has passed. (It still teaches the buffer to wait longer.)
    #[error("packet came too late to be played")]
    Late,
    /// A packet with this sequence number is held already.
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
    /// How much sound it holds, in samples of the RTP clock.
    pub samples: u32,
    /// How the payload is coded.
    pub codec: Codec,
    /// Who speaks.
    pub speaker: Option<u32>,
    /// The coded sound.
    pub payload: &'a [u8],
}

/// What to play now. Whatever it is, play [`samples`](Self::samples) of it, then pull again.
///
/// Except in frames, the number of samples is a multiple of 2.5 ms, as Opus decoders demand of
/// concealment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "each pull consumes the time that it stands for"]
pub enum Pull<'a> {
    /// Decode this packet.
    Frame(Frame<'a>),
    /// Sound is missing: let the decoder conceal it.
    Lost {
        /// How much sound is missing, in samples of the RTP clock.
        samples: u32,
        /// The payload that follows directly, if it is here: its in-band FEC (Opus) may hold the
        /// missing sound. It comes again, as a [`Pull::Frame`], with the next pull.
        next: Option<&'a [u8]>,
    },
    /// The sender is silent (DTX) or silence is put in: play silence or comfort noise.
    Silence {
        /// How much, in samples of the RTP clock.
        samples: u32,
    },
    /// Nothing to play yet, or nothing any more: play silence or comfort noise.
    Buffering {
        /// How much, in samples of the RTP clock.
        samples: u32,
    },
}

impl Pull<'_> {
    /// How much sound this stands for, in samples of the RTP clock. Never 0.
    pub const fn samples(&self) -> u32 {
        match self {
            Self::Frame(frame) => frame.samples,
            Self::Lost { samples, .. }
            | Self::Silence { samples }
            | Self::Buffering { samples } => *samples,
        }
    }
}

/// What a [`JitterBuffer`] has seen and done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JitterStatistics {
    /// Packets taken.
    pub received: u64,
    /// Packets that came after the time to play them.
    pub late: u64,
    /// Packets that came while another with their sequence number was held.
    pub duplicates: u64,
    /// Packets that had not come when their turn was over, by sequence number. Those that come
    /// afterwards also count as `late`.
    pub lost: u64,
    /// Samples of concealment that were asked for ([`Pull::Lost`]).
    pub concealed: u64,
    /// Packets that were here but never played, because the buffer was full or its delay too long.
    pub dropped: u64,
    /// How often the sender's sequence or timestamps jumped so that playing started anew.
    pub rebased: u64,
    /// How far playing lags behind the fastest packet of late, in samples; smoothed.
    pub delay: u32,
    /// What `delay` should be, in samples.
    pub target: u32,
}

/// An adaptive jitter buffer for one RTP flow: `PACKETS` cells of up to `BYTES` payload bytes each.
///
/// Memory is all inline: `PACKETS × (BYTES + 48)` bytes and about 500 more; 16 cells of 160 bytes
/// take under 3.8 KB. With 20 ms packets 16 cells hold 320 ms.
///
/// ```
/// use parlour_core::audio::{JitterBuffer, JitterConfig, Packet, Pull};
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
///     jitter.push(now, packet)?;
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
/// assert!(jitter.statistics().delay >= 80 * 48);
/// # Ok::<(), parlour_core::audio::PushError>(())
/// ```
#[derive(Debug, Clone)]
pub struct JitterBuffer<const PACKETS: usize, const BYTES: usize> {
    playout: Playout,
    cells: [Option<Cell>; PACKETS],
    payloads: [[u8; BYTES]; PACKETS],
}

impl<const PACKETS: usize, const BYTES: usize> JitterBuffer<PACKETS, BYTES> {
    /// An empty buffer. At least two cells are needed, which the compiler checks.
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

    /// Takes a packet that arrived at `now`. If every cell is taken, the oldest packet is dropped.
    ///
    /// # Errors
    /// See [`PushError`]. The packet was dropped; what is held stays as it was.
    pub fn push(&mut self, now: Instant, packet: Packet<'_>) -> Result<(), PushError> {
        if packet.payload.len() > BYTES {
            return Err(PushError::TooLarge);
        }
        let index = self.playout.admit(&mut self.cells, now, &packet)?;
        if let Some(bytes) = self
            .payloads
            .get_mut(index)
            .and_then(|cell| cell.get_mut(..packet.payload.len()))
        {
            bytes.copy_from_slice(packet.payload);
        }
        Ok(())
    }

    /// What to play next. Call it whenever the sound of the last pull is used up; `now` is the time
    /// of the call. Never waits.
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

    /// What happened so far.
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
