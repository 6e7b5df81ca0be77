//! The settings of a server.

use super::Gather;
use crate::room::MAX_STREAMS;
use crate::time::Duration;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The sustained rate per second.
    pub per_second: u32,
    /// The number allowed at once.
    pub burst: u32,
}

/// The limits and times of a [`Server`](super::Server). Every queue and table that it has is
/// bounded by one of these.
///
/// ```
/// use parlour_core::server::Config;
/// use parlour_core::time::Duration;
/// let config = Config { participants_per_room: 8, grace: Duration::from_secs(60), ..Config::default() };
/// assert_eq!(config.subscriptions, 32);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Distinguishes this server from others with the same key. Each server needs a value of its own: otherwise anyone
    /// can end one server's connections by asking another. Keep the value over a restart.
    pub instance: u64,
    /// Most rooms at a time.
    pub rooms: usize,
    /// Most participants in one session.
    pub participants_per_room: usize,
    /// Most participants that wait in the lobby of one room.
    pub waiting_per_room: usize,
    /// Most participants of all rooms together, in session or waiting.
    pub participants: usize,
    /// Most joins under way: said hello, but not yet proven to hold their keys. Those that were turned
    /// away and may have to be told again make room for others; and once there are as many as `half_open_per_address`, so do the
    /// older ones of a participant that joins again.
    pub half_open: usize,
    /// Most of these from one address (IPv6: from one /64 network), which many participants behind a NAT may share.
    /// From an unproven address, more joins only make a cookie necessary, because the address may be forged.
    pub half_open_per_address: usize,
    /// With this many joins under way, a Hello must bring a cookie: an extra round trip that proves its address. 0:
    /// always.
    pub retry_threshold: usize,
    /// Hellos processed without a cookie, whatever their outcome. Beyond this they must bring one, because a
    /// Diffie-Hellman operation is expensive and the sender's address may be forged.
    pub handshakes: Rate,
    /// Hellos that are looked into of those that bring a cookie or came over a stream: altogether, and a
    /// quarter of that from one address. Those beyond are dropped, to be repeated.
    pub proven_handshakes: Rate,
    /// The time limit of a join under way.
    pub join_timeout: Duration,
    /// How often a participant has to send something; told to it in whole seconds. After a restart of the server, participants in
    /// silent rooms are back within this time and a second. A longer time spares the radios of devices.
    pub keepalive: Duration,
    /// A participant that is silent for this long is shown to others as reconnecting. Longer than `keepalive`, with
    /// time for a lost packet or two, or listeners will seem to lose the connection again and again.
    pub silence: Duration,
    /// A participant is kept for this long after that, at most 255 s; then its connection is lost.
    pub grace: Duration,
    /// A closed connection is kept for this long at most, until the participant has acknowledged the close: long
    /// enough to repeat it several times.
    pub linger: Duration,
    /// Most participants that were removed, replaced or in a session that was ended, and have not
    /// acknowledged that: should they come back by themselves after [`linger`](Self::linger), they
    /// are told. The longest remembered is forgotten beyond that, and would join anew.
    pub ended: usize,
    /// How long before its token expires a participant is told.
    pub expiry_notice: Duration,
    /// Most streams that one participant publishes; at most [`MAX_STREAMS`].
    pub streams: usize,
    /// Most streams that one participant has subscribed explicitly, and as many that it has
    /// unsubscribed explicitly.
    pub subscriptions: usize,
    /// Most audio slots of a participant, even if it asks for more; at most [`MAX_SLOTS`](crate::signal::MAX_SLOTS).
    pub slots: u8,
    /// How often one participant may ask for something, apart from sending messages. Further requests are refused or
    /// dropped. A participant that goes on at five times the rate is cut off: this holds for requests, messages,
    /// media, audio and pings alike.
    pub requests: Rate,
    /// How often one participant may ask for something that all others are told of: to publish, unmute, set an attribute,
    /// have the floor, lift a censorship. Beyond that it is refused.
    pub changes: Rate,
    /// How often one participant may join a room anew, or knock at it, from wherever; a resume is no such join. Beyond that
    /// it is refused.
    pub joins: Rate,
    /// How often one participant may send a message, reliable or lossy. They are not counted among the requests.
    pub messages: Rate,
    /// Media packets that one participant may send.
    pub media: Rate,
    /// Audio that one participant may send, in bytes of RTP packets, each of which counts as [`AUDIO_PACKET`](Self::AUDIO_PACKET)
    /// more. All receivers get it unasked, so it is bounded more tightly than video.
    pub audio: Rate,
    /// Pings and reports that one participant may send, together with everything that brings nothing new: packets
    /// without a frame, repeated signalling, repeated acknowledgements, answers to no ping, and moves to another
    /// address.
    pub control: Rate,
    /// How often the server says that it does not know a connection.
    pub resets: Rate,
    /// How often the embedder is told that a join was refused ([`Event::JoinRefused`](super::Event::JoinRefused)):
    /// anyone can cause a refusal.
    pub refusals: Rate,
    /// Most messages from others that wait for one slow participant; newer ones are lost to it.
    pub queued_messages: usize,
    /// Most media packets and lossy messages that wait to be sent to one participant; older ones
    /// are lost to it.
    pub queued_media: usize,
    /// Packets that have waited for this long are dropped, too. They wait only if the embedder sends less than there
    /// is to send ([`Event::Overloaded`](super::Event::Overloaded)). Longer than any [`gather`](Self::gather) window,
    /// and not longer than a listener can wait for audio.
    pub queued_media_time: Duration,
    /// Most packets of video and screens that wait to be sent to one participant, apart from those. With one more, all are lost
    /// to it, and the streams go on with key pictures.
    pub queued_video: usize,
    /// The same happens when packets of video have waited for this long.
    pub queued_video_time: Duration,
    /// Bits per second of pictures to a participant before it has told what arrives. Who never tells gets no more.
    pub video_rate_start: u32,
    /// Most bits per second of pictures to a participant, whatever it tells.
    pub video_rate_max: u32,
    /// Buffers for the payloads of all those; the receivers of one payload share its buffer.
    pub media_buffers: usize,
    /// Packets of video and screens that are kept for 500 ms, to be sent again to receivers who lose them. Those of one stream
    /// are at most 1,024. A packet that waits in a queue, too, takes no second buffer.
    pub kept_pictures: usize,
    /// Most events that wait to be polled, beside those that ask for an answer.
    pub events: usize,
    /// Changes that a session remembers: a participant further behind gets a snapshot.
    pub room_log: usize,
    /// Participants removed by moderators that a session remembers, to keep them out; and as many
    /// that were silenced, to keep them silent when they join anew.
    pub kicked: usize,
    /// How long a stream that has fallen silent keeps its audio slot.
    pub slot_hold: Duration,
    /// How long frames wait for others to the same receiver; see [`Server::set_gather`](super::Server::set_gather).
    pub gather: Gather,
    /// How long the active speaker stays active in silence.
    pub speaker_hold: Duration,
    /// In a session of more than 16, the others are told at once of a participant that joins or leaves, if nobody
    /// joined or left within this time before; otherwise together with all changes until it has passed. So a thousand
    /// joins do not cost a million datagrams.
    pub roster_interval: Duration,
    /// How often publishers receive reports of their media's loss.
    pub report_interval: Duration,
    /// Whether and how rooms are mixed for participants that ask for a mix; `None`: they are refused.
    #[cfg(feature = "opus-fullband")]
    pub mix: Option<super::MixConfig>,
}

