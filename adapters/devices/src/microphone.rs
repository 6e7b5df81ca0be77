//! What a microphone hears.

use std::sync::Arc;

use cpal::traits::DeviceTrait as _;
use cpal::{FromSample, Sample as _, SampleFormat, SizedSample, Stream};
use parlour_tokio::{AudioOptions, AudioWriter, SampleRate, WriteError};
use parlour_voice::{Options, Voice};
use tokio::sync::mpsc;

use crate::card::Found;
use crate::loudspeaker::{EchoPath, Loudspeaker};
use crate::plug::{Plug, Signs};
use crate::{CardError, Change, Direction, Meter};

/// Pieces that wait; they are of some milliseconds each.
const PIECES: usize = 64;

/// Mono PCM, as a microphone gives it.
#[derive(Debug)]
struct Heard {
    hz: u32,
    pcm: Vec<i16>,
}

/// A microphone that listens, for a room.
#[derive(Debug)]
pub struct Microphone {
    plug: Plug,
    /// What is said has this rate, whichever card hears it.
    rate: SampleRate,
    /// The rate of the card that is heard.
    hz: u32,
    tell: mpsc::Sender<Heard>,
    pieces: mpsc::Receiver<Heard>,
    voice: Voice,
    echo: Option<Arc<EchoPath>>,
    meter: Meter,
}

impl Microphone {
    /// The microphone of that id, or the system's own choice. What `loudspeaker` plays is taken out of what it hears.
    ///
    /// The card is asked at once, which takes some milliseconds, and begins to listen in [`talk`](Self::talk).
    ///
    /// # Errors
    /// [`CardError`]
    pub fn open(
        id: Option<&str>,
        options: Options,
        loudspeaker: Option<&Loudspeaker>,
    ) -> Result<Self, CardError> {
        let direction = Direction::Microphone;
        let found = Found::new(direction, id)?;
        let rate = found.mode.rate;
        let echo = loudspeaker.map(Loudspeaker::echo_path);
        let options = Options {
            echo: options.echo && echo.is_some(),
            ..options
        };
        let far_hz = echo.as_ref().map_or(rate.hz(), |echo| echo.hz());
        let (voice, played) =
            Voice::new(rate.hz(), far_hz, options).map_err(|_| CardError::Format { direction })?;
        if let Some(echo) = &echo {
            echo.hand_over(played);
        }
        let (tell, pieces) = mpsc::channel(PIECES);
        let mut plug = Plug::new(direction, id);
        plug.start(found, &mut |found: &Found, signs: &Signs| {
            capture(found, signs, tell.clone())
        })?;
        Ok(Self {
            plug,
            rate,
            hz: rate.hz(),
            tell,
            pieces,
            voice,
            echo,
            meter: Meter::new(),
        })
    }

    /// How what it hears is published: as a voice, at the rate of the card that was opened.
    pub fn audio_options(&self) -> AudioOptions {
        AudioOptions::opus_voice(self.rate)
    }

    /// How loud it is what is said.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Says what it hears, until the stream is no longer published. Tells when the card changes, the first one too.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn talk(
        &mut self,
        mic: &mut AudioWriter,
        mut on_change: impl FnMut(Change),
    ) -> Result<(), WriteError> {
        // What was heard before somebody could hear it is not said.
        while self.pieces.try_recv().is_ok() {}
        loop {
            let tell = &self.tell;
            let mut build = |found: &Found, signs: &Signs| capture(found, signs, tell.clone());
            tokio::select! {
                change = self.plug.change(&mut build) => on_change(change),
                Some(piece) = self.pieces.recv() => self.say(&piece, mic)?,
            }
        }
    }

    fn say(&mut self, heard: &Heard, mic: &mut AudioWriter) -> Result<(), WriteError> {
        if heard.hz != self.hz && self.voice.set_microphone(heard.hz).is_ok() {
            self.hz = heard.hz;
        }
        if let Some(echo) = &self.echo {
            echo.follow(&mut self.voice);
        }
        let meter = &self.meter;
        let mut written = Ok(());
        self.voice.hear(&heard.pcm, |cleaned| {
            meter.hear(cleaned.pcm);
            mic.set_voice(cleaned.is_voice);
            if written.is_ok() {
                written = mic.write(cleaned.pcm);
            }
        });
        written
    }
}

fn capture(found: &Found, signs: &Signs, tell: mpsc::Sender<Heard>) -> Result<Stream, cpal::Error> {
    match found.mode.format {
        SampleFormat::F32 => capture_as::<f32>(found, signs, tell),
        _ => capture_as::<i16>(found, signs, tell),
    }
}

fn capture_as<T>(
    found: &Found,
    signs: &Signs,
    tell: mpsc::Sender<Heard>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample,
    i16: FromSample<T>,
{
    let channels = usize::from(found.mode.channels);
    let hz = found.mode.rate.hz();
    let on_error = signs.on_error();
    let signs = signs.clone();
    let callback = move |data: &[T], _: &_| {
        signs.sounds();
        let mono = data.chunks_exact(channels).map(|frame| {
            let sum: i32 = frame
                .iter()
                .map(|sample| i32::from(i16::from_sample(*sample)))
                .sum();
            (sum / channels as i32) as i16
        });
        let pcm = mono.collect();
        // Where nobody takes them, the newest are left out.
        let _ = tell.try_send(Heard { hz, pcm });
    };
    (found.device).build_input_stream(found.mode.config(), callback, on_error, None)
}
