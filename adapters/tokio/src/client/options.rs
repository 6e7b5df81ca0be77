//! The options of a participant.

use std::time::Duration;

use parlour_core::client::Transports;
use parlour_core::room::{Codec, StreamKey};
use parlour_core::signal::SubscribePolicy;

use super::{OnProgress, SampleRate};

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TransportChoice {
    /// By UDP, and by TCP while UDP is not answered: for a second at each of the server's addresses at first, and for
    /// five seconds when a connection breaks. With the feature `websocket`, by WebSocket where TCP is not answered either
    /// ([`JoinOptions::web`](crate::JoinOptions)). A client that is not on UDP
    /// ([`Event::TransportChanged`](crate::Event::TransportChanged)) tries it again now and then.
    #[default]
    Auto,
    /// By UDP or not at all.
    Udp,
    /// By TCP: packets are late rather than lost, which audio likes less.
    Tcp,
    /// By WebSocket, with TLS and through the proxy that the environment names ([`JoinOptions::web`](crate::JoinOptions)).
    #[cfg(feature = "websocket")]
    WebSocket,
}

impl TransportChoice {
    pub(super) const fn core(self) -> Transports {
        match self {
            Self::Auto => Transports::UdpOrTcp,
            Self::Udp => Transports::Udp,
            Self::Tcp => Transports::Tcp,
            // For the core, it is another way to open a connection.
            #[cfg(feature = "websocket")]
            Self::WebSocket => Transports::Tcp,
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
    /// The number of voices to hear at a time, at most 32; the server picks the loudest.
    pub slots: u8,
    /// The participants to hear.
    pub policy: SubscribePolicy,
    /// Streams to publish with the join itself, so that their first audio is a round trip earlier.
    /// [`publish_audio`](crate::Room::publish_audio) with the same key then gives their writers at once.
    pub publish: Vec<(StreamKey, AudioOptions)>,
    /// How packets travel.
    pub transport: TransportChoice,
    /// The address at which the server takes WebSockets, that of its API: `https://rooms.example.org`, perhaps with a port, or
    /// `http://127.0.0.1:7800` for a try. Without one it is `https://` and the ticket's host, if that is a name. The variables
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower case, name a proxy and the hosts without one.
    #[cfg(feature = "websocket")]
    pub web: Option<String>,
    /// If the token makes this participant wait in the lobby: whether joining waits until a moderator has decided
    /// (`true`), or gives the room at once, with [`RoomEvent::Joined`](crate::RoomEvent::Joined) or
    /// [`RoomEvent::Closed`](crate::RoomEvent::Closed) to follow.
    pub wait_in_lobby: bool,
    /// The time without an answer after which joining gives up. Less than 2 s leaves no time for TCP, and
    /// less than 5 s none for WebSocket. If every
    /// address reports a closed port, and the web's server refuses, it gives up after 2 s.
    pub timeout: Duration,
    /// Is told what the join waits for: an answer that has not come for 2 s, or a moderator.
    pub on_progress: Option<OnProgress>,
    /// The destination of the client's input log, if any. **It holds the token, the keys' seed and all messages and
    /// audio**: see [`record`](crate::record).
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
            #[cfg(feature = "websocket")]
            web: None,
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
        /// Whether silence is not sent. For voices: the encoder takes steady sound (a tone, some music) for noise,
        /// and all but stops sending it after a second.
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

/// The PCM written to an [`AudioWriter`](crate::AudioWriter), and its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioOptions {
    /// How it is coded.
    pub codec: AudioCodec,
    /// Samples per second of the PCM that is written; converted where the codec wants others.
    pub sample_rate: SampleRate,
    /// Whether it starts muted.
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
