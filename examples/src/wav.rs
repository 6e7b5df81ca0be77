//! Reading and writing of WAV files.

use std::path::Path;

use anyhow::{Context as _, bail};
use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::level::level;
use parlour_core::audio::resample::Resampler;
use parlour_files::{WavFile, WavSource};

/// Audio below this, in −dBov, is not speech.
const SILENCE: u8 = 60;

/// Reads speech, mixed to mono and at `rate`.
///
/// # Errors
/// The file is missing, or its audio is not usable speech; each error says what to do.
pub fn read(path: &Path, rate: SampleRate) -> anyhow::Result<Vec<i16>> {
    let name = path.display();
    let mut file = WavSource::open(path)?;
    let Some(from) = SampleRate::from_hz(file.hz()) else {
        bail!(
            "{name} is at {} Hz: resample it to 8, 16, 24 or 48 kHz",
            file.hz()
        );
    };
    let mut mono = Vec::new();
    file.read(usize::MAX, &mut mono)?;
    if mono.len() < from.samples(3_000) {
        bail!("{name} is shorter than 3 s: give a longer one");
    }
    if level(&mono) > SILENCE {
        bail!("{name} is silent: give one with speech in it");
    }
    Ok(resample(&mono, from, rate))
}

/// `pcm` at another rate.
pub fn resample(pcm: &[i16], from: SampleRate, to: SampleRate) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to);
    // Whole blocks of 20 ms: every rate has a whole number of samples in one.
    let (block, made) = (from.samples(20), to.samples(20));
    let mut resampled = vec![0; pcm.len() / block * made];
    for (block, out) in pcm
        .chunks_exact(block)
        .zip(resampled.chunks_exact_mut(made))
    {
        if resampler.process(block, out).is_err() {
            out.fill(0);
        }
    }
    resampled
}

/// Writes mono PCM, over an earlier file.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, pcm: &[i16], rate: SampleRate) -> anyhow::Result<()> {
    let write = || {
        let mut file = WavFile::create(path, rate.hz())?;
        file.write(pcm)?;
        file.finish()
    };
    write().with_context(|| {
        format!(
            "cannot write {}: choose another directory with --out",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use hound::{SampleFormat, WavSpec, WavWriter};

    use super::*;

    fn tone(samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| ((n as f64 * 0.1).sin() * 8_000.0) as i16)
            .collect()
    }

    fn file(pcm: &[i16], spec: WavSpec) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = WavWriter::create(file.path(), spec).unwrap();
        for sample in pcm {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        file
    }

    const SPEC: WavSpec = WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };

    #[test]
    fn what_is_written_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pcm = tone(64_000);
        write(file.path(), &pcm, SampleRate::Hz16000).unwrap();
        assert_eq!(read(file.path(), SampleRate::Hz16000).unwrap(), pcm);
        assert_eq!(
            read(file.path(), SampleRate::Hz48000).unwrap().len(),
            192_000
        );
    }

    #[test]
    fn stereo_is_mixed() {
        let stereo: Vec<i16> = tone(64_000).into_iter().flat_map(|s| [s, s / 2]).collect();
        let file = file(
            &stereo,
            WavSpec {
                channels: 2,
                ..SPEC
            },
        );
        let mono = read(file.path(), SampleRate::Hz16000).unwrap();
        assert_eq!(mono.len(), 64_000);
        assert_eq!(
            i32::from(mono[100]),
            (i32::from(stereo[200]) + i32::from(stereo[201])) / 2
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_to_do() {
        let cases = [
            (
                file(
                    &tone(64_000),
                    WavSpec {
                        sample_rate: 44_100,
                        ..SPEC
                    },
                ),
                "resample it",
            ),
            (file(&tone(16_000), SPEC), "longer"),
            (file(&[0; 64_000], SPEC), "silent"),
            (tempfile::NamedTempFile::new().unwrap(), "make it again"),
        ];
        for (file, advice) in cases {
            let error = read(file.path(), SampleRate::Hz16000).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(advice) && !text.contains('\n'), "{text}");
        }
        assert!(read(Path::new("/no/such/file"), SampleRate::Hz16000).is_err());
    }
}
