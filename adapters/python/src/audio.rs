//! Sound in and out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlour_tokio::core::signal::StreamRef;
use parlour_tokio::{
    AudioOptions, AudioSource, AudioWriter as Writer, MixedReader, ParticipantReader, Room,
    SampleRate, SlotReader, StreamKey, WriteError,
};
use pyo3::exceptions::{PyStopAsyncIteration, PyValueError};
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::errors::{self, ReadError};
use crate::names::{no_such, participant, seconds};
use crate::pcm::{Pcm, sample_rate, samples};
use crate::runtime::awaitable;

/// The length of the pieces that are handed over, and how much of them waits.
const PIECE_MS: u16 = 100;
const AHEAD: Duration = Duration::from_millis(100);

enum Reader {
    Mixed(MixedReader),
    Participant(ParticipantReader),
    Slot(SlotReader),
}

impl Reader {
    async fn next_frame(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        match self {
            Self::Mixed(reader) => {
                reader.next_frame(pcm).await;
                None
            }
            Self::Participant(reader) => reader.next_frame(pcm).await,
            Self::Slot(reader) => reader.next_frame(pcm).await,
        }
    }

    fn read(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        match self {
            Self::Mixed(reader) => {
                reader.read(pcm);
                None
            }
            Self::Participant(reader) => reader.read(pcm),
            Self::Slot(reader) => reader.read(pcm),
        }
    }
}

/// PCM and the stream it is of: participant, key.
type Frame = (Pcm, Option<(String, String)>);

fn frame(pcm: Vec<i16>, stream: Option<StreamRef>) -> Frame {
    let names = |stream: StreamRef| {
        let StreamRef { participant, key } = stream;
        (participant.as_str().to_owned(), key.as_str().to_owned())
    };
    (Pcm(pcm), stream.map(names))
}

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct AudioReader {
    /// Keeps the participant in the room.
    room: Room,
    reader: Arc<tokio::sync::Mutex<Reader>>,
    samples: usize,
}

impl AudioReader {
    pub(crate) fn new(
        py: Python<'_>,
        room: &Room,
        of: Option<(String, Option<String>)>,
        slot: Option<u8>,
        hz: u32,
        frame_ms: u16,
    ) -> PyResult<Self> {
        let rate = sample_rate(hz)?;
        if !(5..=1_000).contains(&frame_ms) {
            return Err(PyValueError::new_err("a frame has 5 to 1000 ms"));
        }
        let source = of.map(source).transpose()?;
        let reader = py.detach(|| open(room, source, slot, rate))?;
        Ok(Self {
            room: room.clone(),
            reader: Arc::new(tokio::sync::Mutex::new(reader)),
            samples: rate.samples(frame_ms),
        })
    }
}

fn source((id, key): (String, Option<String>)) -> PyResult<AudioSource> {
    let participant = participant(&id)?;
    Ok(match key {
        Some(key) => AudioSource::Stream(StreamRef {
            participant,
            key: StreamKey::new(&key).map_err(errors::value)?,
        }),
        None => AudioSource::Participant(participant),
    })
}

fn open(
    room: &Room,
    source: Option<AudioSource>,
    slot: Option<u8>,
    rate: SampleRate,
) -> PyResult<Reader> {
    Ok(match (source, slot) {
        (Some(source), _) => Reader::Participant(room.audio_of(source, rate)),
        (None, Some(slot)) => Reader::Slot(room.slot_audio(slot, rate).map_err(errors::read)?),
        (None, None) => Reader::Mixed(room.mixed_audio(rate).map_err(errors::read)?),
    })
}

#[pymethods]
impl AudioReader {
    fn next_frame<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (room, reader) = (self.room.clone(), Arc::clone(&self.reader));
        let mut pcm = vec![0; self.samples];
        awaitable(py, async move {
            let mut reader = reader.lock().await;
            tokio::select! {
                biased;
                _ = room.closed() => Err(PyStopAsyncIteration::new_err(())),
                stream = reader.next_frame(&mut pcm) => Ok(frame(pcm, stream)),
            }
        })
    }

    fn read(&self, py: Python<'_>, samples: usize) -> PyResult<Frame> {
        py.detach(|| {
            let mut reader = self.reader.try_lock().map_err(|_| {
                ReadError::new_err("an `async for` waits for this reader: read from another one")
            })?;
            let mut pcm = vec![0; samples];
            let stream = reader.read(&mut pcm);
            Ok(frame(pcm, stream))
        })
    }
}

/// A writer that can be cleared, and asked how much was heard, while it plays.
struct Voice {
    writer: Mutex<Option<Writer>>,
    /// Those who play take turns.
    turns: tokio::sync::Mutex<()>,
    /// Changed by each `clear`, while `writer` is locked.
    cleared: watch::Sender<()>,
    rate: SampleRate,
}

