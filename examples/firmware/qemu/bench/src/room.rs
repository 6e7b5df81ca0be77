//! A whole device in a room: embassy's stack and executor, the adapter, the audio task. Server and network are in the
//! same program, and their instructions are subtracted.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::convert::Infallible;
use core::future::Future;
use core::net::{SocketAddr, SocketAddrV4};
use core::pin::Pin;

use alloc::rc::Rc;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_net::driver::{HardwareAddress, LinkState};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver_channel::{self as channel, RxRunner, TxRunner};
use embassy_time::{Duration, Ticker, Timer};
use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::opus::{EncoderConfig, OpusEncoder};
use parlour_core::room::Codec;
use parlour_core::server::Path;
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_embassy::{
    AudioCodec, AudioIn, AudioOut, AudioWriter, Config, Decoding, Device, Duplex, G711,
    MixedReader, NoEchoCanceller, Opus, PushToTalk, Resources, Room,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::board::println;
use crate::meter::{EXECUTOR, Meter, figure};
use crate::server::{Sayings, World, mic};
use crate::speech::{FRAME, RATE, Speech};

const MTU: usize = 1_514;
const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
const DEVICE: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const PORT: u16 = 7_900;
/// Time for joining, the jitter buffer, and Opus's first frames.
const SETTLING: Duration = Duration::from_secs(5);

static STACK: Meter = Meter::new();
static RUNNER: Meter = Meter::new();
static AUDIO: Meter = Meter::new();
/// Everything outside the device.
static WORLD: Meter = Meter::new();
static BUTTON: PushToTalk = PushToTalk::new();

/// The audio that the device sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It has no audio task, or that task is stopped.
    NoAudio,
    /// The audio clock runs; the button is not pressed.
    Nothing,
    G711,
    Opus,
}

/// The subject of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    heard: Option<Codec>,
    said: Said,
    /// The sample rate of microphone and loudspeaker.
    rate: SampleRate,
}

#[embassy_executor::task(pool_size = 8)]
async fn task(future: Pin<Box<dyn Future<Output = ()>>>) {
    future.await
}

/// Spawns `future` and counts its instructions in `meter`.
fn spawn(spawner: Spawner, meter: &'static Meter, future: impl Future<Output = ()> + 'static) {
    let future = Box::pin(async move { meter.count_polls(future).await });
    spawner.spawn(task(future).expect("one of eight"));
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

impl Plan {
    pub const fn new(heard: Option<Codec>, said: Said) -> Self {
        Self {
            heard,
            said,
            rate: RATE,
        }
    }

    pub const fn narrow(self) -> Self {
        Self {
            rate: SampleRate::Hz8000,
            ..self
        }
    }

    pub async fn run(self, spawner: Spawner) {
        WORLD.count_polls(self.measure(spawner)).await;
    }

    async fn measure(self, spawner: Spawner) {
        let mut world = World::new(now());
        world.invite(now(), self.heard.map(Sayings::new));
        let ticket = world.ticket("device");
        let world = Rc::new(RefCell::new(world));

        let (stack, from_server, to_server) = station(spawner, &WORLD, SERVER);
        spawn(spawner, &WORLD, serve(stack, world.clone()));
        let (stack, from_device, to_device) = station(spawner, &STACK, DEVICE);
        spawn(spawner, &WORLD, carry(from_server, to_device));
        spawn(spawner, &WORLD, carry(from_device, to_server));

        let (room, reader) = match self.heard {
            Some(Codec::Opus) => device::<Opus>(spawner, stack, ticket, self.rate),
            _ => device::<G711>(spawner, stack, ticket, self.rate),
        };
        let codec = match self.said {
            Said::Opus => {
                let config = EncoderConfig {
                    sample_rate: RATE,
                    complexity: 0,
                    ..EncoderConfig::default()
                };
                AudioCodec::Opus(leak(OpusEncoder::new(config).expect("supported")))
            }
            _ => AudioCodec::Pcmu,
        };
        let writer = room
            .publish_audio(mic(), codec, self.rate)
            .expect("the first stream");
        room.join().await.expect("a server that admits everybody");
        BUTTON.set_pressed(matches!(self.said, Said::G711 | Said::Opus));
        match (self.said, self.rate) {
            // Dropping the writer would unpublish the stream.
            (Said::NoAudio, _) => core::mem::forget(writer),
            (_, SampleRate::Hz8000) => talk::<{ FRAME / 2 }>(spawner, writer, reader),
            _ => talk::<FRAME>(spawner, writer, reader),
        }

        Timer::after(SETTLING).await;
        // A quiet room takes a longer measurement, since few things happen.
        let seconds = if self.said == Said::NoAudio { 120 } else { 10 };
        let frames = 50 * seconds;
        let state = || {
            let played = reader.statistics(0).unwrap_or_default();
            (
                [&STACK, &RUNNER, &AUDIO, &WORLD].map(Meter::read),
                EXECUTOR.read(),
                world.borrow().heard(),
                (played.received, played.lost + played.late + played.dropped),
            )
        };
        let before = state();
        Timer::after(Duration::from_secs(seconds)).await;
        let after = state();

        let [stack, runner, audio, world] =
            core::array::from_fn(|meter| after.0[meter] - before.0[meter]);
        let device = after.1 - before.1 - world;
        // An interrupt counts for the part that it interrupts.
        figure("room/stack", stack, frames);
        figure("room/runner", runner, frames);
        figure("room/audio", audio, frames);
        figure("room/executor", device - stack - runner - audio, frames);
        figure("room/device", device, frames);
        println!("figure room/second {}", device / seconds);
        println!("figure room/frames {frames}");
        println!("figure room/said {}", after.2 - before.2);
        println!("figure room/heard {}", after.3.0 - before.3.0);
        println!("figure room/spoilt {}", after.3.1 - before.3.1);
    }
}

/// The audio task: `N` samples are 20 ms.
fn talk<const N: usize>(
    spawner: Spawner,
    writer: AudioWriter<'static>,
    reader: MixedReader<'static>,
) {
    let rate = reader.sample_rate();
    let mut telephone = Duplex::<_, _, _, _, _, N> {
        microphone: Microphone {
            clock: Ticker::every(Duration::from_millis(20)),
            speech: Speech::new(rate),
        },
        loudspeaker: Loudspeaker(rate),
        echo_canceller: NoEchoCanceller,
        gate: &BUTTON,
        writer,
        reader,
    };
    spawn(spawner, &AUDIO, async move {
        let error = telephone.run().await;
        println!("no more sound: {error:?}");
    });
}

type Ends = (
    Stack<'static>,
    TxRunner<'static, MTU>,
    RxRunner<'static, MTU>,
);

/// A stack at `address`, and the two ends of its wire.
fn station(spawner: Spawner, meter: &'static Meter, address: Ipv4Address) -> Ends {
    let [.., last] = address.octets();
    let state = leak(channel::State::<MTU, 8, 8>::new());
    let hardware = HardwareAddress::Ethernet([2, 0, 0, 0, 0, last]);
    let (wire, driver) = channel::new(state, hardware);
    let (link, receive, transmit) = wire.split();
    link.set_link_state(LinkState::Up);
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let resources = leak(StackResources::<4>::new());
    let (stack, mut runner) = embassy_net::new(driver, config, resources, last.into());
    spawn(spawner, meter, async move { runner.run().await });
    (stack, transmit, receive)
}

/// Carries frames from one end to the other.
async fn carry(mut from: TxRunner<'static, MTU>, mut to: RxRunner<'static, MTU>) {
    loop {
        let frame = from.tx_buf().await;
        let len = frame.len();
        to.rx_buf().await[..len].copy_from_slice(frame);
        to.rx_done(len);
        from.tx_done();
    }
}

fn device<D: Decoding + 'static>(
    spawner: Spawner,
    stack: Stack<'static>,
    ticket: Ticket<'static>,
    output_rate: SampleRate,
) -> (Room<'static, Device>, MixedReader<'static>) {
    let resources = leak(Resources::<D>::new());
    let mut rng = ChaCha12Rng::seed_from_u64(8);
    let config = Config {
        output_rate,
        ..Config::default()
    };
    let made = parlour_embassy::new(stack, ticket, config, resources, &mut rng);
    let (room, mut runner) = made.expect("a good ticket");
    spawn(spawner, &RUNNER, async move { runner.run().await });
    (room, room.mixed_audio())
}

