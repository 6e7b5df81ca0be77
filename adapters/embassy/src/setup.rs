//! The types of one device: all follow from that of its memory.

use parlour_core::client::Profile;

use crate::{
    AlwaysOpen, AudioWriter, Decoding, Device, Duplex, EncodedWriter, Events, NoEchoCanceller,
    Resources, Room, Runner,
};

/// What follows from the type of a device's [`Resources`]. Use it by [`RoomOf`], [`RunnerOf`] and their like.
pub trait Setup: sealed::Sealed {
    /// The capacities of its client.
    type Profile: Profile;
}

mod sealed {
    pub trait Sealed {}
}

impl<
    D: Decoding,
    const PARTICIPANTS: usize,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> sealed::Sealed for Resources<'_, D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>
{
}

impl<
    D: Decoding,
    const PARTICIPANTS: usize,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> Setup for Resources<'_, D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>
{
    type Profile = Device<PARTICIPANTS, SLOTS>;
}

/// The [`Profile`] of a device with the memory `R`.
pub type ProfileOf<R> = <R as Setup>::Profile;
/// The [`Room`] of a device with the memory `R`.
pub type RoomOf<R> = Room<'static, ProfileOf<R>>;
/// The [`Runner`] of a device with the memory `R`.
pub type RunnerOf<R> = Runner<'static, ProfileOf<R>>;
/// The [`Events`] of a device with the memory `R`.
pub type EventsOf<R> = Events<'static, ProfileOf<R>>;
/// The [`AudioWriter`] of a device with the memory `R`.
pub type AudioWriterOf<R> = AudioWriter<'static, ProfileOf<R>>;
/// The [`EncodedWriter`] of a device with the memory `R`.
pub type EncodedWriterOf<R> = EncodedWriter<'static, ProfileOf<R>>;
/// The [`Duplex`] of a device with the memory `R`, with microphone `I` and loudspeaker `O`.
pub type DuplexOf<R, I, O, E = NoEchoCanceller, G = AlwaysOpen, const N: usize = 320> =
    Duplex<'static, I, O, E, G, ProfileOf<R>, N>;
