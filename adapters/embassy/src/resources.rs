//! All memory that a participant takes, in one piece.

use core::cell::RefCell;
use core::fmt;
use core::mem::MaybeUninit;

use embassy_net::udp::PacketMetadata;
use heapless::Vec;
use parlour_core::audio::codec::{AudioDecoder, SampleRate};
use parlour_core::audio::decoder::{Decoder, NoOpus};
#[cfg(feature = "opus")]
use parlour_core::audio::opus::{Channels, OpusDecoder, OpusMemory, OpusState};
use parlour_core::audio::{Lateness, Player};
use parlour_core::client::{Capacity, Client};
use parlour_core::wire::MAX_DATAGRAM;

use crate::playback::Players;
use crate::shared::Shared;

/// Bytes of reliable messages that wait for the application: room for one of any length.
const INBOX: usize = 768;
/// Bytes of audio packets that wait to be sent: six of G.711.
const MEDIA: usize = 1_200;
/// Datagrams that wait in the socket; two of them may be of any length.
const RECEIVED: usize = 8;
/// Datagrams that wait to be sent.
const SENT: usize = 4;

/// The [`Profile`](parlour_core::client::Profile) of a device that publishes one stream.
pub type Device<const PARTICIPANTS: usize = 8, const SLOTS: usize = 2> =
    Capacity<PARTICIPANTS, 1, SLOTS, INBOX, MEDIA>;

/// The decoder of the slots: [`G711`] or `Opus`.
pub trait Decoding: sealed::Sealed {
    /// The memory that one slot's decoder needs beside itself.
    type Memory;
    /// Such memory, not used yet.
    const MEMORY: Self::Memory;
    /// The Opus decoder.
    type Decoder<'m>: AudioDecoder + 'm;
    /// A decoder that writes PCM at `rate`; `None` if it cannot.
    fn decoder(memory: &mut Self::Memory, rate: SampleRate) -> Option<Decoder<Self::Decoder<'_>>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::G711 {}
    #[cfg(feature = "opus")]
    impl Sealed for super::Opus {}
}

/// The slots decode G.711, both laws, and nothing else: what participants send in Opus is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum G711 {}

impl Decoding for G711 {
    type Memory = ();
    const MEMORY: () = ();
    type Decoder<'m> = NoOpus;

    fn decoder((): &mut (), rate: SampleRate) -> Option<Decoder<NoOpus>> {
        Some(Decoder::without_opus(rate))
    }
}

/// The slots decode G.711 and Opus, at 179 KB each.
#[cfg(feature = "opus")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opus {}

#[cfg(feature = "opus")]
impl Decoding for Opus {
    type Memory = OpusMemory;
    const MEMORY: OpusMemory = OpusMemory::new();
    type Decoder<'m> = OpusDecoder<&'m mut OpusState>;

    fn decoder(memory: &mut OpusMemory, rate: SampleRate) -> Option<Decoder<Self::Decoder<'_>>> {
        let opus = OpusDecoder::new_in(memory, rate, Channels::Stereo).ok()?;
        Some(Decoder::new(opus))
    }
}

/// All memory of one participant. It belongs into a `static`, made in its place, where it takes no flash:
///
/// ```
/// use parlour_embassy::Resources;
/// use static_cell::StaticCell;
///
/// static RESOURCES: StaticCell<Resources> = StaticCell::new();
/// let resources = RESOURCES.init_with(Resources::new);
/// ```
///
/// Other sizes get a name, from which the types of room, runner and the like follow: [`RoomOf`](crate::RoomOf) and
/// [`RunnerOf`](crate::RunnerOf).
///
/// ```
/// use parlour_embassy::{G711, Resources, RoomOf, RunnerOf};
/// use static_cell::StaticCell;
///
/// /// Tracks 4 participants and hears one of them at a time.
/// type Intercom = Resources<'static, G711, 4, 1>;
///
/// static RESOURCES: StaticCell<Intercom> = StaticCell::new();
///
/// #[embassy_executor::task]
/// async fn carry(mut runner: RunnerOf<Intercom>) -> ! {
///     runner.run().await
/// }
///
/// async fn stay(room: RoomOf<Intercom>) { /* … */ }
/// # assert!(size_of::<Intercom>() < size_of::<Resources>());
/// ```
///
/// | parameter | of what | |
/// |---|---|---|
/// | `D` | [`G711`] or `Opus`: what is decoded | |
/// | `PARTICIPANTS` | participants tracked, oneself among them; of a larger room the server tells of those that matter | 8 |
/// | `SLOTS` | voices heard at a time | 2 |
/// | `PACKETS` | packets that each slot's jitter buffer holds, 20 ms each as a rule | 12 |
/// | `BYTES` | longest payload of such a packet: 160 is 20 ms of G.711, or Opus at 64 kb/s | 160 |
/// | `PCM` | samples decoded at a time, the longest Opus frame: 960 is 60 ms at 16 kHz or 20 ms at 48 kHz | 960 |
pub struct Resources<
    'd,
    D: Decoding = G711,
    const PARTICIPANTS: usize = 8,
    const SLOTS: usize = 2,
    const PACKETS: usize = 12,
    const BYTES: usize = 160,
    const PCM: usize = 960,
