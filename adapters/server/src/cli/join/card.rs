//! Sound cards: what a microphone hears is said, and what is heard goes to a loudspeaker.
//!
//! ```text
//! microphone ──► callback, mono ──► pieces ──► Voice ──► AudioWriter
//!                                                ▲
//!                                             Played ◄─┐
//!                       room ──► MixedReader ──► callback ──► loudspeaker
//! ```
//!
//! Both run at a rate that the card has, and the loudspeaker's clock pulls what it plays.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{
    Device, DeviceId, ErrorKind, FromSample, Sample as _, SampleFormat, SizedSample, Stream,
    StreamConfig, SupportedStreamConfigRange,
};
use parlour_tokio::{AudioWriter, MixedReader, Room, SampleRate};
use parlour_voice::{Options, Played, Voice};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ending;
use crate::cli::failure::{Exit, Failure};

/// What a card may run at, the best first.
const RATES: [SampleRate; 6] = [
    SampleRate::Hz48000,
    SampleRate::Hz44100,
    SampleRate::Hz32000,
    SampleRate::Hz24000,
    SampleRate::Hz16000,
    SampleRate::Hz8000,
];
const FORMATS: [SampleFormat; 2] = [SampleFormat::I16, SampleFormat::F32];
/// Errors for so long without sound between them are the end. While a stream of PulseAudio starts, its delay is an error.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pieces of a microphone that wait; they are of some milliseconds each.
const PIECES: usize = 64;

/// The direction of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Microphone,
    Loudspeaker,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microphone => "microphone",
            Self::Loudspeaker => "loudspeaker",
        })
    }
}

/// How a card runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    rate: SampleRate,
    channels: u16,
    format: SampleFormat,
}

impl Mode {
    /// The best of those that a card has: the highest rate, then the fewest channels.
    fn best(ranges: &[SupportedStreamConfigRange]) -> Option<Self> {
        RATES.into_iter().find_map(|rate| {
            let fitting = ranges.iter().filter(|range| range.contains_rate(rate.hz()));
            let fitting = fitting.filter_map(|range| {
                let format = range.sample_format();
                let place = FORMATS.iter().position(|known| *known == format)?;
                Some((range.channels(), place))
            });
            let (channels, place) = fitting.min()?;
            let format = FORMATS[place];
            Some(Self {
                rate,
                channels,
                format,
            })
        })
    }

    fn config(self) -> StreamConfig {
        StreamConfig {
            channels: self.channels,
            sample_rate: self.rate.hz(),
            buffer_size: cpal::BufferSize::Default,
        }
    }
}

/// A card that was chosen, in one direction.
struct Card {
    device: Device,
    direction: Direction,
    mode: Mode,
    /// Whether there was sound since the last error.
    sounded: Arc<AtomicBool>,
    failures: mpsc::Sender<cpal::Error>,
    failed: mpsc::Receiver<cpal::Error>,
}

impl Card {
    /// The card of that name, or the system's own choice if it is empty.
    fn open(direction: Direction, name: &str) -> Result<Self, Failure> {
        let host = cpal::default_host();
        let device = match (name, direction) {
            ("", Direction::Microphone) => host.default_input_device(),
            ("", Direction::Loudspeaker) => host.default_output_device(),
            _ => host.device_by_id(&DeviceId::new(host.id(), name)),
        };
        let Some(device) = device else {
            return Err(Failure::new(Exit::Usage, missing(direction, name)?));
        };
        let ranges: Vec<_> = match direction {
            Direction::Microphone => device.supported_input_configs().map(Iterator::collect),
            Direction::Loudspeaker => device.supported_output_configs().map(Iterator::collect),
        }
        .map_err(|error| unusable(direction, &error))?;
        let mode = Mode::best(&ranges).ok_or_else(|| {
            let says = format!(
                "the {direction} has no PCM of 16 bits or floats at 8, 16, 24, 32, 44.1 or 48 kHz: name another one"
            );
            Failure::new(Exit::Failed, says)
        })?;
        let (failures, failed) = mpsc::channel(1);
        Ok(Self {
            device,
            direction,
            mode,
            sounded: Arc::default(),
            failures,
            failed,
        })
    }

