//! Compiles the code in docs/FIRMWARE.md: it is the code of this file. What can run without a board runs.
#![allow(dead_code, reason = "most of it is only compiled")]
#![allow(unreachable_pub, reason = "in firmware these are modules of their own")]

mod shown;

use std::convert::Infallible;
use std::mem::size_of_val;

use embedded_graphics::mock_display::MockDisplay;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use parlour_embassy::AudioOut;
use parlour_embassy::core::audio::codec::SampleRate;

const GUIDE: &str = include_str!("../../docs/FIRMWARE.md");
const SOURCE: &str = include_str!("firmware.rs");
const RADIO: &str = include_str!("../../adapters/embassy/src/tests/radio.rs");

/// The drivers of a board, with rings of 100 ms.
mod board {
    pub struct Microphone(pub [i16; 1_600]);
    pub struct Loudspeaker(pub [i16; 1_600]);
}

use board::{Loudspeaker, Microphone};

impl AudioOut for Loudspeaker {
    type Error = Infallible;
    fn sample_rate(&self) -> SampleRate {
        SampleRate::Hz16000
    }
    async fn write(&mut self, frame: &[i16]) -> Result<(), Infallible> {
        self.0[..frame.len()].copy_from_slice(frame);
        Ok(())
    }
}

/// Stands for a HAL.
mod i2s {
    #[derive(Debug, Clone, Copy)]
    pub struct Error;
}

impl Microphone {
    async fn wait_for(&mut self, _samples: usize) -> Result<(), i2s::Error> {
        Ok(())
    }
    fn take(&mut self, frame: &mut [i16]) {
        frame.copy_from_slice(&self.0[..frame.len()]);
    }
    fn restart_dma(&mut self) -> Result<(), i2s::Error> {
        self.0.fill(0);
        Ok(())
    }
}

#[rustfmt::skip]
mod driver {
    use super::{Microphone, i2s};

    // <<< guide:driver
    use parlour_embassy::AudioIn;
    use parlour_embassy::core::audio::codec::SampleRate;

    impl AudioIn for Microphone {
        type Error = i2s::Error;

        fn sample_rate(&self) -> SampleRate {
            SampleRate::Hz16000
        }

        /// The DMA goes on while nobody is in here.
        async fn read(&mut self, frame: &mut [i16]) -> Result<(), i2s::Error> {
            self.wait_for(frame.len()).await?;
            self.take(frame);
            Ok(())
        }

        /// After an error of `read`: the ring is emptied, and the transfer begins anew.
        async fn restart(&mut self) -> Result<(), i2s::Error> {
            self.restart_dma()
        }
    }
    // >>>
}

#[rustfmt::skip]
mod hands_free {
    use super::board::{Loudspeaker, Microphone};

    // <<< guide:echo
    use parlour_embassy::core::audio::EchoFilter;
    use parlour_embassy::{Device, Duplex, HalfDuplexCanceller, VoiceGate};

    const TAPS: usize = 256; // 32 ms at 8 kHz
    const DELAY: usize = 160; // 20 ms: what both rings hold

    /// The echo is filtered, and what is left of it is silenced; the gate opens at a voice.
    type Canceller = HalfDuplexCanceller<EchoFilter<TAPS, { TAPS + DELAY }>>;
    type HandsFree = Duplex<'static, Microphone, Loudspeaker, Canceller, VoiceGate, Device, 160>;
    // >>>
}

#[rustfmt::skip]
mod device {
    // <<< guide:room
    use embassy_executor::{SpawnError, Spawner};
    use embassy_time::Timer;
    use parlour_embassy::core::audio::codec::SampleRate;
    use parlour_embassy::core::rand_core::CryptoRngCore;
    use parlour_embassy::core::room::{IdError, StreamKey};
    use parlour_embassy::core::ticket::{Ticket, TicketError};
    use parlour_embassy::{
        AudioCodec, Config, Duplex, NoEchoCanceller, PublishError, PushToTalk, Resources, Room, Runner, SetupError,
    };
    use static_cell::StaticCell;

    use crate::board::{Loudspeaker, Microphone};

