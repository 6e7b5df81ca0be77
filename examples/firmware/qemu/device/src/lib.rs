//! A talking device that runs in QEMU: joins a room with a ticket, plays a recording into it, and writes the received
//! audio to a file of the host. The README of each board's firmware tells how to run it, and the console's commands.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "provisioning")]
mod provisioning;
#[cfg(not(feature = "provisioning"))]
#[path = "not_provisioned.rs"]
mod provisioning;
mod sound;

use core::ffi::CStr;

#[cfg(target_arch = "arm")]
use mps2_board as board;
#[cfg(target_arch = "riscv32")]
use qemu_virt_board as board;

use board::host::{self, HostRng};
use board::network::Network;
use board::{Executor, console, println, stack};
use embassy_executor::Spawner;
use embassy_net::{Stack, StackResources};
#[cfg(feature = "obstacles")]
use parlour_embassy::JoinError;
use parlour_embassy::core::client::Event;
use parlour_embassy::core::rand_core::RngCore as _;
use parlour_embassy::core::room::StreamKey;
use parlour_embassy::core::ticket::Ticket;
use parlour_embassy::{
    AudioCodec, Config, Duplex, Events, NoEchoCanceller, PushToTalk, Resources, Room, Runner,
};
use provisioning::Keeper;
use sound::{Loudspeaker, RATE, Recording, SAID};
use static_cell::StaticCell;

#[cfg(not(feature = "opus-decode"))]
type Decoded = parlour_embassy::G711;
#[cfg(feature = "opus-decode")]
type Decoded = parlour_embassy::Opus;

type Telephone = Duplex<'static, Recording, Loudspeaker, NoEchoCanceller, &'static PushToTalk>;
type Text = heapless::String<2_048>;

static BUTTON: PushToTalk = PushToTalk::new();
static SOCKETS: StaticCell<StackResources<4>> = StaticCell::new();
static TICKET: StaticCell<Text> = StaticCell::new();
static RESOURCES: StaticCell<Resources<Decoded>> = StaticCell::new();

/// Runs the device, on a board that is initialised.
pub fn run() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    let executor = EXECUTOR.init(Executor::new());
    executor.run(|spawner| spawner.spawn(main(spawner).expect("its first task")))
}

#[embassy_executor::task]
async fn carry_frames(mut runner: embassy_net::Runner<'static, &'static mut Network>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn carry_datagrams(mut runner: Runner<'static>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn talk_and_listen(mut telephone: Telephone) {
    let error = telephone.run().await;
    fail(format_args!("no more sound: {error:?}"));
}

#[embassy_executor::task]
async fn tell(
    room: Room<'static>,
    mut events: Events<'static>,
    mut keeper: Option<&'static mut Keeper>,
) -> ! {
    loop {
        let event = events.next().await;
        if let Some(keeper) = &mut keeper {
            keeper.hear(room, &mut events, &event).await;
        }
        match event {
            Event::Joined { resumed } => println!("event joined resumed={resumed}"),
            Event::Reconnecting(cause) => println!("event reconnecting {cause:?}"),
            Event::Published { .. } => println!("event published"),
            Event::PublishRefused { refusal, .. } => println!("event publish-refused {refusal}"),
            Event::Closed(cause) => println!("event closed: {cause}"),
            _ => {}
        }
    }
}

#[embassy_executor::task]
async fn main(spawner: Spawner) {
    let arguments = Arguments::read();
    let Ok(mut rng) = HostRng::open() else {
        fail(format_args!("the host has no /dev/urandom"))
    };
    let Some(device) = Network::find() else {
        fail(format_args!("QEMU was started without a network device"))
    };
    let config = embassy_net::Config::dhcpv4(Default::default());
    let sockets = SOCKETS.init(StackResources::new());
    let (network, runner) = embassy_net::new(device, config, sockets, rng.next_u64());
    spawner.spawn(carry_frames(runner).expect("its only task"));

    let (ticket, keeper) = match (&arguments.ticket, path(&arguments.flash)) {
        (None, Some(flash)) => match Keeper::find(flash, arguments.button).await {
            Some(keeper) => (keeper.ticket(), Some(keeper)),
            None => fail(format_args!("there is no such flash")),
        },
        (ticket, _) => (told_or_asked(ticket.as_deref()).await, None),
    };
    let resources = RESOURCES.init_with(Resources::new);
    let made = parlour_embassy::new(network, ticket, Config::default(), resources, &mut rng);
    let (room, runner) = match made {
        Ok(made) => made,
        Err(error) => fail(format_args!("{error}")),
    };
    spawner.spawn(carry_datagrams(runner).expect("its only task"));
    let events = room.events().expect("its only reader");
    spawner.spawn(tell(room, events, keeper).expect("its only task"));

    let telephone = Duplex {
        microphone: Recording::new(),
        loudspeaker: Loudspeaker::new(path(&arguments.output)),
        echo_canceller: NoEchoCanceller,
        gate: &BUTTON,
        writer: match publish(room) {
            Ok(writer) => writer,
            Err(error) => fail(format_args!("{error}")),
        },
        reader: room.mixed_audio(),
    };
    spawner.spawn(talk_and_listen(telephone).expect("its only task"));
    println!("ready");
    loop {
        let line = ask("").await;
        obey(room, network, &line).await;
    }
}

fn publish(
    room: Room<'static>,
) -> Result<parlour_embassy::AudioWriter<'static>, parlour_embassy::PublishError> {
    let key = StreamKey::new("mic").expect("a short name");
    room.publish_audio(key, codec(), RATE)
}