    /// Tells of an error that ends the sound. The card makes up for others by itself.
    fn on_error(&self) -> impl FnMut(cpal::Error) + Send + 'static {
        let (failures, direction) = (self.failures.clone(), self.direction);
        let sounded = Arc::clone(&self.sounded);
        let mut since = Instant::now();
        let mut is_passing = move || {
            if sounded.swap(false, Relaxed) {
                since = Instant::now();
            }
            since.elapsed() < PATIENCE
        };
        move |error| match error.kind() {
            ErrorKind::BackendError if is_passing() => {
                tracing::debug!(%error, %direction, "the card may go on");
            }
            ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {
                tracing::debug!(%error, %direction, "the card goes on");
            }
            // The first is enough.
            _ => drop(failures.try_send(error)),
        }
    }

    fn capture<T>(&self, pieces: mpsc::Sender<Vec<i16>>) -> Result<Stream, cpal::Error>
    where
        T: SizedSample,
        i16: FromSample<T>,
    {
        let channels = usize::from(self.mode.channels);
        let sounded = Arc::clone(&self.sounded);
        let callback = move |data: &[T], _: &_| {
            sounded.store(true, Relaxed);
            let mono = data.chunks_exact(channels).map(|frame| {
                let sum: i32 = frame
                    .iter()
                    .map(|sample| i32::from(i16::from_sample(*sample)))
                    .sum();
                (sum / channels as i32) as i16
            });
            // Where nobody takes them, the newest are left out.
            let _ = pieces.try_send(mono.collect());
        };
        self.device
            .build_input_stream(self.mode.config(), callback, self.on_error(), None)
    }

    fn play<T>(
        &self,
        mut heard: MixedReader,
        mut played: Option<Played>,
    ) -> Result<Stream, cpal::Error>
    where
        T: SizedSample + FromSample<i16>,
    {
        let channels = usize::from(self.mode.channels);
        let mut pcm = Vec::new();
        let sounded = Arc::clone(&self.sounded);
        let callback = move |data: &mut [T], _: &_| {
            sounded.store(true, Relaxed);
            pcm.resize(data.len() / channels, 0);
            heard.read(&mut pcm);
            if let Some(played) = &mut played {
                played.play(&pcm);
            }
            for (frame, sample) in data.chunks_exact_mut(channels).zip(&pcm) {
                frame.fill(T::from_sample(*sample));
            }
        };
        self.device
            .build_output_stream(self.mode.config(), callback, self.on_error(), None)
    }

    /// Waits until the card has failed.
    async fn failed(&mut self) -> Failure {
        match self.failed.recv().await {
            Some(error) => unusable(self.direction, &error),
            // It cannot be: a sender is in this card.
            None => std::future::pending().await,
        }
    }
}

/// A microphone that listens.
pub(super) struct Microphone {
    card: Card,
    pieces: mpsc::Receiver<Vec<i16>>,
    voice: Voice,
    _stream: Stream,
}

impl Microphone {
    /// The microphone of that name, or the system's own choice if it is empty. What `loudspeaker` plays is not heard.
    pub(super) fn open(
        name: &str,
        options: Options,
        loudspeaker: Option<&mut Loudspeaker>,
    ) -> Result<Self, Failure> {
        let card = Card::open(Direction::Microphone, name)?;
        let hz = card.mode.rate.hz();
        let far = loudspeaker.as_ref();
        let far_hz = far.map_or(hz, |loudspeaker| loudspeaker.card.mode.rate.hz());
        let options = Options {
            echo: options.echo && far.is_some(),
            ..options
        };
        let (voice, played) = Voice::new(hz, far_hz, options)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        if let Some(loudspeaker) = loudspeaker {
            loudspeaker.played = Some(played);
        }
        let (tell, pieces) = mpsc::channel(PIECES);
        let stream = match card.mode.format {
            SampleFormat::F32 => card.capture::<f32>(tell),
            _ => card.capture::<i16>(tell),
        };
        let stream = started(card.direction, stream)?;
        Ok(Self {
            card,
            pieces,
            voice,
            _stream: stream,
        })
    }

    pub(super) fn rate(&self) -> SampleRate {
        self.card.mode.rate
    }

