//! `parlour join`: a participant that plays and records files.
//!
//! ```text
//! Sound: file, tone, microphone ──► AudioWriter ──► room ──► MixedReader ──► WavFile, loudspeaker
//!                                                        ├─► FrameReader ──► Tracks
//!                                                        └─► events, messages ──► Teller ──► stdout
//! ```
//!
//! All parts run side by side until the first of them ends the stay: the sound is played, the time is up, the user has pressed
//! Ctrl-C, the server has closed the room, a file cannot be written. Then the participant leaves, and its files are completed.

mod ending;
mod recording;
mod sound;
mod telling;

use std::convert::Infallible;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use parlour_tokio::{JoinOptions, OnProgress, Recipients, Room, StreamKey};
use reqwest::Method;
use serde_json::json;
use url::Url;

use self::recording::Recorders;
use self::sound::Sound;
use self::telling::Teller;
use super::block_on;
use super::client::Request;
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::serve::asked_to_end;

/// The stream's key, as others see it.
const MIC: &str = "mic";
/// Where `--text` goes.
const TOPIC: &str = "chat";
/// For how long a ticket is good that is made here: 30 days. Nobody else has it.
const TTL_S: u32 = 30 * 24 * 3_600;
/// The longest message, in bytes.
const LONGEST_TEXT: usize = 640;

/// Joins a room, plays a file and records what is heard.
///
/// Give a ticket; or give `--room` and `--as`, and the server of the context makes one, which is good for 30 days.
///
/// Prints what happens in the room. Leaves when the file is played, after `--for`, when Ctrl-C is pressed, or when the server
/// ends it: with the exit code 0 if the session is over, 4 if this participant was kicked or may not join, 5 if the room is
/// full, closed or has this participant already, and 6 if the server does not answer.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Environment:
  PARLOUR_TICKET   the ticket, where none is given
  HTTPS_PROXY      the proxy for WebSocket, and NO_PROXY the hosts that are reached without it

Examples:
  parlour join --room kitchen --as anna --play examples/assets/host.wav --loop
  parlour join parlour://127.0.0.1:7900/KEY#TOKEN --record heard.wav")]
pub(crate) struct Join {
    /// The ticket to the room; `-` reads it from standard input.
    #[arg(value_name = "TICKET")]
    ticket: Option<String>,
    /// Joins this room, with a ticket that is made for it.
    #[arg(
        long,
        value_name = "ROOM",
        conflicts_with = "ticket",
        requires = "participant"
    )]
    room: Option<String>,
    /// Joins under this id.
    #[arg(long = "as", value_name = "PARTICIPANT", requires = "room")]
    participant: Option<String>,
    /// Has this display name.
    #[arg(long, value_name = "NAME", requires = "room")]
    name: Option<String>,
    /// Says what is in this file: WAV or Ogg Opus; `-` is raw PCM from standard input: 16 bits, little endian, mono, 48 kHz.
    #[arg(long, value_name = "FILE", conflicts_with = "tone")]
    play: Option<PathBuf>,
    /// Plays the file again and again.
    #[arg(long = "loop", requires = "play")]
    again: bool,
    /// Plays a tone of this frequency, 20 to 20000 Hz.
    #[arg(long, value_name = "HZ", value_parser = tone)]
    tone: Option<f32>,
    /// Says what a microphone hears: this one, or the system's own choice.
    #[cfg(feature = "sound-card")]
    #[arg(long, value_name = "CARD", num_args = 0..=1, require_equals = true, default_missing_value = "",
        conflicts_with_all = ["play", "tone"])]
    microphone: Option<String>,
    /// Plays what is heard with a loudspeaker: this one, or the system's own choice. What it plays is taken out of what the
    /// microphone hears.
    #[cfg(feature = "sound-card")]
    #[arg(long, value_name = "CARD", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    loudspeaker: Option<String>,
    /// Leaves what the loudspeaker plays in what the microphone hears, for a headset.
    #[cfg(feature = "sound-card")]
    #[arg(long, requires = "microphone")]
    no_echo_cancellation: bool,
    /// Leaves the noise in what the microphone hears.
    #[cfg(feature = "sound-card")]
    #[arg(long, requires = "microphone")]
    no_noise_suppression: bool,
    /// Leaves what the microphone hears as loud as it is.
    #[cfg(feature = "sound-card")]
    #[arg(long, requires = "microphone")]
    no_gain: bool,
    /// Records what is heard, mixed, as WAV: to this file, or with the time as its name into this folder.
    #[arg(long, value_name = "FOLDER|FILE.wav")]
    record: Option<PathBuf>,
    /// Records each participant's stream as it comes into a file of its own: Ogg Opus, or WAV for G.711.
    #[arg(long, value_name = "FOLDER")]
    record_each: Option<PathBuf>,
    /// Leaves after so many seconds, also if the file is played earlier.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    time: Option<Duration>,
    /// Sends a message to all who are there, of at most 640 bytes.
    #[arg(long, value_name = "MESSAGE", value_parser = message)]
    text: Option<String>,
    /// Where the server takes WebSockets, for networks that let only HTTPS out: the address of its API. Without it, that of the
    /// context if the server makes the ticket, or `https://` and the ticket's host.
    #[arg(long, value_name = "URL")]
    web: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

