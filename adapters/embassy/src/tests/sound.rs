//! The audio sent is the audio heard, at every rate and in every codec.

use core::f64::consts::TAU;

use embassy_time::{Duration, Ticker};
use parlour_core::audio::codec::{AudioEncoder as _, Encoded, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Encoder, Law};
use parlour_core::room::Codec;
use parlour_core::rtp::{AudioLevel, FrameError};
use std::vec::Vec;

use super::world::{Party, World, mic};
use crate::{AudioCodec, G711, WriteError};

/// Samples of 20 ms that are heard: 16 kHz.
const HEARD: usize = 320;
/// The frequency of the tone sent.
const HZ: f64 = 500.0;

/// The `number`-th 20 ms of a tone.
fn sine(rate: SampleRate, number: usize) -> Vec<i16> {
    let samples = rate.samples(20);
    (0..samples)
        .map(|n| {
            let at = (number * samples + n) as f64 / f64::from(rate.hz());
            ((at * HZ * TAU).sin() * 8_000.0) as i16
        })
        .collect()
}

/// The amplitude of that tone in `pcm`, at 16 kHz.
fn amplitude(pcm: &[i16]) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let phase = n as f64 / 16_000.0 * HZ * TAU;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    2.0 * (re * re + im * im).sqrt() / pcm.len() as f64
}

/// The 500 Hz that [`loudest`] says, at 16 kHz.
pub(super) fn tone() -> [i16; HEARD] {
    let mut pcm = [0; HEARD];
    pcm.copy_from_slice(&sine(SampleRate::Hz16000, 0));
    pcm
}

/// The loudest sample that `listener` hears at the end of a second in which `talker` has its microphone open.
pub(super) fn loudest(world: &mut World, talker: &Party, listener: &Party) -> i16 {
    let writer = (talker.room).publish_audio(mic(), AudioCodec::Pcmu, SampleRate::Hz16000);
    let mut writer = writer.unwrap();
    let heard = hear(world, listener, move |_| writer.write(&tone()).unwrap());
    settled(&heard).iter().copied().max().unwrap()
}

/// The audio that `listener` hears in a second, in which `say` is called every 20 ms.
fn hear(world: &mut World, listener: &Party, mut say: impl FnMut(usize) + 'static) -> Vec<i16> {
    let mut reader = listener.room.mixed_audio();
    world.run(async move {
        let mut ticks = Ticker::every(Duration::from_millis(20));
        let mut heard = Vec::new();
        for frame in 0..50 {
            ticks.next().await;
            say(frame);
            let mut pcm = [0; HEARD];
            reader.read(&mut pcm);
            heard.extend(pcm);
        }
        heard
    })
}

/// The second half of the audio heard; the first may hold earlier audio.
fn settled(heard: &[i16]) -> &[i16] {
    &heard[heard.len() / 2..]
}

#[test]
fn pcm_of_every_rate_is_heard_at_its_pitch() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    for rate in [
        SampleRate::Hz8000,
        SampleRate::Hz16000,
        SampleRate::Hz24000,
        SampleRate::Hz48000,
    ] {
        let mut writer = anna
            .room
            .publish_audio(mic(), AudioCodec::Pcma, rate)
            .unwrap();
        assert_eq!(writer.sample_rate(), rate);
        assert_eq!(writer.frame_samples(), rate.samples(20));
        let heard = hear(&mut world, &ben, move |frame| {
            writer.write(&sine(rate, frame)).unwrap();
        });
        let found = amplitude(settled(&heard));
        assert!(
            (7_000.0..9_000.0).contains(&found),
            "{found} of 8,000 at {rate:?}"
        );
    }
}