impl Config {
    /// The bytes that an audio packet adds to its length in [`audio`](Self::audio): sending a datagram takes the
    /// server longer than copying and sealing its contents.
    pub const AUDIO_PACKET: u32 = 1_000;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instance: 0,
            rooms: 10_000,
            participants_per_room: 1_000,
            waiting_per_room: 100,
            participants: 20_000,
            half_open: 256,
            half_open_per_address: 64,
            retry_threshold: 64,
            handshakes: Rate {
                per_second: 200,
                burst: 200,
            },
            proven_handshakes: Rate {
                per_second: 1_000,
                burst: 1_000,
            },
            join_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(4),
            silence: Duration::from_secs(10),
            grace: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            ended: 4_096,
            expiry_notice: Duration::from_secs(30),
            streams: MAX_STREAMS,
            subscriptions: 32,
            slots: 32,
            requests: Rate {
                per_second: 20,
                burst: 60,
            },
            changes: Rate {
                per_second: 5,
                burst: 40,
            },
            joins: Rate {
                per_second: 1,
                burst: 10,
            },
            messages: Rate {
                per_second: 50,
                burst: 100,
            },
            media: Rate {
                per_second: 2_000,
                burst: 2_000,
            },
            audio: Rate {
                per_second: 640_000,
                burst: 1_280_000,
            },
            control: Rate {
                per_second: 50,
                burst: 200,
            },
            resets: Rate {
                per_second: 100,
                burst: 100,
            },
            refusals: Rate {
                per_second: 50,
                burst: 200,
            },
            queued_messages: 64,
            queued_media: 128,
            queued_media_time: Duration::from_millis(200),
            queued_video: 2_400,
            queued_video_time: Duration::from_millis(300),
            video_rate_start: 1_000_000,
            video_rate_max: 20_000_000,
            media_buffers: 8_192,
            kept_pictures: 16_384,
            events: 1_024,
            room_log: 256,
            kicked: 1_024,
            slot_hold: Duration::from_millis(200),
            gather: Gather::UnderLoad(Duration::from_millis(5)),
            speaker_hold: Duration::from_secs(2),
            roster_interval: Duration::from_millis(250),
            report_interval: Duration::from_secs(2),
            #[cfg(feature = "opus-fullband")]
            mix: None,
        }
    }
}