fn tone(text: &str) -> Result<f32, String> {
    let hz = text.parse().ok();
    hz.filter(|hz| (20.0..=20_000.0).contains(hz))
        .ok_or_else(|| "give 20 to 20000 Hz, such as 440".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "give a number of seconds above 0, such as 10 or 2.5".to_owned())
}

fn message(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return Err(format!(
            "it has {} bytes: give 1 to {LONGEST_TEXT}",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

impl Join {
    /// Stays in the room until something ends it.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let mut ears = self.ears()?;
        let sound = match self.microphone(&mut ears)? {
            Some(microphone) => Some(microphone),
            None => self.sound()?,
        };
        block_on(async {
            let ticket = self.ticket().await?;
            let (mix, each) = (self.record.as_deref(), self.record_each.as_deref());
            let recorders = Recorders::create(mix, each)?;
            self.join(&ticket, sound, ears, recorders, output).await
        })
    }

    async fn ticket(&self) -> Result<String, Failure> {
        if let (Some(room), Some(participant)) = (&self.room, &self.participant) {
            return self.mint(room, participant).await;
        }
        let given = self.ticket.clone();
        let given = given.or_else(|| std::env::var("PARLOUR_TICKET").ok());
        let Some(ticket) = given else {
            let says = "which room? Give a ticket, or --room and --as, or set PARLOUR_TICKET";
            return Err(Failure::new(Exit::Usage, says));
        };
        if ticket != "-" {
            return Ok(ticket);
        }
        if self
            .play
            .as_ref()
            .is_some_and(|play| play.as_os_str() == "-")
        {
            let says =
                "standard input is either the ticket or the sound: name a file for one of them";
            return Err(Failure::new(Exit::Usage, says));
        }
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        read.context("cannot read the ticket from standard input")?;
        Ok(line.trim().to_owned())
    }

    /// Has the server make a ticket.
    async fn mint(&self, room: &str, participant: &str) -> Result<String, Failure> {
        let path = ["v1", "rooms", room, "tokens"].map(str::to_owned);
        let mut request = Request::new(Method::POST, path.into());
        let name = self.name.as_deref().unwrap_or_default();
        request.body = Some(json!({"participant": participant, "name": name, "ttl_s": TTL_S}));
        let minted = self.connection.client()?.send(&request).await?;
        let ticket = minted["ticket"].as_str().map(str::to_owned);
        Ok(ticket.context("the server's answer has no ticket")?)
    }

    /// Where the server takes WebSockets, as far as it is known.
    fn web(&self) -> Option<String> {
        let of_context = || {
            self.room.as_ref()?;
            let url = self.connection.context().ok()?.url;
            let is_bare = Url::parse(&url).is_ok_and(|url| url.path() == "/");
            is_bare.then_some(url)
        };
        self.web.clone().or_else(of_context)
    }

    /// What a microphone hears, if one is asked for, without what is heard by these ears.
    #[cfg(feature = "sound-card")]
    fn microphone(&self, ears: &mut Ears) -> Result<Option<Sound>, Failure> {
        let Some(name) = &self.microphone else {
            return Ok(None);
        };
        let options = parlour_devices::Options {
            echo: !self.no_echo_cancellation,
            noise: !self.no_noise_suppression,
            gain: !self.no_gain,
        };
        let loudspeaker = ears.loudspeaker.as_ref();
        let microphone = parlour_devices::Microphone::open(named(name), options, loudspeaker)
            .map_err(no_card)?;
        Ok(Some(Sound::Microphone(Box::new(microphone))))
    }

    #[cfg(not(feature = "sound-card"))]
    fn microphone(&self, _: &mut Ears) -> Result<Option<Sound>, Failure> {
        Ok(None)
    }

    fn sound(&self) -> Result<Option<Sound>, Failure> {
        if let Some(hz) = self.tone {
            return Ok(Some(Sound::tone(hz)));
        }
        match &self.play {
            None => Ok(None),
            Some(play) if play.as_os_str() == "-" => {
                if self.again {
                    let says = "standard input cannot be played again: leave out `--loop`";
                    return Err(Failure::new(Exit::Usage, says));
                }
                Ok(Some(Sound::input()))
            }
            Some(play) => Ok(Some(Sound::file(play, self.again)?)),
        }
    }

    fn ears(&self) -> Result<Ears, Failure> {
        Ok(Ears {
            #[cfg(feature = "sound-card")]
            loudspeaker: (self.loudspeaker.as_deref())
                .map(|name| parlour_devices::Loudspeaker::open(named(name)))
                .transpose()
                .map_err(no_card)?,
        })
    }

    async fn join(
        &self,
        ticket: &str,
        sound: Option<Sound>,
        mut ears: Ears,
        mut recorders: Recorders,
        output: &Output,
    ) -> Result<(), Failure> {
        let mic = StreamKey::new(MIC).context("the stream's key")?;
        let options = JoinOptions {
            publish: (sound.iter().map(|sound| (mic.clone(), sound.options()))).collect(),
            on_progress: Some(OnProgress::new(|progress| eprintln!("{progress}"))),
            web: self.web(),
            ..JoinOptions::default()
        };
        let joined = tokio::select! {
            joined = Room::join_with(ticket, options) => joined.map_err(ending::not_joined),
            () = asked_to_end() => {
                recorders.discard();
                return Ok(());
            }
        };
        let room = match joined {
            Ok(room) => room,
            Err(failure) => {
                recorders.discard();
                return Err(failure);
            }
        };
        let mut teller = Teller::new(&room, output);
        let stayed = tokio::select! {
            ended = teller.tell() => ended,
            failure = recorders.record(&room) => Err(failure),
            ended = self.act(&room, sound, output) => ended,
            never = ears.listen(&room) => match never {},
            () = self.time_up() => Ok(()),
            () = asked_to_end() => Ok(()),
        };
        room.leave().await;
        let recorded = recorders.finish().await;
        stayed.and(recorded)
    }

    async fn time_up(&self) {
        match self.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    }

    /// Says what is to be said. With nothing more to say it goes on for as long as the user wants.
    async fn act(&self, room: &Room, sound: Option<Sound>, output: &Output) -> Result<(), Failure> {
        if let Some(text) = &self.text {
            let sent = room.send_message(&Recipients::All, TOPIC, text.as_bytes());
            let reached = sent.await.context("the message is not sent")?;
            telling::sent(reached.into(), output)?;
        }
        if let Some(mut sound) = sound {
            let mut mic = room
                .publish_audio(MIC, sound.options())
                .await
                .map_err(ending::not_published)?;
            sound.play(&mut mic).await?;
            if self.time.is_none() {
                return Ok(());
            }
            // Kept until the end: others see who is there to speak.
            std::future::pending::<()>().await;
        }
        std::future::pending().await
    }
}

/// Where the mix goes beside its recording.
struct Ears {
    #[cfg(feature = "sound-card")]
    loudspeaker: Option<parlour_devices::Loudspeaker>,
}

impl Ears {
    /// Plays what is heard.
    #[cfg(feature = "sound-card")]
    async fn listen(&mut self, room: &Room) -> Infallible {
        match &mut self.loudspeaker {
            Some(loudspeaker) => loudspeaker.play(room, |change| eprintln!("{change}")).await,
            None => std::future::pending().await,
        }
    }

    #[cfg(not(feature = "sound-card"))]
    async fn listen(&mut self, _: &Room) -> Infallible {
        std::future::pending().await
    }
}

/// The id that the user has given, if any.
#[cfg(feature = "sound-card")]
fn named(id: &str) -> Option<&str> {
    (!id.is_empty()).then_some(id)
}

#[cfg(feature = "sound-card")]
fn no_card(error: parlour_devices::CardError) -> Failure {
    use parlour_devices::CardError;

    let exit = match error {
        CardError::None { .. } | CardError::Unknown { .. } => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
