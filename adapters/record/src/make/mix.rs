//! The mixing configuration of rooms.

use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::opus::EncoderConfig;
use parlour_core::server::{MixConfig, MixOpus};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Serialize, Deserialize)]
struct Fields {
    sessions: usize,
    talkers: u8,
    encoders: usize,
    /// Hz.
    sample_rate: u32,
    bitrate: u32,
    complexity: u8,
    expected_loss: u8,
    dtx: bool,
}

pub(super) fn serialize<S: Serializer>(
    mix: &Option<MixConfig>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let fields = mix.map(|mix| {
        let opus = mix.opus.config();
        Fields {
            sessions: mix.sessions,
            talkers: mix.talkers,
            encoders: mix.encoders,
            sample_rate: opus.sample_rate.hz(),
            bitrate: opus.bitrate,
            complexity: opus.complexity,
            expected_loss: opus.expected_loss,
            dtx: opus.dtx,
        }
    });
    fields.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<MixConfig>, D::Error> {
    let fields = Option::<Fields>::deserialize(deserializer)?;
    fields.map(config).transpose()
}

fn config<E: de::Error>(fields: Fields) -> Result<MixConfig, E> {
    let sample_rate =
        SampleRate::from_hz(fields.sample_rate).ok_or_else(|| E::custom("no such sample rate"))?;
    let opus = EncoderConfig {
        sample_rate,
        frame: FrameDuration::Ms20,
        bitrate: fields.bitrate,
        complexity: fields.complexity,
        expected_loss: fields.expected_loss,
        dtx: fields.dtx,
    };
    Ok(MixConfig {
        sessions: fields.sessions,
        talkers: fields.talkers,
        encoders: fields.encoders,
        opus: MixOpus::new(opus).map_err(E::custom)?,
    })
}
