//! A microcontroller in a room: the firmware of `examples/firmware/qemu-virt` (RISC-V) and of `examples/firmware/mps2`
//! (Arm) runs in QEMU, and meets a desktop's client at a real server over real sockets. Both boards do the same.
//!
//! Unlike all other tests these run in real time: nothing waits for a fixed while, except where the passing of time
//! itself is tested (a link that is down for five seconds).

mod machine;
mod portal;
mod process;
mod provisioning;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use machine::{Board, MPS2, Machine, VIRT};
use parlour_core::client::Event as RoomEvent;
use parlour_core::server::{Config, Rate};
use parlour_core::ticket::Ticket;
use parlour_examples::impair::Impairment;
use parlour_examples::measure::{RATE, find};
use parlour_examples::network::Network;
use parlour_examples::wav;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{AudioOptions, AudioWriter, Event, MixedReader, Room, Server, ServerConfig};
use portal::a_log_in_page_is_named_and_after_the_log_in_the_room_is_joined;
use process::ServerProcess;
use provisioning::{
    a_new_device_is_told_its_ticket_and_keeps_it, a_newer_token_arrives_by_message_and_is_kept,
    flash_that_holds_something_else_is_no_reason_to_stop,
    flash_that_keeps_nothing_is_told_and_tried_again,
    the_button_leads_back_from_a_ticket_of_no_use,
};

/// 20 ms.
const FRAME: usize = 320;
/// Until everything said has been heard.
const TAIL: usize = 75 * FRAME;

fn recording(name: &str) -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/assets")
        .join(name);
    wav::read(&path, RATE).unwrap()
}

/// A server, a desktop's client in its room, and a device that may join.
struct Meeting {
    desktop: Room,
    events: parlour_tokio::Events,
    writer: AudioWriter,
    reader: MixedReader,
    device: Machine,
}

/// The similarity of the audio heard by each side to the audio sent, while both spoke.
#[derive(Debug)]
struct Similarity {
    at_desktop: f64,
    at_device: f64,
}

fn ticket(server: &Server, who: &str) -> String {
    let claims = Claims::new("kitchen", who, Duration::from_secs(3_600)).unwrap();
    server.ticket(&claims).unwrap()
}

/// The device's ticket: QEMU's network shows this machine's loopback address as 10.0.2.2.
fn device_ticket(server: &Server, through: SocketAddr) -> String {
    let text = ticket(server, "device");
    let ticket = Ticket::parse(&text).unwrap();
    let seen = Ticket {
        host: "10.0.2.2",
        port: through.port(),
        ..ticket
    };
    seen.to_string()
}

impl Meeting {
    async fn start(board: &'static Board, desktop: &str, device: &str) -> Self {
        let desktop = Room::join(desktop).await.unwrap();
        let events = desktop.events();
        // The codec that the device decodes without Opus.
        let writer = desktop
            .publish_audio("mic", AudioOptions::pcmu(RATE))
            .await
            .unwrap();
        let reader = desktop.mixed_audio(RATE).unwrap();
        let device = Machine::start(board, device);
        Self {
            desktop,
            events,
            writer,
            reader,
            device,
        }
    }

    /// They are to meet at `server`, the device through the network at `address`.
    async fn at(board: &'static Board, server: &Server, address: SocketAddr) -> Self {
        let device = device_ticket(server, address);
        Self::start(board, &ticket(server, "desktop"), &device).await
    }

    /// The device joins, and the desktop sees it.
    async fn meet(&mut self) {
        self.device.tell("join");
        self.device.expect("joined");
        self.until(|event| matches!(event, RoomEvent::ParticipantJoined { .. }))
            .await;
    }