#[cfg(not(feature = "opus-encode"))]
fn codec() -> AudioCodec<'static> {
    AudioCodec::Pcmu
}

#[cfg(feature = "opus-encode")]
fn codec() -> AudioCodec<'static> {
    use parlour_embassy::core::audio::opus::{EncoderConfig, OpusEncoder};
    static ENCODER: StaticCell<OpusEncoder> = StaticCell::new();
    let config = EncoderConfig {
        sample_rate: RATE,
        complexity: 0,
        ..EncoderConfig::default()
    };
    AudioCodec::Opus(ENCODER.init(OpusEncoder::new(config).expect("these settings are supported")))
}

/// Runs the console's commands.
async fn obey(room: Room<'static>, network: Stack<'static>, line: &str) {
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    let number = argument.trim().parse::<u32>().unwrap_or(0);
    match command {
        "join" => match room.join().await {
            Ok(()) => println!("joined"),
            Err(error) => {
                println!("not joined: {error}");
                #[cfg(feature = "obstacles")]
                if matches!(error, JoinError::NoAnswer | JoinError::UnknownHost)
                    && let Some(obstacle) = room.find_obstacle().await
                {
                    println!("obstacle: {obstacle}");
                }
            }
        },
        "leave" => {
            room.leave().await;
            println!("left");
        }
        "talk" => {
            BUTTON.set_pressed(true);
            SAID.wait().await;
            BUTTON.set_pressed(false);
            println!("said");
        }
        "link" if network.is_link_up() => println!("link up"),
        "link" => println!("link down"),
        "cycle" => cycle(room, number).await,
        "stack" => println!("stack {}", stack::deepest()),
        "overflow" if stack::IS_GUARDED => println!("{}", overflow(0)),
        "exit" => host::exit(number.try_into().unwrap_or(u8::MAX)),
        _ => println!("commands: join, leave, talk, link, cycle TIMES, stack, overflow, exit CODE"),
    }
}

/// Joins and leaves `times` times. There is no heap: only the stack could grow.
async fn cycle(room: Room<'static>, times: u32) {
    let mut first = 0;
    for n in 1..=times {
        if let Err(error) = room.join().await {
            println!("not joined in cycle {n}: {error}");
            return;
        }
        room.leave().await;
        if n == 1 {
            first = stack::never_used();
        }
    }
    let last = stack::never_used();
    println!(
        "cycled {times} free-first={first} free-last={last} stack={}",
        stack::deepest()
    );
}

/// Uses more stack than there is.
#[expect(unconditional_recursion, reason = "the guard below the stack ends it")]
fn overflow(depth: usize) -> usize {
    let frame = core::hint::black_box([depth; 64]);
    overflow(depth + 1) + frame[depth % frame.len()]
}

/// What the command line says.
#[derive(Default)]
struct Arguments {
    ticket: Option<Text>,
    /// The path of a file for the received audio, with a zero at its end.
    output: Option<Text>,
    /// That of a file that is the flash.
    flash: Option<Text>,
    /// Whether the button is held at the start.
    button: bool,
}

impl Arguments {
    /// In a place of their own: they are too long for a stack.
    fn read() -> &'static Self {
        static ARGUMENTS: StaticCell<Arguments> = StaticCell::new();
        let arguments = ARGUMENTS.init_with(Self::default);
        let read = host::arguments(|argument| {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            let (place, end) = match name {
                "ticket" => (&mut arguments.ticket, ""),
                "out" => (&mut arguments.output, "\0"),
                "flash" => (&mut arguments.flash, "\0"),
                "button" => return arguments.button = true,
                _ => return,
            };
            // All arguments together are no longer than each of these.
            let text = place.insert(Text::new());
            let _ = text.push_str(value).and_then(|()| text.push_str(end));
        });
        if read.is_err() {
            fail(format_args!(
                "the arguments are too long, or semihosting is off"
            ));
        }
        arguments
    }
}

/// The path in an argument.
fn path(argument: &'static Option<Text>) -> Option<&'static CStr> {
    CStr::from_bytes_with_nul(argument.as_ref()?.as_bytes()).ok()
}

/// The ticket of the command line, or else of the console.
async fn told_or_asked(ticket: Option<&'static str>) -> Ticket<'static> {
    let ticket = match ticket {
        Some(ticket) => ticket,
        None => TICKET.init(ask("ticket?").await),
    };
    match Ticket::parse(ticket) {
        Ok(ticket) => ticket,
        Err(error) => fail(format_args!("{error}")),
    }
}

async fn ask(prompt: &str) -> Text {
    if !prompt.is_empty() {
        println!("{prompt}");
    }
    let mut line = [0; 2_048];
    // As long as the buffer.
    Text::try_from(console::read_line(&mut line).await).unwrap_or_default()
}

fn fail(why: core::fmt::Arguments<'_>) -> ! {
    println!("failed: {why}");
    host::exit(1)
}
