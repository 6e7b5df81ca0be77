//! Speech to encode, decode and mix.

use std::path::Path;

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::resample::Resampler;

/// The rate of the recording.
const RECORDED: SampleRate = SampleRate::Hz48000;
/// The first sample: speech begins here.
const START: usize = 24_000;

/// Recorded speech at `rate`: `count` frames of 20 ms, from the start again when it is over.
pub fn speech(rate: SampleRate, count: u64) -> Vec<Vec<i16>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/assets/host.wav");
    let samples = hound::WavReader::open(path)
        .expect("the recording is part of the repository")
        .into_samples::<i16>();
    let recorded: Vec<i16> = samples.map(|sample| sample.expect("it is whole")).collect();
    let mut resampler = Resampler::new(RECORDED, rate);
    let mut frame = vec![0; rate.samples(20)];
    let blocks = recorded[START..].chunks_exact(RECORDED.samples(20));
    let frames = blocks.cycle().take(count as usize).map(|block| {
        let len = resampler.process(block, &mut frame).expect("whole blocks");
        frame[..len].to_vec()
    });
    frames.collect()
}
