//! Talking, listening and coming back.

use embassy_time::{Duration, Ticker};
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::{CloseCause, Event};
use parlour_core::room::{CloseReason, ParticipantId, Topic};
use parlour_core::signal::{Recipients, Targets};
use std::vec::Vec;

use super::sound::{loudest, tone};
use super::world::{PORT, Party, World, mic};
use crate::{AudioCodec, Config, G711, JoinError};

#[test]
fn two_devices_hear_each_other() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
    assert!(loudest(&mut world, &ben, &anna) > 6_000);
    assert_eq!(ben.room.mixed_audio().statistics(0).unwrap().lost, 0);
    assert!(ben.room.mixed_audio().statistics(2).is_none(), "two slots");
}

#[test]
fn a_muted_device_is_not_heard_also_when_it_comes_back() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let (talking, listening) = (anna.room, ben.room);
    let heard = world.run(async move {
        let mut writer = talking
            .publish_audio(mic(), AudioCodec::Pcma, SampleRate::Hz16000)
            .unwrap();
        writer.set_muted(true).unwrap();
        talking.leave().await;
        talking.join().await.unwrap();
        let mut reader = listening.mixed_audio();
        let mut ticks = Ticker::every(Duration::from_millis(20));
        let mut heard = Vec::new();
        for muted in [true, false] {
            if !muted {
                writer.set_muted(false).unwrap();
            }
            let mut loudest = 0;
            for _ in 0..50 {
                ticks.next().await;
                writer.write(&tone()).unwrap();
                let mut pcm = [0; 320];
                reader.read(&mut pcm);
                loudest = pcm.into_iter().fold(loudest, i16::max);
            }
            heard.push(loudest);
        }
        heard
    });
    assert_eq!(heard[0], 0);
    assert!(heard[1] > 6_000);
}

#[test]
fn a_doorkeeper_is_told_who_waits_and_lets_them_in() {
    let mut world = World::new();
    let door = world.party(2, "doorkeeper", Config::default());
    door.join(&mut world).unwrap();
    let guest = world.party(3, "guest", Config::default());
    let room = guest.room;
    world.spawn(async move { room.join().await.unwrap() });
    let waits = ParticipantId::new("guest").unwrap();
    door.wait(
        &mut world,
        move |event| matches!(event, Event::Knocked { participant, .. } if *participant == waits),
    );
    door.wait(&mut world, |event| {
        *event == Event::LobbyChanged { waiting: 1 }
    });
    // This one keeps no names.
    assert_eq!(door.room.with_lobby(|lobby| lobby.others()), 1);
    door.room.admit(Targets::all()).unwrap();
    door.wait(&mut world, |event| {
        *event == Event::LobbyChanged { waiting: 0 }
    });
    assert!(guest.room.is_joined());
}

#[test]
fn messages_arrive() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let topic = Topic::new("chat").unwrap();
    anna.room
        .send_message(&Recipients::All, &topic, b"hello")
        .unwrap();
    ben.wait(&mut world, |event| *event == Event::MessageReceived);
    let mut body = [0; 640];
    let mut events = ben.room.events().unwrap();
    assert!(events.take_message(&mut [0; 4]).is_err());
    let message = events.take_message(&mut body).unwrap().unwrap();
    assert_eq!((message.topic, message.body), (topic, &b"hello"[..]));
    assert_eq!(events.take_message(&mut body), Ok(None));
}

#[test]
fn leaves_and_joins_again_and_again() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    for _ in 0..20 {
        // The server takes one join in a second, after the first few.
        world.pass(Duration::from_secs(1));
        let room = anna.room;
        world.run(async move { room.leave().await });
        assert_eq!(
            anna.room.closed(),
            Some(CloseCause::Closed(CloseReason::Left))
        );
        ben.wait(&mut world, |event| {
            matches!(event, Event::ParticipantLeft { .. })
        });
        anna.join(&mut world).unwrap();
        ben.wait(&mut world, |event| {
            matches!(event, Event::ParticipantJoined { .. })
        });
    }
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
}

#[test]
fn a_server_that_was_killed_is_joined_again() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    world.restart_server();
    for party in [&anna, &ben] {
        party.wait(&mut world, |event| matches!(event, Event::Reconnecting(_)));
        party.wait(&mut world, |event| {
            *event == Event::Joined { resumed: false }
        });
    }
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
}

