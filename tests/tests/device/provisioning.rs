//! A device without settings: it is told its ticket over its serial line, keeps it in flash, and gets a newer token by
//! message.

use std::path::Path;
use std::time::Duration;

use parlour_core::room::{ParticipantId, RoomId, Topic};
use parlour_core::server::Event;
use parlour_core::signal::Recipients;
use parlour_core::ticket::Ticket;
use parlour_tokio::Server;
use parlour_tokio::token::Claims;

use crate::machine::{Board, Machine};
use crate::{device_ticket, serve};

/// A device whose flash is a file in `directory`.
fn power_on(board: &'static Board, directory: &Path, button: bool) -> Machine {
    let mut arguments = vec![format!("flash={}", directory.join("flash").display())];
    if button {
        arguments.push("button=held".into());
    }
    Machine::power_on_in("user", board, &arguments)
}

/// The answer to a line of provisioning, whole.
fn answer(device: &mut Machine, line: &str) -> String {
    device.tell(line);
    // `o` of `ok` and `e` of `error`: nothing else is said meanwhile.
    let answer = device.expect("");
    assert!(
        answer.starts_with("ok") || answer.starts_with("error "),
        "{answer}"
    );
    answer
}

fn token(server: &Server, lifetime: Duration) -> String {
    let claims = Claims::new("kitchen", "device", lifetime).unwrap();
    let ticket = server.ticket(&claims).unwrap();
    Ticket::parse(&ticket).unwrap().token.to_owned()
}

pub(crate) async fn a_new_device_is_told_its_ticket_and_keeps_it(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let ticket = device_ticket(&server, server.addresses()[0]);

    let mut device = power_on(board, directory.path(), false);
    let why = device.expect("provisioning:");
    assert_eq!(why, "this device has no settings yet; send hello");
    device.send(&[0xff, 0x00, b' ', b'\r', b'\n']);
    assert!(device.expect("error").contains("no text"));
    let missing = "ok parlour-provisioning 1 wifi=none ticket=missing";
    assert_eq!(answer(&mut device, "hello"), missing);
    assert!(answer(&mut device, "wifi net").starts_with("error this device has no Wi-Fi"));
    assert!(answer(&mut device, "save").starts_with("error not complete"));
    assert!(answer(&mut device, "ticket parlour://x").starts_with("error the ticket"));
    let taken = answer(&mut device, &format!("ticket {ticket}"));
    assert!(taken.starts_with("ok ticket for 10.0.2.2 port "), "{taken}");
    assert_eq!(answer(&mut device, "save"), "ok saved");
    device.expect("ready");
    device.tell("join");
    device.expect("joined");
    device.exit(0);

    let mut device = power_on(board, directory.path(), false);
    device.expect("ready");
    assert_eq!(device.times_said("provisioning"), 0);
    device.tell("join");
    device.expect("joined");
    device.exit(0);
}

pub(crate) async fn the_button_leads_back_from_a_ticket_of_no_use(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let good = device_ticket(&server, server.addresses()[0]);
    // As where a name server lies: somebody answers, but not the server of the ticket.
    let elsewhere = Ticket {
        server_key: parlour_core::secure::PublicKey([9; 32]),
        ..Ticket::parse(&good).unwrap()
    };

    let mut device = power_on(board, directory.path(), false);
    device.expect("provisioning:");
    answer(&mut device, &format!("ticket {elsewhere}"));
    assert_eq!(answer(&mut device, "save"), "ok saved");
    device.expect("ready");
    for _ in 0..2 {
        device.tell("join");
        let why = device.expect("not joined:");
        assert!(why.starts_with("the server does not answer"), "{why}");
    }
    device.exit(0);

    let mut device = power_on(board, directory.path(), true);
    let why = device.expect("provisioning:");
    assert_eq!(why, "the button was held at the start; send hello");
    let known = "ok parlour-provisioning 1 wifi=none ticket=set";
    assert_eq!(answer(&mut device, "hello"), known);
    answer(&mut device, &format!("ticket {good}"));
    assert_eq!(answer(&mut device, "save"), "ok saved");
    device.expect("ready");
    device.tell("join");
    device.expect("joined");
    device.exit(0);
}

pub(crate) async fn flash_that_holds_something_else_is_no_reason_to_stop(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let ticket = device_ticket(&server, server.addresses()[0]);
    for byte in [0x00, 0x5a] {
        std::fs::write(directory.path().join("flash"), [byte; 8_192]).unwrap();
        let mut device = power_on(board, directory.path(), false);
        device.expect("provisioning:");
        answer(&mut device, &format!("ticket {ticket}"));
        assert_eq!(answer(&mut device, "save"), "ok saved");
        device.expect("ready");
        device.exit(0);
    }
    let device = power_on(board, directory.path(), false);
    device.expect("ready");
}

pub(crate) async fn flash_that_keeps_nothing_is_told_and_tried_again(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let ticket = device_ticket(&server, server.addresses()[0]);
    // The host cannot write a file there.
    let place = directory.path().join("later");
    let mut device = power_on(board, &place, false);
    device.expect("provisioning:");
    answer(&mut device, &format!("ticket {ticket}"));
    for _ in 0..2 {
        let why = answer(&mut device, "save");
        assert!(
            why.starts_with("error the flash does not keep the settings: try again"),
            "{why}"
        );
    }
    let known = "ok parlour-provisioning 1 wifi=none ticket=set";
    assert_eq!(answer(&mut device, "hello"), known);
    std::fs::create_dir(place).unwrap();
    assert_eq!(answer(&mut device, "save"), "ok saved");
    device.expect("ready");
    device.tell("join");
    device.expect("joined");
    device.exit(0);
}

pub(crate) async fn a_newer_token_arrives_by_message_and_is_kept(board: &'static Board) {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let ticket = device_ticket(&server, server.addresses()[0]);
    let newer = token(&server, Duration::from_secs(7_200));
    let mut happened = server.events();

    let mut device = power_on(board, directory.path(), false);
    device.expect("provisioning:");
    answer(&mut device, &format!("ticket {ticket}"));
    assert_eq!(answer(&mut device, "save"), "ok saved");
    device.expect("ready");
    device.tell("join");
    device.expect("joined");
    // A device knows first: it is in the room when the server has heard that.
    while !matches!(
        happened.next().await.unwrap().unwrap().event,
        Event::ParticipantJoined { .. }
    ) {}

    // What an application's server does.
    let room = RoomId::new("kitchen").unwrap();
    let from = ParticipantId::new("$server").unwrap();
    let topic = Topic::new("parlour.token").unwrap();
    let sent = server.send(&room, &from, &Recipients::All, &topic, newer.as_bytes());
    assert_eq!(sent.await.unwrap(), 1);
    device.expect("newer ticket stored");
    device.exit(0);
    let flash = std::fs::read(directory.path().join("flash")).unwrap();
    let newer = newer.as_bytes();
    assert!(flash.windows(newer.len()).any(|part| part == newer));

    // With the newer one it joins.
    let mut device = power_on(board, directory.path(), false);
    device.expect("ready");
    device.tell("join");
    device.expect("joined");
    device.exit(0);
}
