//! What a participant may choose.

use std::time::Duration;

use parlour_core::client::Transports;
use parlour_core::room::{Codec, StreamKey};
use parlour_core::signal::SubscribePolicy;

use super::{OnProgress, SampleRate};

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TransportChoice {
    /// By UDP, and by TCP while that is not answered: for a second at each of the server's addresses at first, and
    /// for five seconds when a connection breaks. Who is on TCP
    /// ([`Event::TransportChanged`](crate::Event::TransportChanged)) tries UDP again now and then.
    #[default]
    Auto,
    /// By UDP or not at all.
    Udp,
    /// By TCP: packets are late rather than lost, which audio likes less.
    Tcp,
}

impl TransportChoice {
    pub(super) const fn core(self) -> Transports {
        match self {
            Self::Auto => Transports::UdpOrTcp,
            Self::Udp => Transports::Udp,
            Self::Tcp => Transports::Tcp,
        }
    }
}

/// How to join.
///
/// ```
/// use parlour_tokio::JoinOptions;
/// let options = JoinOptions { slots: 4, ..JoinOptions::default() };
/// ```
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// How many voices to hear at a time, at most 32; the server picks the loudest.
    pub slots: u8,
    /// Whose audio to hear.
    pub policy: SubscribePolicy,
    /// Streams to publish with the join itself, so that their first audio is a round trip earlier.
    /// [`publish_audio`](crate::Room::publish_audio) with the same key then gives their writers at once.
    pub publish: Vec<(StreamKey, AudioOptions)>,
    /// How packets travel.
    pub transport: TransportChoice,
    /// If the token makes this participant wait in the lobby: whether joining waits until a moderator has decided
    /// (`true`), or gives the room at once, with [`RoomEvent::Joined`](crate::RoomEvent::Joined) or
    /// [`RoomEvent::Closed`](crate::RoomEvent::Closed) to follow.
    pub wait_in_lobby: bool,
    /// After how long without an answer joining gives up. Less than 2 s leave no time for TCP. Where every address says
    /// that nobody listens there, it gives up after 2 s.
    pub timeout: Duration,
    /// Who is told what the join waits for: an answer that has not come for 2 s, or a moderator.
    pub on_progress: Option<OnProgress>,
    /// Where the client's input log goes, if anywhere. **It holds the token, the keys' seed and all that is said and
    /// written**: see [`record`](crate::record).
    #[cfg(feature = "record")]
    pub record: Option<crate::record::Sink>,
}

impl Default for JoinOptions {
    /// 16 slots, everybody's audio, UDP or else TCP, patience in the lobby, 10 s for an answer.
    fn default() -> Self {
        Self {
            slots: 16,
            policy: SubscribePolicy::All,
            publish: Vec::new(),
            transport: TransportChoice::Auto,
            wait_in_lobby: true,
            timeout: Duration::from_secs(10),
            on_progress: None,
            #[cfg(feature = "record")]
            record: None,
        }
    }
}

/// How audio is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioCodec {
    /// Opus: good sound in few bytes.
    Opus {
        /// Bits per second, 6,000 to 128,000. Reduced by itself while much gets lost.
        bitrate: u32,
        /// Whether silence is not sent. For voices: the encoder takes steady sound (a tone, some music) for noise, and
        /// all but stops sending it after a second.
        dtx: bool,
        /// Whether packets repeat their predecessors coarsely while some get lost.
        fec: bool,
    },
    /// G.711 µ-law: for telephones and tiny chips.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl AudioCodec {
    pub(crate) const fn core(self) -> Codec {
        match self {
            Self::Opus { .. } => Codec::Opus,
            Self::Pcmu => Codec::Pcmu,
            Self::Pcma => Codec::Pcma,
        }
    }
}

/// What is written to an [`AudioWriter`](crate::AudioWriter), and how it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioOptions {
    /// How it is coded.
    pub codec: AudioCodec,
    /// Samples per second of the PCM that is written; converted where the codec wants others.
    pub sample_rate: SampleRate,
    /// Whether it starts silenced.
    pub muted: bool,
}

impl AudioOptions {
    /// Opus at 32 kb/s with FEC, for any sound.
    pub fn opus(sample_rate: impl Into<SampleRate>) -> Self {
        Self {
            codec: AudioCodec::Opus {
                bitrate: 32_000,
                dtx: false,
                fec: true,
            },
            sample_rate: sample_rate.into(),
            muted: false,
        }
    }

    /// Opus at 32 kb/s with FEC and DTX, for a voice: its pauses are not sent. Not for tones or music.
    pub fn opus_voice(sample_rate: impl Into<SampleRate>) -> Self {
        Self {
            codec: AudioCodec::Opus {
                bitrate: 32_000,
                dtx: true,
                fec: true,
            },
            sample_rate: sample_rate.into(),
            muted: false,
        }
    }

    /// G.711 µ-law.
    pub fn pcmu(sample_rate: impl Into<SampleRate>) -> Self {
        Self {
            codec: AudioCodec::Pcmu,
            sample_rate: sample_rate.into(),
            muted: false,
        }
    }
}