/// The server's loop, and the talker's clock.
async fn serve(stack: Stack<'static>, world: Rc<RefCell<World>>) {
    let meta = || leak([PacketMetadata::EMPTY; 16]);
    let bytes = || leak(vec![0; 16 * MTU]);
    let mut socket = UdpSocket::new(stack, meta(), bytes(), meta(), bytes());
    socket.bind(PORT).expect("a free port");
    let mut buffer = [0; MTU];
    let mut clock = Ticker::every(Duration::from_millis(20));
    let mut sent: VecDeque<(SocketAddrV4, Vec<u8>)> = VecDeque::new();
    loop {
        world.borrow_mut().settle(now(), |to, datagram| {
            if let Path::Udp {
                remote: SocketAddr::V4(to),
                ..
            } = to
            {
                sent.push_back((to, datagram.to_vec()));
            }
        });
        while let Some((to, datagram)) = sent.pop_front() {
            let _ = socket.send_to(&datagram, to).await;
        }
        match select(socket.recv_from(&mut buffer), clock.next()).await {
            Either::First(Ok((len, meta))) => {
                let from = core::net::IpAddr::from(meta.endpoint.addr);
                let from = Path::udp((from, meta.endpoint.port).into());
                let _ = world
                    .borrow_mut()
                    .server
                    .handle_datagram(now(), from, &mut buffer[..len]);
            }
            Either::First(Err(_)) => {}
            Either::Second(()) => world.borrow_mut().talk(now()),
        }
    }
}

/// Plays speech, 20 ms every 20 ms.
struct Microphone {
    clock: Ticker,
    speech: Speech,
}

impl AudioIn for Microphone {
    type Error = Infallible;

    fn sample_rate(&self) -> SampleRate {
        self.speech.rate
    }

    async fn read(&mut self, frame: &mut [i16]) -> Result<(), Infallible> {
        self.clock.next().await;
        self.speech.read(frame);
        Ok(())
    }
}

struct Loudspeaker(SampleRate);

impl AudioOut for Loudspeaker {
    type Error = Infallible;

    fn sample_rate(&self) -> SampleRate {
        self.0
    }

    async fn write(&mut self, frame: &[i16]) -> Result<(), Infallible> {
        core::hint::black_box(frame);
        Ok(())
    }
}