    /// Waits for something to happen in the room.
    async fn until(&mut self, wanted: impl Fn(&RoomEvent) -> bool) {
        let found = async {
            loop {
                match self.events.next().await.expect("the room is closed") {
                    Event::Room(event) if wanted(&event) => return,
                    _ => {}
                }
            }
        };
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, found)
            .await
            .expect("it does not happen");
    }

    /// Both speak at once, each its whole recording.
    async fn speak(&mut self) -> Similarity {
        let (desktop_says, device_says) = (recording("host.wav"), recording("device.wav"));
        let device_from = self.device.heard().len();
        self.device.tell("talk");
        let mut heard = Vec::new();
        for frame in desktop_says
            .chunks(FRAME)
            .map(Some)
            .chain([None; TAIL / FRAME])
        {
            let mut pcm = [0; FRAME];
            self.reader.next_frame(&mut pcm).await;
            heard.extend(pcm);
            if let Some(frame) = frame {
                self.writer.write(frame).unwrap();
            }
        }
        self.device.expect("said");
        let device_heard = self.device.heard();
        Similarity {
            at_desktop: find(&device_says, &heard).similarity,
            at_device: find(&desktop_says, &device_heard[device_from..]).similarity,
        }
    }

    async fn part(mut self) {
        self.device.tell("leave");
        self.device.expect("left");
        self.until(|event| matches!(event, RoomEvent::ParticipantLeft { .. }))
            .await;
        self.device.exit(5);
        self.desktop.leave().await;
    }
}

fn serve(directory: &Path) -> Server {
    serve_at("127.0.0.1:0", directory)
}

/// A server that has its key in `directory`.
fn serve_at(address: &str, directory: &Path) -> Server {
    let key = ApiKey::new("test", "0123456789abcdef0123456789abcdef").unwrap();
    let config = ServerConfig {
        workers: 1,
        key_file: Some(directory.join("key")),
        // One device joins over and over.
        limits: Config {
            joins: Rate {
                per_second: 1_000,
                burst: 1_000,
            },
            ..Config::default()
        },
        ..ServerConfig::new(address.parse().unwrap(), key)
    };
    Server::bind(config).unwrap()
}

/// Makes tests of scenarios, for each board.
macro_rules! on_each_board {
    ($($scenario:ident),* $(,)?) => {
        on_each_board!(virt, VIRT, $($scenario)*);
        on_each_board!(mps2, MPS2, $($scenario)*);
    };
    ($name:ident, $board:ident, $($scenario:ident)*) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    if super::$board.firmware().is_some() {
                        super::$scenario(&super::$board).await;
                    }
                }
            )*
        }
    };
}

on_each_board!(
    device_and_desktop_hear_each_other,
    they_do_with_a_tenth_of_all_datagrams_lost,
    they_do_after_the_server_was_killed_and_restarted,
    they_do_after_the_devices_link_was_down,
    tickets_that_do_not_open_the_room_are_said_not_to,
    networks_that_lead_nowhere_are_said_to,
    a_log_in_page_is_named_and_after_the_log_in_the_room_is_joined,
    a_thousand_joins_leave_no_memory_taken,
    a_new_device_is_told_its_ticket_and_keeps_it,
    the_button_leads_back_from_a_ticket_of_no_use,
    flash_that_holds_something_else_is_no_reason_to_stop,
    flash_that_keeps_nothing_is_told_and_tried_again,
    a_newer_token_arrives_by_message_and_is_kept,
);

async fn device_and_desktop_hear_each_other(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let mut meeting = Meeting::at(board, &server, server.addresses()[0]).await;
    meeting.meet().await;
    let similarity = meeting.speak().await;
    assert!(
        similarity.at_desktop > 0.8 && similarity.at_device > 0.8,
        "{similarity:?}"
    );
    meeting.part().await;
}

async fn they_do_with_a_tenth_of_all_datagrams_lost(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let bad = Impairment {
        loss: 0.1,
        ..Impairment::default()
    };
    let network = Network::start(server.addresses()[0], bad, 1).await.unwrap();
    let mut meeting = Meeting::at(board, &server, network.address()).await;
    meeting.meet().await;
    let similarity = meeting.speak().await;
    assert!(
        similarity.at_desktop > 0.7 && similarity.at_device > 0.7,
        "{similarity:?}"
    );
    let lost: u64 = network
        .flows()
        .iter()
        .map(|flow| flow.up.lost + flow.down.lost)
        .sum();
    assert!(lost > 50, "{lost}");
    meeting.part().await;
}