/// Of four seconds of a tone, played in pieces of `ms` when they are due: how many frames of 20 ms are heard, and how
/// many silent ones between the first and the last of them.
fn heard_in_pieces(ms: usize) -> (usize, usize) {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let rate = SampleRate::Hz48000;
    let mut writer = anna
        .room
        .publish_audio(mic(), AudioCodec::Pcmu, rate)
        .unwrap();
    let said: Vec<i16> = (0..200).flat_map(|number| sine(rate, number)).collect();
    world.spawn(async move {
        let mut ticks = Ticker::every(Duration::from_millis(ms as u64));
        for piece in said.chunks_exact(rate.samples(ms as u16)) {
            ticks.next().await;
            writer.play(piece).await.unwrap();
        }
        core::future::pending().await
    });
    let mut reader = ben.room.mixed_audio();
    let loud = world.run(async move {
        let mut ticks = Ticker::every(Duration::from_millis(20));
        let mut loud = Vec::new();
        for _ in 0..350 {
            ticks.next().await;
            let mut pcm = [0; HEARD];
            reader.read(&mut pcm);
            loud.push(pcm.iter().any(|sample| *sample > 4_000));
        }
        loud
    });
    let heard = loud.iter().filter(|loud| **loud).count();
    let first = loud.iter().position(|loud| *loud).unwrap_or(0);
    let last = loud.iter().rposition(|loud| *loud).unwrap_or(0);
    (heard, last + 1 - first - heard)
}

#[test]
fn pieces_of_any_length_are_heard_whole() {
    for ms in [7, 20, 50, 200, 300, 500, 1_000, 2_000] {
        let (heard, silent) = heard_in_pieces(ms);
        std::println!("{ms} ms: {heard} frames, {silent} silent");
        let whole = 4_000 / ms * ms / 20;
        assert!(heard + 2 >= whole, "pieces of {ms} ms: {heard} of {whole}");
        assert_eq!(silent, 0, "pieces of {ms} ms");
    }
}

#[test]
fn frames_that_are_encoded_already_are_heard_and_bytes_that_are_none_are_errors() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let mut writer = anna.room.publish_encoded(mic(), Codec::Pcma).unwrap();
    let level = AudioLevel {
        voice: true,
        level: 20,
    };
    assert_eq!(
        writer.write(&[], level),
        Err(WriteError::Frame(FrameError::Empty))
    );
    assert_eq!(
        writer.write(&[0xD5; 961], level),
        Err(WriteError::Frame(FrameError::TooLong))
    );
    let mut encoder = G711Encoder::new(Law::A, FrameDuration::Ms20);
    let heard = hear(&mut world, &ben, move |frame| {
        let mut payload = [0; 160];
        let encoded = encoder.encode(&sine(SampleRate::Hz8000, frame), &mut payload);
        assert_eq!(encoded, Ok(Encoded::Payload(160)));
        writer.write(&payload, level).unwrap();
    });
    let found = amplitude(settled(&heard));
    assert!((7_000.0..9_000.0).contains(&found), "{found} of 8,000");

    let mut writer = anna.room.publish_encoded(mic(), Codec::Opus).unwrap();
    world.pass(Duration::from_millis(100));
    let mut payload = [0; 1_200];
    payload[0] = 0x48;
    assert_eq!(writer.write(&payload, level), Err(WriteError::TooLong));
    let no_packet = writer.write(&[0x4B], level);
    assert_eq!(no_packet, Err(WriteError::Frame(FrameError::Malformed)));
}

#[test]
fn time_runs_on_while_nothing_is_written() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let rate = SampleRate::Hz8000;
    let mut writer = anna
        .room
        .publish_audio(mic(), AudioCodec::Pcmu, rate)
        .unwrap();
    let listening = ben.room;
    let jitter = world.run(async move {
        let mut ticks = Ticker::every(Duration::from_millis(20));
        let mut jitter = core::time::Duration::ZERO;
        for frame in 0..200 {
            ticks.next().await;
            // A gate that says so, and a task that was stopped.
            match frame {
                50..100 => writer.silence(),
                100..150 => {}
                _ => writer.write(&sine(rate, frame)).unwrap(),
            }
            let slot = listening.with_client(|client| client.slot_statistics(0));
            jitter = jitter.max(slot.map_or(jitter, |slot| slot.jitter));
        }
        jitter
    });
    // Had the timestamps stood still for a second, it would be a sixteenth of that (RFC 3550, section 6.4.1).
    assert!(jitter.as_millis() < 5, "{jitter:?}");
}