    /// Says what it hears, until it fails.
    pub(super) async fn talk(&mut self, mic: &mut AudioWriter) -> Failure {
        // What was heard before somebody could hear it is not said.
        while self.pieces.try_recv().is_ok() {}
        loop {
            let piece = tokio::select! {
                piece = self.pieces.recv() => piece,
                failure = self.card.failed() => return failure,
            };
            let Some(piece) = piece else {
                return self.card.failed().await;
            };
            let mut written = Ok(());
            self.voice.hear(&piece, |cleaned| {
                mic.set_voice(cleaned.is_voice);
                written = written.and_then(|()| mic.write(cleaned.pcm));
            });
            if let Err(error) = written {
                return ending::not_written(error);
            }
        }
    }
}

/// A loudspeaker, or headphones.
pub(super) struct Loudspeaker {
    card: Card,
    /// For the microphone that hears it.
    played: Option<Played>,
}

impl Loudspeaker {
    /// The loudspeaker of that name, or the system's own choice if it is empty.
    pub(super) fn open(name: &str) -> Result<Self, Failure> {
        let card = Card::open(Direction::Loudspeaker, name)?;
        Ok(Self { card, played: None })
    }

    /// Plays what is heard in the room, until it fails.
    pub(super) async fn play(&mut self, room: &Room) -> Failure {
        let heard = match room.mixed_audio(self.card.mode.rate) {
            Ok(heard) => heard,
            Err(error) => return Failure::new(Exit::Failed, error.to_string()),
        };
        let played = self.played.take();
        let stream = match self.card.mode.format {
            SampleFormat::F32 => self.card.play::<f32>(heard, played),
            _ => self.card.play::<i16>(heard, played),
        };
        match started(self.card.direction, stream) {
            Ok(_stream) => self.card.failed().await,
            Err(failure) => failure,
        }
    }
}

fn started(direction: Direction, stream: Result<Stream, cpal::Error>) -> Result<Stream, Failure> {
    let started = stream.and_then(|stream| stream.play().map(|()| stream));
    started.map_err(|error| unusable(direction, &error))
}

fn unusable(direction: Direction, error: &cpal::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the {direction} does not work: {error}"),
    )
}

fn all(direction: Direction) -> Result<Vec<Device>, Failure> {
    let host = cpal::default_host();
    let devices = match direction {
        Direction::Microphone => host.input_devices().map(Iterator::collect),
        Direction::Loudspeaker => host.output_devices().map(Iterator::collect),
    };
    devices.map_err(|error| unusable(direction, &error))
}

/// The name by which the system knows a card.
fn id(device: &Device) -> String {
    device.id().map(|id| id.id().to_owned()).unwrap_or_default()
}

/// What there is in place of what the user has named.
fn missing(direction: Direction, name: &str) -> Result<String, Failure> {
    if name.is_empty() {
        return Ok(format!(
            "this system has no {direction}: connect one, or play and record files"
        ));
    }
    let names: Vec<_> = all(direction)?.iter().map(id).collect();
    Ok(if names.is_empty() {
        format!("there is no {direction} {name:?}, nor any other")
    } else {
        format!(
            "there is no {direction} {name:?}; there are: {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use cpal::SupportedBufferSize;

    use super::*;

    fn range(channels: u16, rates: [u32; 2], format: SampleFormat) -> SupportedStreamConfigRange {
        let any = SupportedBufferSize::Unknown;
        SupportedStreamConfigRange::new(channels, rates[0], rates[1], any, format)
    }

    #[test]
    fn the_highest_rate_with_the_fewest_channels_is_chosen() {
        let mode = |rate, channels, format| {
            Some(Mode {
                rate,
                channels,
                format,
            })
        };
        let all = [
            range(1, [8_000, 16_000], SampleFormat::I16),
            range(2, [8_000, 48_000], SampleFormat::F32),
            range(2, [8_000, 48_000], SampleFormat::I16),
            range(1, [44_100, 44_100], SampleFormat::I16),
            range(1, [8_000, 48_000], SampleFormat::U8),
        ];
        let best = mode(SampleRate::Hz48000, 2, SampleFormat::I16);
        assert_eq!(Mode::best(&all), best);
        let best = mode(SampleRate::Hz44100, 1, SampleFormat::I16);
        assert_eq!(Mode::best(&all[3..]), best);
        assert_eq!(Mode::best(&all[4..]), None);
        assert_eq!(Mode::best(&[]), None);
    }
}