async fn they_do_after_the_server_was_killed_and_restarted(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::start("127.0.0.1:0", directory.path());
    let mut meeting = Meeting::start(board, &server.desktop, &server.device).await;
    meeting.meet().await;

    server.kill();
    let address = server.address.clone();
    let _restarted = ServerProcess::start(&address, directory.path());
    meeting.device.expect("event reconnecting");
    meeting.device.expect("event joined resumed=false");
    meeting
        .until(|event| *event == RoomEvent::Joined { resumed: false })
        .await;

    let similarity = meeting.speak().await;
    assert!(
        similarity.at_desktop > 0.8 && similarity.at_device > 0.8,
        "{similarity:?}"
    );
    meeting.part().await;
}

async fn they_do_after_the_devices_link_was_down(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let mut meeting = Meeting::at(board, &server, server.addresses()[0]).await;
    meeting.meet().await;

    meeting.device.set_link(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    meeting.device.set_link(true);

    let similarity = meeting.speak().await;
    assert!(
        similarity.at_desktop > 0.7 && similarity.at_device > 0.7,
        "{similarity:?}"
    );
    // It has joined once. Whether it had to resume depends on the time it last heard of the server.
    assert_eq!(meeting.device.times_said("event joined resumed=false"), 1);
    meeting.part().await;
}

async fn tickets_that_do_not_open_the_room_are_said_not_to(board: &'static Board) {
    let device = Machine::power_on(board, "parlour://10.0.2.2/key#token");
    let why = device.expect("failed:");
    assert!(why.contains("host:port"), "{why}");
    device.ends_with(1);

    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let good = device_ticket(&server, server.addresses()[0]);
    let (but_token, _) = good.split_once('#').unwrap();
    for (ticket, expected) in [
        (format!("{but_token}#forged"), "not admitted"),
        (
            device_ticket(&server, silent.local_addr().unwrap()),
            "the server does not answer",
        ),
    ] {
        let mut device = Machine::start(board, &ticket);
        device.tell("join");
        let why = device.expect("not joined:");
        assert!(why.starts_with(expected), "{why}");
        device.exit(0);
    }
}

async fn networks_that_lead_nowhere_are_said_to(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let by_address = device_ticket(&server, server.addresses()[0]);
    let by_name = by_address.replace("10.0.2.2", "rooms.example");
    for (network, ticket, expected) in [
        // Nobody answers DHCP.
        ("user,ipv4=off", &by_address, "the network is not up"),
        // Whatever the device sends is dropped: what it sends to the server, and to the name server.
        (
            "user,restrict=on",
            &by_address,
            "the server does not answer",
        ),
        (
            "user,restrict=on",
            &by_name,
            "the server's name was not found",
        ),
    ] {
        let mut device = Machine::power_on_in(network, board, &[format!("ticket={ticket}")]);
        device.tell("join");
        let why = device.expect("not joined:");
        assert!(why.starts_with(expected), "{network}: {why}");
        // It has not started again.
        assert_eq!(device.times_said("ready"), 1);
        device.exit(0);
    }
}

async fn a_thousand_joins_leave_no_memory_taken(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let mut device = Machine::start(board, &device_ticket(&server, server.addresses()[0]));
    // The first join is of a client that is new anyway.
    device.tell("cycle 1");
    device.expect("cycled");
    device.tell("cycle 1000");
    let cycled = device.expect_within(Duration::from_secs(150), "cycled");
    let figure = |name: &str| {
        let words = cycled.split(' ').filter_map(|word| word.split_once('='));
        words
            .into_iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned())
    };
    assert!(cycled.starts_with("1000 "), "{cycled}");
    assert_eq!(figure("free-first"), figure("free-last"), "{cycled}");
    device.exit(0);
    assert!(server.rooms().await.rooms.is_empty());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_overflows_ends_the_device() {
    if MPS2.firmware().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let ticket = device_ticket(&server, server.addresses()[0]);
    let mut device = Machine::start(&MPS2, &ticket);
    device.tell("overflow");
    assert_eq!(device.expect("failed:"), "the stack has overflowed");
    device.ends_with(101);
}