#[cfg(feature = "opus")]
mod opus {
    use std::boxed::Box;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::thread;

    use parlour_core::audio::opus::{EncoderConfig, OpusEncoder};

    use super::*;
    use crate::tests::world::PORT;
    use crate::{Config, Opus, PublishError, SetupError};

    /// An encoder for packets of `frame`. Making one takes much of the stack.
    fn encoder(frame: FrameDuration) -> &'static mut OpusEncoder {
        let config = EncoderConfig {
            bitrate: 40_000,
            complexity: 0,
            frame,
            ..EncoderConfig::default()
        };
        let maker = thread::Builder::new().stack_size(16 << 20);
        let made = maker.spawn(move || Box::new(OpusEncoder::new(config).unwrap()));
        Box::leak(made.unwrap().join().unwrap())
    }

    #[test]
    fn opus_is_heard_from_every_rate() {
        let mut world = World::new();
        let (anna, ben) = world.two::<Opus>();
        for rate in [SampleRate::Hz8000, SampleRate::Hz16000, SampleRate::Hz48000] {
            let codec = AudioCodec::Opus(encoder(FrameDuration::Ms20));
            let mut writer = anna.room.publish_audio(mic(), codec, rate).unwrap();
            let heard = hear(&mut world, &ben, move |frame| {
                writer.write(&sine(rate, frame)).unwrap();
            });
            let found = amplitude(settled(&heard));
            assert!(
                (5_000.0..11_000.0).contains(&found),
                "{found} of 8,000 at {rate:?}"
            );
        }
    }

    #[test]
    fn what_opus_does_not_do_is_an_error() {
        let mut world = World::new();
        let (anna, _) = world.two::<Opus>();
        let codec = AudioCodec::Opus(encoder(FrameDuration::Ms10));
        let published = anna.room.publish_audio(mic(), codec, SampleRate::Hz16000);
        assert_eq!(published.unwrap_err(), PublishError::FrameDuration);

        let telephone = Config {
            output_rate: SampleRate::Hz8000,
            ..Config::default()
        };
        let made = world.try_party::<Opus>(4, world.ticket("10.0.0.1", PORT, "carl"), telephone);
        assert_eq!(made.err(), Some(SetupError::OutputRate(SampleRate::Hz8000)));
    }

    #[test]
    fn loss_takes_bits_away_and_no_loss_gives_them_back() {
        let mut world = World::new();
        let (anna, ben) = world.two::<Opus>();
        let rate = SampleRate::Hz16000;
        let codec = AudioCodec::Opus(encoder(FrameDuration::Ms20));
        let writer = anna.room.publish_audio(mic(), codec, rate).unwrap();
        let writer = Rc::new(RefCell::new(writer));
        // A sound that takes all the bits that there are.
        let noise: Vec<i16> = (0..HEARD)
            .map(|n| (n * n * 7_919 % 16_000) as i16 - 8_000)
            .collect();
        // Of the last of so many seconds.
        let bytes = |world: &mut World, seconds| {
            let sent = || {
                anna.room
                    .with_client(|client| client.statistics().sent.bytes)
            };
            let mut before = 0;
            for _ in 0..seconds {
                before = sent();
                let (writer, noise) = (writer.clone(), noise.clone());
                hear(world, &ben, move |_| {
                    writer.borrow_mut().write(&noise).unwrap()
                });
            }
            sent() - before
        };
        let none = bytes(&mut world, 5);
        world.lose_every(3, &anna);
        let much = bytes(&mut world, 15);
        world.lose_every(u32::MAX, &anna);
        let again = bytes(&mut world, 15);
        assert!(much * 10 < none * 8, "{much} of {none}");
        assert!(again * 10 > none * 9, "{again} of {none}");
    }
}