#[test]
fn a_link_that_was_down_for_five_seconds_goes_on() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    while anna.next_event().is_some() {}
    world.set_link(&anna, false);
    world.pass(Duration::from_secs(5));
    world.set_link(&anna, true);
    // Others have seen neither a leave nor a join.
    while let Some(event) = ben.next_event() {
        assert!(!matches!(event, Event::ParticipantLeft { .. }), "{event:?}");
    }
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
    assert!(loudest(&mut world, &ben, &anna) > 6_000);
    while let Some(event) = anna.next_event() {
        assert!(!matches!(event, Event::Joined { resumed: false }));
    }
}

#[test]
fn a_device_that_roams_goes_on_from_its_new_address() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    for party in [&anna, &ben] {
        while party.next_event().is_some() {}
    }
    // smoltcp asks for no neighbour's hardware address twice in a second.
    world.pass(Duration::from_secs(1));
    // Another access point of the same network: the stack learns of it from DHCP alone.
    world.readdress(&anna, 20);
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
    assert!(loudest(&mut world, &ben, &anna) > 6_000);
    while let Some(event) = anna.next_event() {
        assert!(
            !matches!(event, Event::Joined { .. } | Event::Reconnecting(_)),
            "{event:?}"
        );
    }
    // Another network: the link goes, and comes back without an address for a while.
    world.set_link(&anna, false);
    world.take_address(&anna);
    world.pass(Duration::from_secs(1));
    world.set_link(&anna, true);
    world.pass(Duration::from_secs(1));
    world.readdress(&anna, 21);
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
    assert!(loudest(&mut world, &ben, &anna) > 6_000);
    // It is the same participant, and nobody else has seen anything.
    while let Some(event) = anna.next_event() {
        assert!(!matches!(event, Event::Joined { resumed: false }));
    }
    while let Some(event) = ben.next_event() {
        assert!(!matches!(event, Event::ParticipantLeft { .. }), "{event:?}");
    }
}

#[test]
fn a_device_that_only_listens_tells_its_new_address_at_once() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    world.pass(Duration::from_secs(1));
    world.readdress(&ben, 20);
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
}

#[test]
fn another_ticket_is_for_the_next_join_and_not_for_this_room() {
    let mut world = World::new();
    let ben = world.party(3, "ben", Config::default());
    ben.join(&mut world).unwrap();
    let anna = world.party_with(2, "anna", "10.0.0.99", PORT, Config::default());
    let name = |party: &Party| party.room.me();

    anna.room
        .set_ticket(world.ticket("10.0.0.1", PORT, "bella"));
    anna.join(&mut world).unwrap();
    assert_eq!(name(&anna).unwrap().as_str(), "bella");

    // Another while it is joined: where the server is, it goes on knowing.
    (anna.room).set_ticket(world.ticket("10.0.0.98", PORT, "cleo"));
    world.set_link(&anna, false);
    world.pass(Duration::from_secs(1));
    world.set_link(&anna, true);
    assert!(loudest(&mut world, &anna, &ben) > 6_000);
    assert_eq!(name(&anna).unwrap().as_str(), "bella");
    let room = anna.room;
    world.run(async move { room.leave().await });
    assert_eq!(anna.join(&mut world), Err(JoinError::NoAnswer));
}

#[test]
fn a_server_is_found_by_its_name() {
    let mut world = World::new();
    let anna = world.party_with(2, "anna", "rooms.test", PORT, Config::default());
    anna.join(&mut world).unwrap();
    assert!(anna.room.is_joined());
}

#[test]
fn silence_costs_no_wakes() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    world.pass(Duration::from_secs(5));
    let before = anna.runner_polls();
    world.pass(Duration::from_secs(60));
    let polls = anna.runner_polls() - before;
    // A keepalive in 4 s, and its answer.
    assert!((15..=60).contains(&polls), "{polls}");
    let room = anna.room;
    world.run(async move { room.leave().await });
    world.pass(Duration::from_secs(1));
    let before = anna.runner_polls();
    world.pass(Duration::from_secs(60));
    assert_eq!(anna.runner_polls(), before, "nothing to do");
}