> {
    pub(crate) client: MaybeUninit<Client<Device<PARTICIPANTS, SLOTS>>>,
    pub(crate) shared: MaybeUninit<Shared<'d, Device<PARTICIPANTS, SLOTS>>>,
    pub(crate) decoders: [D::Memory; SLOTS],
    #[allow(clippy::type_complexity)]
    pub(crate) players: [MaybeUninit<Player<D::Decoder<'d>, PACKETS, BYTES, PCM>>; SLOTS],
    #[allow(clippy::type_complexity)]
    pub(crate) playback:
        MaybeUninit<RefCell<Players<'d, D::Decoder<'d>, SLOTS, PACKETS, BYTES, PCM>>>,
    pub(crate) socket: MaybeUninit<SocketMemory>,
}

impl<
    D: Decoding,
    const PARTICIPANTS: usize,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> Resources<'_, D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>
{
    /// Memory that is not used yet.
    pub const fn new() -> Self {
        Self {
            client: MaybeUninit::uninit(),
            shared: MaybeUninit::uninit(),
            decoders: [const { D::MEMORY }; SLOTS],
            players: [const { MaybeUninit::uninit() }; SLOTS],
            playback: MaybeUninit::uninit(),
            socket: MaybeUninit::uninit(),
        }
    }
}

impl<
    'd,
    D: Decoding,
    const A: usize,
    const S: usize,
    const P: usize,
    const B: usize,
    const M: usize,
> Resources<'d, D, A, S, P, B, M>
{
    /// Makes the players, each in its place.
    // Not inlined, so that its frame is gone when it is done.
    #[inline(never)]
    #[allow(clippy::type_complexity)]
    pub(crate) fn make_players(
        decoders: &'d mut [D::Memory; S],
        players: &'d mut [MaybeUninit<Player<D::Decoder<'d>, P, B, M>>; S],
        config: &crate::Config,
    ) -> Option<Players<'d, D::Decoder<'d>, S, P, B, M>> {
        let mut made = Vec::new();
        for (memory, place) in decoders.iter_mut().zip(players) {
            let decoder = D::decoder(memory, config.output_rate)?;
            let player = place.write(Player::new(decoder, config.jitter));
            // There are as many places as slots.
            let _ = made.push(player);
        }
        Some(Players {
            slots: made,
            lateness: Lateness::new(),
            rate: config.output_rate,
        })
    }
}

impl<
    D: Decoding,
    const PARTICIPANTS: usize,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> Default for Resources<'_, D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    D: Decoding,
    const PARTICIPANTS: usize,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> fmt::Debug for Resources<'_, D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// The socket's rings, and a datagram being read or written.
pub(crate) struct SocketMemory {
    pub(crate) rx_meta: [PacketMetadata; RECEIVED],
    pub(crate) rx: [u8; 2 * MAX_DATAGRAM],
    pub(crate) tx_meta: [PacketMetadata; SENT],
    pub(crate) tx: [u8; MAX_DATAGRAM],
    pub(crate) datagram: [u8; MAX_DATAGRAM],
}

impl SocketMemory {
    pub(crate) const fn new() -> Self {
        Self {
            rx_meta: [PacketMetadata::EMPTY; RECEIVED],
            rx: [0; 2 * MAX_DATAGRAM],
            tx_meta: [PacketMetadata::EMPTY; SENT],
            tx: [0; MAX_DATAGRAM],
            datagram: [0; MAX_DATAGRAM],
        }
    }
}
