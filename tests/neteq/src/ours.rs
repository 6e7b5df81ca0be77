//! Parlour's player, as the tokio adapter has it, in virtual time.

use std::cell::Cell;
use std::rc::Rc;

use parlour_core::audio::codec::{AudioDecoder, DecodeError, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::opus::{Channels, OpusDecoder};
use parlour_core::audio::{JitterConfig, Lateness, Packet, Player};
use parlour_core::room::Codec;
use parlour_core::time::Instant;

use crate::speech::has_sound;
use crate::{Delivery, Error, Heard, PHASE_US, READ_US};

/// Opus, and the number of frames that it decoded or rebuilt.
struct Counted(OpusDecoder, Rc<Cell<usize>>);

impl Counted {
    fn count(&self) {
        self.1.set(self.1.get() + 1);
    }
}

impl AudioDecoder for Counted {
    fn sample_rate(&self) -> SampleRate {
        self.0.sample_rate()
    }

    fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, DecodeError> {
        if has_sound(payload) {
            self.count();
        }
        self.0.decode(payload, pcm)
    }

    fn conceal(&mut self, pcm: &mut [i16]) {
        self.0.conceal(pcm);
    }

    fn recover(&mut self, next_payload: &[u8], pcm: &mut [i16]) -> bool {
        let is_rebuilt = self.0.recover(next_payload, pcm);
        if is_rebuilt {
            self.count();
        }
        is_rebuilt
    }
}

pub fn play(deliveries: &[Delivery<'_>], until_us: u64) -> Result<Heard, Error> {
    let frames = Rc::new(Cell::new(0));
    let opus = OpusDecoder::new(SampleRate::Hz48000, Channels::Mono)?;
    let decoder = Decoder::new(Counted(opus, Rc::clone(&frames)));
    let mut player = Box::new(Player::<_, 24, 1_200, 2_880>::new(
        decoder,
        JitterConfig::default(),
    ));
    let mut lateness = Lateness::new();
    let mut heard = vec![0; (PHASE_US * 48 / 1_000) as usize];
    let mut pcm = [0; (READ_US * 48 / 1_000) as usize];
    let mut deliveries = deliveries.iter().peekable();
    for now in (PHASE_US..until_us).step_by(READ_US as usize) {
        while let Some(delivery) = deliveries.next_if(|delivery| delivery.at <= now) {
            let packet = Packet {
                sequence: delivery.sequence as u64,
                timestamp: delivery.packet.frame as u64 * 960,
                duration: 960,
                codec: Codec::Opus,
                speaker: Some(1),
                marker: delivery.packet.begins,
                payload: &delivery.packet.payload,
            };
            // One that is too late is refused, which is what is measured.
            let _ = player.push(Instant::from_micros(delivery.at), packet, &mut lateness);
        }
        player.read(Instant::from_micros(now), &mut pcm);
        heard.extend_from_slice(&pcm);
    }
    Ok(Heard {
        pcm: heard,
        frames: frames.get(),
    })
}
