//! Talks in a room: with a microphone and a loudspeaker, or with files.
//!
//! ```sh
//! cargo run --release -p parlour-examples --features sound-card --example talk -- TICKET
//! cargo run --release --example talk -- TICKET --input examples/assets/host.wav --output heard.wav
//! ```
//! In a terminal it shows who is in the room and how loud it is; `m` mutes and `q` leaves. Elsewhere it prints a line for each
//! change. Headphones are not needed: what the loudspeaker plays is taken out of what the microphone hears.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
#[cfg(feature = "sound-card")]
use parlour_devices::{Card, Loudspeaker, Microphone};
use parlour_examples::talk::Window;
use parlour_files::{Source, WavFile};
use parlour_tokio::{AudioOptions, AudioWriter, JoinOptions, Room, SampleRate, StreamKey};
use tokio::sync::mpsc;

/// The stream's key, as others see it.
const MIC: &str = "mic";
const RATE: SampleRate = SampleRate::Hz48000;

/// Talks in a room, until it is closed or `q` is pressed.
#[derive(Debug, Parser)]
#[command(name = "talk", version)]
struct Options {
    /// The ticket to the room.
    #[arg(
        env = "PARLOUR_TICKET",
        hide_env_values = true,
        required_unless_present = "list"
    )]
    ticket: Option<String>,
    /// Says what is in this file, WAV or Ogg Opus, in place of a microphone, and leaves at its end.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Records what is heard to this file, WAV, in place of a loudspeaker.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Lists the microphones and loudspeakers, and ends.
    #[arg(long)]
    list: bool,
    /// The microphone's id; without it, the system's own choice.
    #[arg(long, value_name = "ID", conflicts_with = "input")]
    microphone: Option<String>,
    /// The loudspeaker's id; without it, the system's own choice.
    #[arg(long, value_name = "ID", conflicts_with = "output")]
    loudspeaker: Option<String>,
    /// Leaves what the loudspeaker plays in what the microphone hears, for a headset.
    #[arg(long)]
    no_echo_cancellation: bool,
    /// Leaves the noise in what the microphone hears.
    #[arg(long)]
    no_noise_suppression: bool,
    /// Leaves what the microphone hears as loud as it is.
    #[arg(long)]
    no_gain: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        return list();
    }
    let mut ear = Ear::open(&options)?;
    let mut mouth = Mouth::open(&options, &ear)?;
    let ticket = options.ticket.as_deref().context("give a ticket")?;
    let publish = vec![(StreamKey::new(MIC)?, mouth.audio_options())];
    let join = JoinOptions {
        publish,
        ..JoinOptions::default()
    };
    let room = Room::join_with(ticket, join).await?;
    let mut mic = room.publish_audio(MIC, mouth.audio_options()).await?;
    let mut window = Window::open(MIC, mouth.level(), ear.level())?;
    let (tell, told) = mpsc::unbounded_channel();
    let tell = |line: String| drop(tell.send(line));
    let stayed = tokio::select! {
        // A room that is closed takes no sound either: first the reason.
        biased;
        ended = window.show(&room, told) => ended,
        said = mouth.talk(&mut mic, tell) => said,
        heard = ear.listen(&room, tell) => heard,
    };
    drop(window);
    room.leave().await;
    let recorded = ear.finish();
    stayed.and(recorded)
}

#[cfg(feature = "sound-card")]
fn list() -> anyhow::Result<()> {
    let print = |what: &str, cards: Vec<Card>| {
        println!("{what}:");
        for card in cards {
            println!("  {card}");
        }
    };
    print("microphones", parlour_devices::microphones()?);
    print("loudspeakers", parlour_devices::loudspeakers()?);
    Ok(())
}

#[cfg(not(feature = "sound-card"))]
fn list() -> anyhow::Result<()> {
    anyhow::bail!(WITHOUT_CARDS)
}

/// What there is to do without them.
#[cfg(not(feature = "sound-card"))]
const WITHOUT_CARDS: &str = "this program was built without sound cards: give `--input` and `--output`, or build it with \
     `-p parlour-examples --features sound-card`, which needs libasound2-dev and pkg-config on Linux";

/// Tells how loud a card is; a file has no meter.
type Level = Box<dyn Fn() -> Option<u8>>;