impl Voice {
    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Writer) -> Result<T, WriteError>) -> PyResult<T> {
        let mut writer = self.lock();
        let writer = writer.as_mut().ok_or(WriteError::NotPublished);
        writer.and_then(act).map_err(errors::write)
    }

    /// Plays `pcm` until all but the last `ahead` of it is sent; false if it was cleared meanwhile. A future that is dropped
    /// has handed over up to 200 ms, or `ahead` and 100 ms if that is more.
    async fn play(
        &self,
        pcm: &[i16],
        ahead: Duration,
        mut cleared: watch::Receiver<()>,
    ) -> PyResult<bool> {
        let is_cleared = cleared.clone();
        let all = async {
            let _turn = self.turns.lock().await;
            for piece in pcm.chunks(self.rate.samples(PIECE_MS)) {
                let sent = self.with(|writer| {
                    if is_cleared.has_changed().unwrap_or(true) {
                        return Ok(None);
                    }
                    writer.write(piece)?;
                    Ok(Some(writer.sent(ahead.max(AHEAD))))
                })?;
                let Some(sent) = sent else {
                    return Ok(false);
                };
                sent.await;
            }
            self.with(|writer| Ok(writer.sent(ahead)))?.await;
            Ok(true)
        };
        tokio::select! {
            biased;
            _ = cleared.changed() => Ok(false),
            played = all => played,
        }
    }
}

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct AudioWriter {
    /// Keeps the participant in the room.
    room: Room,
    voice: Arc<Voice>,
    key: String,
}

impl AudioWriter {
    pub(crate) fn new(room: Room, writer: Writer, rate: SampleRate) -> Self {
        Self {
            room,
            key: writer.key().as_str().to_owned(),
            voice: Arc::new(Voice {
                writer: Mutex::new(Some(writer)),
                turns: tokio::sync::Mutex::default(),
                cleared: watch::Sender::new(()),
                rate,
            }),
        }
    }
}

/// The options of a stream with a codec of this name.
pub(crate) fn options(
    codec: &str,
    rate: SampleRate,
    bitrate: Option<u32>,
    muted: bool,
) -> PyResult<AudioOptions> {
    let mut options = match codec {
        "opus" => AudioOptions::opus(rate),
        "opus_voice" => AudioOptions::opus_voice(rate),
        "pcmu" => AudioOptions::pcmu(rate),
        "pcma" => AudioOptions {
            codec: parlour_tokio::AudioCodec::Pcma,
            ..AudioOptions::pcmu(rate)
        },
        other => return Err(no_such("codec", other)),
    };
    options.muted = muted;
    match (&mut options.codec, bitrate) {
        (_, None) => {}
        (parlour_tokio::AudioCodec::Opus { bitrate, .. }, Some(wanted)) => *bitrate = wanted,
        _ => {
            return Err(PyValueError::new_err(
                "G.711 has 64 kb/s: leave bitrate out",
            ));
        }
    }
    Ok(options)
}

#[pymethods]
impl AudioWriter {
    #[getter]
    fn key(&self) -> &str {
        &self.key
    }

    /// In seconds; `None` once it is unpublished.
    #[getter]
    fn played(&self, py: Python<'_>) -> Option<f64> {
        py.detach(|| {
            let writer = self.voice.lock();
            writer.as_ref().map(|writer| writer.played().as_secs_f64())
        })
    }

    fn write(&self, pcm: &Bound<'_, PyAny>) -> PyResult<()> {
        let samples = samples(pcm)?;
        let voice = &self.voice;
        pcm.py()
            .detach(|| voice.with(|writer| writer.write(&samples)))
    }

    fn play<'py>(&self, pcm: &Bound<'py, PyAny>, ahead: f64) -> PyResult<Bound<'py, PyAny>> {
        let (samples, ahead) = (samples(pcm)?, seconds(ahead)?);
        let voice = Arc::clone(&self.voice);
        // From here on: a `clear` that comes before the future runs counts.
        let cleared = voice.cleared.subscribe();
        awaitable(pcm.py(), async move {
            voice.play(&samples, ahead, cleared).await
        })
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.voice.with(|writer| {
                writer.clear();
                self.voice.cleared.send_replace(());
                Ok(())
            })
        })
    }

    fn set_voice(&self, py: Python<'_>, voice: bool) -> PyResult<()> {
        py.detach(|| {
            self.voice.with(|writer| {
                writer.set_voice(voice);
                Ok(())
            })
        })
    }

    fn set_muted<'py>(&self, py: Python<'py>, muted: bool) -> PyResult<Bound<'py, PyAny>> {
        let (room, key) = (self.room.clone(), self.key.clone());
        awaitable(py, async move {
            let set = room.set_muted(&key, muted).await;
            set.map_err(errors::request)
        })
    }

    fn unpublish(&self, py: Python<'_>) {
        py.detach(|| drop(self.voice.lock().take()));
    }
}
