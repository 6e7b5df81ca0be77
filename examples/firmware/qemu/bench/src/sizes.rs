//! Sizes of a device's types on a 32-bit machine.

use parlour_core::audio::decoder::{Decoder, NoOpus};
use parlour_core::audio::opus::{OpusDecoder, OpusEncoder, OpusMemory, OpusState};
use parlour_core::audio::{JitterBuffer, Lateness, Player};
use parlour_core::client::Client;
use parlour_core::wire::MAX_DATAGRAM;
use parlour_embassy::{Device, G711, Opus, Resources};

use crate::board::println;

/// The default sizes of [`Resources`].
const PACKETS: usize = 12;
const BYTES: usize = 160;
const PCM: usize = 960;

pub fn print() {
    let sizes = [
        ("client", size_of::<Client<Device>>()),
        (
            "client/1-slot-4-participants",
            size_of::<Client<Device<4, 1>>>(),
        ),
        ("jitter", size_of::<JitterBuffer<PACKETS, BYTES>>()),
        ("lateness", size_of::<Lateness>()),
        ("player", size_of::<Player<NoOpus, PACKETS, BYTES, PCM>>()),
        ("decoder", size_of::<Decoder<NoOpus>>()),
        (
            "decoder/opus",
            size_of::<Decoder<OpusDecoder<&mut OpusState>>>() + size_of::<OpusMemory>(),
        ),
        ("encoder/opus", size_of::<OpusEncoder>()),
        ("datagram", MAX_DATAGRAM),
        ("resources", size_of::<Resources<'_, G711>>()),
        (
            "resources/1-slot-4-participants",
            size_of::<Resources<'_, G711, 4, 1>>(),
        ),
        ("resources/opus", size_of::<Resources<'_, Opus>>()),
    ];
    for (name, size) in sizes {
        println!("figure size/{name} {size}");
    }
}