#[cfg(feature = "sound-card")]
fn of(meter: parlour_devices::Meter) -> Level {
    Box::new(move || Some(meter.level()))
}

/// What is said.
enum Mouth {
    File(Source),
    #[cfg(feature = "sound-card")]
    Card(Box<Microphone>),
}

impl Mouth {
    #[cfg_attr(
        not(feature = "sound-card"),
        expect(unused_variables, reason = "echoes need a loudspeaker")
    )]
    fn open(options: &Options, ear: &Ear) -> anyhow::Result<Self> {
        if let Some(path) = &options.input {
            return Ok(Self::File(Source::open(path)?));
        }
        #[cfg(feature = "sound-card")]
        {
            let processing = parlour_devices::Options {
                echo: !options.no_echo_cancellation,
                noise: !options.no_noise_suppression,
                gain: !options.no_gain,
            };
            let loudspeaker = match ear {
                Ear::Card(loudspeaker) => Some(loudspeaker),
                Ear::File(_) => None,
            };
            let id = options.microphone.as_deref();
            let microphone = Microphone::open(id, processing, loudspeaker)?;
            Ok(Self::Card(Box::new(microphone)))
        }
        #[cfg(not(feature = "sound-card"))]
        anyhow::bail!(WITHOUT_CARDS)
    }

    fn audio_options(&self) -> AudioOptions {
        match self {
            Self::File(_) => AudioOptions::opus(RATE),
            #[cfg(feature = "sound-card")]
            Self::Card(microphone) => microphone.audio_options(),
        }
    }

    /// How loud it is, in −dBov.
    fn level(&self) -> Level {
        match self {
            Self::File(_) => Box::new(|| None),
            #[cfg(feature = "sound-card")]
            Self::Card(microphone) => of(microphone.meter()),
        }
    }

    /// Talks until the file, or the stay, ends.
    #[cfg_attr(
        not(feature = "sound-card"),
        expect(unused_variables, reason = "only cards change")
    )]
    async fn talk(&mut self, mic: &mut AudioWriter, tell: impl Fn(String)) -> anyhow::Result<()> {
        match self {
            Self::File(source) => {
                let mut pcm = Vec::new();
                while {
                    pcm.clear();
                    source.read(&mut pcm)?
                } {
                    mic.play(&pcm).await?;
                }
            }
            #[cfg(feature = "sound-card")]
            Self::Card(microphone) => {
                microphone
                    .talk(mic, |change| tell(change.to_string()))
                    .await?;
            }
        }
        Ok(())
    }
}

/// What is heard.
enum Ear {
    File(WavFile),
    #[cfg(feature = "sound-card")]
    Card(Loudspeaker),
}

impl Ear {
    fn open(options: &Options) -> anyhow::Result<Self> {
        if let Some(path) = &options.output {
            return Ok(Self::File(create(path)?));
        }
        #[cfg(feature = "sound-card")]
        return Ok(Self::Card(Loudspeaker::open(
            options.loudspeaker.as_deref(),
        )?));
        #[cfg(not(feature = "sound-card"))]
        anyhow::bail!(WITHOUT_CARDS)
    }

    /// How loud it is, in −dBov.
    fn level(&self) -> Level {
        match self {
            Self::File(_) => Box::new(|| None),
            #[cfg(feature = "sound-card")]
            Self::Card(loudspeaker) => of(loudspeaker.meter()),
        }
    }

    /// Listens until the stay ends.
    #[cfg_attr(
        not(feature = "sound-card"),
        expect(unused_variables, reason = "only cards change")
    )]
    async fn listen(&mut self, room: &Room, tell: impl Fn(String)) -> anyhow::Result<()> {
        match self {
            Self::File(file) => {
                let mut heard = room.mixed_audio(RATE)?;
                let mut pcm = [0; RATE.samples(20)];
                loop {
                    heard.next_frame(&mut pcm).await;
                    file.write(&pcm)?;
                }
            }
            #[cfg(feature = "sound-card")]
            Self::Card(loudspeaker) => {
                match loudspeaker
                    .play(room, |change| tell(change.to_string()))
                    .await {}
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::File(file) => Ok(file.finish()?),
            #[cfg(feature = "sound-card")]
            Self::Card(_) => Ok(()),
        }
    }
}

fn create(path: &Path) -> anyhow::Result<WavFile> {
    Ok(WavFile::create(path, RATE.hz())?)
}
