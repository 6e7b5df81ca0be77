//! Hostile payloads through the decoder of a slot, which goes on from one to the next.
//!
//! Input: one byte for rate and channels, then steps: payloads to decode or to recover from, concealment.

use parlour_core::audio::codec::{DecodeError, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::opus::{Channels, OpusDecoder, OpusMemory, OpusPacket};
use parlour_core::room::Codec;
use parlour_core::rtp::frame_samples;
use parlour_fuzz::input::Input;

/// 60 ms at 48 kHz.
const MOST: usize = 2_880;

fn main() {
    parlour_fuzz::search(run);
}

/// Decodes and conceals.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let rate = [
        SampleRate::Hz16000,
        SampleRate::Hz24000,
        SampleRate::Hz48000,
    ][usize::from(how % 3)];
    let channels = [Channels::Mono, Channels::Stereo][usize::from(how >> 7)];
    let mut memory = Box::new(OpusMemory::new());
    let opus = OpusDecoder::new_in(&mut memory, rate, channels).expect("the rate is supported");
    let mut decoder = Decoder::new(opus);
    let mut pcm = [0; MOST];
    // Each step costs up to 60 ms of decoding; many of them find nothing that few do not.
    for _ in 0..24 {
        let Some(opcode) = input.opcode() else {
            return;
        };
        let codec = [Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::Opus][usize::from(opcode >> 6)];
        match opcode & 3 {
            0 | 1 => decode(&mut decoder, codec, input.bytes(), &mut pcm),
            2 => {
                let len = usize::from(input.u16()) % (MOST + 1);
                decoder.recover(codec, input.bytes(), &mut pcm[..len]);
            }
            _ => decoder.conceal(&mut pcm[..usize::from(input.u16()) % (MOST + 1)]),
        }
    }
}

fn decode(
    decoder: &mut Decoder<OpusDecoder<&mut parlour_core::audio::opus::OpusState>>,
    codec: Codec,
    payload: &[u8],
    pcm: &mut [i16; MOST],
) {
    let rate = decoder.sample_rate();
    let decoded = decoder.decode(codec, payload, pcm);
    if let Ok(samples) = decoded {
        assert!(samples > 0 && samples <= rate.samples(60));
        // The clock of RTP and the decoder agree on how long the payload lasts.
        let units = frame_samples(codec, payload).expect("what decodes is a frame");
        let expected = u64::from(units) * u64::from(rate.hz()) / u64::from(codec.clock_rate());
        assert_eq!(samples as u64, expected);
    }
    if codec != Codec::Opus {
        return;
    }
    match (OpusPacket::parse(payload), decoded) {
        (Ok(packet), Ok(samples)) => assert_eq!(samples, packet.samples(rate)),
        (Ok(packet), Err(DecodeError::Stereo)) => assert!(packet.is_stereo()),
        (Ok(_), Err(error)) => assert_eq!(error, DecodeError::Malformed),
        (Err(error), decoded) => assert_eq!(decoded, Err(error)),
    }
}
