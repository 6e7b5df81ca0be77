//! What a loudspeaker plays.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use cpal::traits::DeviceTrait as _;
use cpal::{ErrorKind, FromSample, SampleFormat, SizedSample, Stream};
use parlour_tokio::{MixedReader, Room};
use parlour_voice::{Played, Voice};

use crate::card::Found;
use crate::plug::{Plug, Signs};
use crate::{CardError, Change, Direction, Meter};

/// The way from a loudspeaker to the microphone that hears it.
pub(crate) struct EchoPath {
    /// The loudspeaker's rate, and the one that the microphone knows of.
    hz: AtomicU32,
    known_hz: AtomicU32,
    played: Mutex<Option<Played>>,
}

impl EchoPath {
    pub(crate) fn hz(&self) -> u32 {
        self.hz.load(Relaxed)
    }

    /// The microphone's end is ready to be told of what is played at the present rate.
    pub(crate) fn hand_over(&self, played: Played) {
        *self.played.lock().unwrap_or_else(PoisonError::into_inner) = Some(played);
        self.known_hz.store(self.hz(), Relaxed);
    }

    /// Follows a loudspeaker that has another rate than the one before it.
    pub(crate) fn follow(&self, voice: &mut Voice) {
        let hz = self.hz();
        if hz != self.known_hz.load(Relaxed)
            && let Ok(played) = voice.set_loudspeaker(hz)
        {
            self.hand_over(played);
        }
    }

    /// For the loudspeaker's callback. Never waits: what is played while the microphone's end changes is not told of.
    fn play(&self, pcm: &[i16], hz: u32) {
        if hz == self.known_hz.load(Relaxed)
            && let Ok(mut played) = self.played.try_lock()
            && let Some(played) = played.as_mut()
        {
            played.play(pcm);
        }
    }
}

impl fmt::Debug for EchoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoPath")
            .field("hz", &self.hz)
            .finish_non_exhaustive()
    }
}

/// A loudspeaker, or headphones, for a room.
#[derive(Debug)]
pub struct Loudspeaker {
    plug: Plug,
    echo: Arc<EchoPath>,
    meter: Meter,
}

impl Loudspeaker {
    /// The loudspeaker of that id, or the system's own choice.
    ///
    /// The card is asked at once, which takes some milliseconds, and begins to play in [`play`](Self::play).
    ///
    /// # Errors
    /// [`CardError`]
    pub fn open(id: Option<&str>) -> Result<Self, CardError> {
        let direction = Direction::Loudspeaker;
        let found = Found::new(direction, id)?;
        let hz = found.mode.rate.hz();
        Ok(Self {
            plug: Plug::new(direction, id),
            echo: Arc::new(EchoPath {
                hz: hz.into(),
                known_hz: 0.into(),
                played: Mutex::default(),
            }),
            meter: Meter::new(),
        })
    }

    pub(crate) fn echo_path(&self) -> Arc<EchoPath> {
        Arc::clone(&self.echo)
    }

    /// How loud it is what is heard.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Plays what is heard in the room, until the future is dropped. Tells when the card changes, the first one too.
    pub async fn play(&mut self, room: &Room, mut on_change: impl FnMut(Change)) -> Infallible {
        let (echo, meter) = (&self.echo, &self.meter);
        let mut build = |found: &Found, signs: &Signs| {
            let heard = room.mixed_audio(found.mode.rate).map_err(|error| {
                cpal::Error::with_message(ErrorKind::UnsupportedConfig, error.to_string())
            })?;
            echo.hz.store(found.mode.rate.hz(), Relaxed);
            let output = Output {
                heard,
                hz: found.mode.rate.hz(),
                echo: Arc::clone(echo),
                meter: meter.clone(),
                pcm: Vec::new(),
            };
            match found.mode.format {
                SampleFormat::F32 => output.stream::<f32>(found, signs),
                _ => output.stream::<i16>(found, signs),
            }
        };
        loop {
            let change = self.plug.change(&mut build).await;
            on_change(change);
        }
    }
}

/// What the callback of a loudspeaker has.
struct Output {
    heard: MixedReader,
    hz: u32,
    echo: Arc<EchoPath>,
    meter: Meter,
    pcm: Vec<i16>,
}

impl Output {
    fn stream<T>(mut self, found: &Found, signs: &Signs) -> Result<Stream, cpal::Error>
    where
        T: SizedSample + FromSample<i16>,
    {
        let channels = usize::from(found.mode.channels);
        let on_error = signs.on_error();
        let signs = signs.clone();
        let callback = move |data: &mut [T], _: &_| {
            signs.sounds();
            self.pcm.resize(data.len() / channels, 0);
            self.heard.read(&mut self.pcm);
            self.meter.hear(&self.pcm);
            self.echo.play(&self.pcm, self.hz);
            for (frame, sample) in data.chunks_exact_mut(channels).zip(&self.pcm) {
                frame.fill(T::from_sample(*sample));
            }
        };
        (found.device).build_output_stream(found.mode.config(), callback, on_error, None)
    }
}