    type Telephone = Duplex<'static, Microphone, Loudspeaker, NoEchoCanceller, &'static PushToTalk>;

    static RESOURCES: StaticCell<Resources> = StaticCell::new(); // all memory of the participant
    pub static BUTTON: PushToTalk = PushToTalk::new();

    #[derive(Debug, thiserror::Error)]
    pub enum StartError {
        #[error(transparent)]
        Ticket(#[from] TicketError),
        #[error(transparent)]
        Setup(#[from] SetupError),
        #[error(transparent)]
        Name(#[from] IdError),
        #[error(transparent)]
        Publish(#[from] PublishError),
        #[error(transparent)]
        Task(#[from] SpawnError),
    }

    /// `ticket` is text from flash, a file or a prompt; `trng` gives true random numbers.
    pub fn start(
        spawner: Spawner,
        stack: embassy_net::Stack<'static>,
        ticket: &'static str,
        trng: &mut dyn CryptoRngCore,
        microphone: Microphone,
        loudspeaker: Loudspeaker,
    ) -> Result<Room<'static>, StartError> {
        let ticket = Ticket::parse(ticket)?;
        let resources = RESOURCES.init_with(Resources::new);
        let (room, runner) = parlour_embassy::new(stack, ticket, Config::default(), resources, trng)?;
        let telephone = Telephone {
            microphone,
            loudspeaker,
            echo_canceller: NoEchoCanceller, // or yours: it gets what the loudspeaker was given
            gate: &BUTTON,                   // PushToTalk, VoiceGate, AlwaysOpen, or yours
            writer: room.publish_audio(StreamKey::new("mic")?, AudioCodec::Pcmu, SampleRate::Hz16000)?,
            reader: room.mixed_audio(),
        };
        spawner.spawn(carry(runner)?);
        spawner.spawn(talk(telephone)?);
        spawner.spawn(stay(room)?);
        Ok(room)
    }

    #[embassy_executor::task]
    async fn carry(mut runner: Runner<'static>) -> ! {
        runner.run().await
    }

    #[embassy_executor::task]
    async fn talk(mut telephone: Telephone) {
        let mismatch = telephone.run().await; // for ever, unless the parts have different rates
        log::error!("{mismatch}");
    }

    /// Joins, and joins again after the end. A lost connection is no end.
    #[embassy_executor::task]
    async fn stay(room: Room<'static>) -> ! {
        loop {
            match room.join().await {
                Ok(()) => while room.closed().is_none() { Timer::after_secs(1).await },
                Err(error) => log::warn!("not in the room: {error}"),
            }
            Timer::after_secs(10).await;
        }
    }
    // >>>
}

#[rustfmt::skip]
mod sizes {
    // <<< guide:sizes
    use parlour_embassy::{G711, Opus, Resources, RunnerOf};
    use static_cell::StaticCell;

    //                                         people, voices, packets, bytes, samples
    type Intercom = Resources<'static, G711, 4, 1>;                    // one voice
    type UnevenNetwork = Resources<'static, G711, 8, 2, 25>;           // packets of 500 ms for each voice
    type LongPackets = Resources<'static, G711, 8, 2, 12, 480>;        // 60 ms of G.711, or Opus of 480 bytes
    type LongFrames = Resources<'static, Opus, 8, 2, 12, 480, 2_880>;  // Opus frames of 60 ms at 48 kHz
    type ShortFrames = Resources<'static, G711, 8, 2, 12, 160, 320>;   // only 20 ms at 16 kHz

    static RESOURCES: StaticCell<Intercom> = StaticCell::new();

    #[embassy_executor::task]
    async fn carry(mut runner: RunnerOf<Intercom>) -> ! { // as RoomOf<…>, EventsOf<…>, DuplexOf<…>
        runner.run().await
    }
    // >>>

    /// A whole device of each size.
    macro_rules! devices {
        ($($name:ident: $memory:ident),*) => {$(
            mod $name {
                use embassy_executor::Spawner;
                use parlour_embassy::core::audio::codec::SampleRate;
                use parlour_embassy::core::room::StreamKey;
                use parlour_embassy::core::ticket::Ticket;
                use parlour_embassy::{
                    AudioCodec, AudioWriterOf, Config, DuplexOf, EventsOf, NoEchoCanceller, PushToTalk, RoomOf,
                    RunnerOf,
                };
                use static_cell::StaticCell;

                use super::$memory;
                use crate::board::{Loudspeaker, Microphone};

                static RESOURCES: StaticCell<$memory> = StaticCell::new();
                static BUTTON: PushToTalk = PushToTalk::new();
                type Telephone = DuplexOf<$memory, Microphone, Loudspeaker, NoEchoCanceller, &'static PushToTalk>;

                #[embassy_executor::task]
                async fn carry(mut runner: RunnerOf<$memory>) -> ! {
                    runner.run().await
                }
                #[embassy_executor::task]
                async fn talk(mut telephone: Telephone) {
                    telephone.run().await;
                }
                #[embassy_executor::task]
                async fn tell(mut events: EventsOf<$memory>) {
                    events.next().await;
                }
                pub fn start(spawner: Spawner, stack: embassy_net::Stack<'static>, board: (Microphone, Loudspeaker)) {
                    let ticket = Ticket::parse("parlour://…").unwrap();
                    let mut rng = rand_core::OsRng;
                    let resources = RESOURCES.init_with(<$memory>::new);
                    let made = parlour_embassy::new(stack, ticket, Config::default(), resources, &mut rng);
                    let (room, runner): (RoomOf<$memory>, _) = made.unwrap();
                    let key = StreamKey::new("mic").unwrap();
                    let writer: AudioWriterOf<$memory> =
                        room.publish_audio(key, AudioCodec::Pcmu, SampleRate::Hz16000).unwrap();
                    spawner.spawn(carry(runner).unwrap());
                    spawner.spawn(tell(room.events().unwrap()).unwrap());
                    spawner.spawn(talk(Telephone {
                        microphone: board.0,
                        loudspeaker: board.1,
                        echo_canceller: NoEchoCanceller,
                        gate: &BUTTON,
                        writer,
                        reader: room.mixed_audio(),
                    }).unwrap());
                }
            }
        )*};
    }
    devices!(
        intercom: Intercom, uneven: UnevenNetwork, long_packets: LongPackets, long_frames: LongFrames,
        short_frames: ShortFrames
    );
}

#[rustfmt::skip]
mod listener {
    use super::Loudspeaker;

    // <<< guide:listener
    use embassy_time::Timer;
    use parlour_embassy::{AudioOut, MixedReader};

    /// Given `room.mixed_audio()`. Without a microphone no stream is published, and the token needs no grant to.
    #[embassy_executor::task]
    async fn listen(mut reader: MixedReader<'static>, mut loudspeaker: Loudspeaker) -> ! {
        let mut frame = [0; 320]; // 20 ms at 16 kHz: `Config::output_rate`
        loop {
            reader.read(&mut frame);
            if loudspeaker.write(&frame).await.is_err() {
                Timer::after_millis(20).await; // never at once: a driver that fails at once would take all the time
                let _ = loudspeaker.restart().await;
            }
        }
    }
    // >>>
}

#[rustfmt::skip]
mod voices {
    /// Stands for a display.
    pub trait Show {
        fn show(&mut self, line: usize, text: &str);
    }

    // <<< guide:voices
    use core::fmt::Write as _;

    use heapless::String;
    use parlour_embassy::core::client::{CloseCause, Event};
    use parlour_embassy::core::signal::MAX_BODY;
    use parlour_embassy::{Events, Room};

    /// Shows whose voices are heard, and messages. Given `room.events()`, which one task has.
    async fn tell(room: Room<'static>, events: &mut Events<'static>, display: &mut impl Show) -> CloseCause {
        loop {
            match events.next().await {
                Event::Joined { .. } => display.show(0, "in the room"), // again after each loss of the connection
                Event::Reconnecting(_) => display.show(0, "connection lost"),
                Event::SpeakingStarted { .. } | Event::SpeakingStopped { .. } | Event::ParticipantLeft { .. } => {
                    let mut names = String::<64>::new();
                    room.participants(|participant| {
                        let info = participant.info;
                        let name = if info.name.as_str().is_empty() { info.id.as_str() } else { info.name.as_str() };
                        if participant.speaking {
                            let _ = write!(names, "{name} "); // what does not fit is left out
                        }
                    });
                    display.show(1, &names);
                }
                Event::MessageReceived => {
                    let mut body = [0; MAX_BODY];
                    while let Ok(Some(message)) = events.take_message(&mut body) {
                        display.show(2, core::str::from_utf8(message.body).unwrap_or("?"));
                    }
                }
                Event::PublishRefused { refusal, .. } => log::warn!("may not talk: {refusal}"),
                Event::Closed(why) => return why, // left, kicked, refused, ended: `join` may be called again
                _ => {}
            }
        }
    }
    // >>>
}

#[rustfmt::skip]
mod display {
    // <<< guide:display
    use embedded_graphics::mono_font::{MonoTextStyleBuilder, ascii::FONT_6X10};
    use embedded_graphics::pixelcolor::BinaryColor;
    use embedded_graphics::prelude::*;
    use embedded_graphics::text::{Baseline, Text};

    /// One line of text on any display of embedded-graphics, such as an SSD1306.
    pub fn show<D: DrawTarget<Color = BinaryColor>>(display: &mut D, line: i32, text: &str) -> Result<(), D::Error> {
        let style = MonoTextStyleBuilder::new()
            .font(&FONT_6X10)
            .text_color(BinaryColor::On)
            .background_color(BinaryColor::Off)
            .build();
        let end = Text::with_baseline(text, Point::new(0, 10 * line), style, Baseline::Top).draw(display)?;
        // The rest of what stood there.
        let rest = Size::new(display.bounding_box().size.width.saturating_sub(end.x.unsigned_abs()), 10);
        display.fill_solid(&embedded_graphics::primitives::Rectangle::new(end, rest), BinaryColor::Off)
    }
    // >>>
}

#[test]
fn the_guide_shows_code_that_compiles() {
    for name in [
        "room", "driver", "echo", "sizes", "listener", "voices", "display",
    ] {
        shown::assert_shown(GUIDE, SOURCE, &format!("guide:{name}"));
    }
}

#[test]
fn the_guide_shows_how_often_the_radio_was_measured_to_wake() {
    let rows = RADIO.lines().filter(|line| line.starts_with('|'));
    let rows: Vec<&str> = rows.collect();
    assert!(rows.len() > 10);
    assert!(
        GUIDE.contains(&rows.join("\n")),
        "docs/FIRMWARE.md has another table than {}",
        rows.join("\n")
    );
}

#[test]
fn a_line_of_text_replaces_the_one_before() {
    let mut display = MockDisplay::<BinaryColor>::new();
    display.set_allow_overdraw(true);
    display.set_allow_out_of_bounds_drawing(true);
    let lit = |display: &MockDisplay<BinaryColor>, rows: std::ops::Range<i32>| {
        let points = rows.flat_map(|y| (0..64).map(move |x| Point::new(x, y)));
        points
            .filter(|point| display.get_pixel(*point) == Some(BinaryColor::On))
            .count()
    };
    display::show(&mut display, 1, "anna ben").unwrap();
    let (above, both) = (lit(&display, 0..10), lit(&display, 10..20));
    display::show(&mut display, 1, "anna").unwrap();
    let one = lit(&display, 10..20);
    assert!(above == 0 && one > 0 && one < both, "{above} {one} {both}");
}

/// The guide's figures.
#[test]
fn a_future_holds_what_it_keeps_across_an_await() {
    let room =
        || -> parlour_embassy::Room<'static> { unreachable!("only its futures' types are used") };
    let early = move |microphone: Microphone, loudspeaker: Loudspeaker| async move {
        let room = room();
        let _ = room.join().await;
        let _drivers = (microphone, loudspeaker);
    };
    let late = move || async move {
        let room = room();
        let _ = room.join().await;
    };
    let early = size_of_val(&early(Microphone([0; 1_600]), Loudspeaker([0; 1_600])));
    let late = size_of_val(&late());
    println!(
        "a task that joins while it has both drivers: {early} bytes; without them: {late} bytes"
    );
    assert!(early >= late + 2 * 3_200 && late < 1_000);
}
