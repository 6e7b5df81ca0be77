//! The other participants as a device sees them, and its requests about them.

use embassy_time::{Duration, Ticker};
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::Event;
use parlour_core::room::{ParticipantId, RoomId};
use parlour_core::signal::{Outcome, Refusal};

use super::sound::tone;
use super::world::{World, mic};
use crate::time::now;
use crate::{AudioCodec, G711};

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

#[test]
fn a_device_is_told_who_speaks_and_sees_the_others() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let writer = (anna.room).publish_audio(mic(), AudioCodec::Pcmu, SampleRate::Hz16000);
    let mut writer = writer.unwrap();
    let _writer = world.run(async move {
        let mut ticks = Ticker::every(Duration::from_millis(20));
        for _ in 0..10 {
            ticks.next().await;
            writer.write(&tone()).unwrap();
        }
        writer
    });
    let mut seen = std::vec::Vec::new();
    ben.room.participants(|participant| {
        seen.push((
            participant.info.id.clone(),
            participant.speaking,
            participant.level,
        ));
    });
    let [(who, speaking, level)] = &seen[..] else {
        panic!("not oneself: {seen:?}")
    };
    assert_eq!((who, speaking), (&id("anna"), &true));
    assert!(
        level.is_some_and(|level| (-20..=-8).contains(&level)),
        "{level:?}"
    );
    let me = ben.room.me().unwrap();
    let own = ben.room.participant(&me, |own| (own.speaking, own.level));
    assert_eq!(own, Some((false, None)));
    assert_eq!(ben.room.participant(&id("nobody"), |_| ()), None);

    let participant = id("anna");
    let started = Event::SpeakingStarted { participant };
    ben.wait(&mut world, move |event| *event == started);
    let participant = id("anna");
    let stopped = Event::SpeakingStopped { participant };
    ben.wait(&mut world, move |event| *event == stopped);
}

#[test]
fn events_have_one_reader_and_no_task_takes_anothers() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    let mut events = anna.room.events().unwrap();
    assert!(anna.room.events().is_none());
    assert!(events.try_next().is_some());
    drop(events);
    assert!(anna.room.events().is_some());
}

#[test]
fn a_look_may_look_again() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    let room = anna.room;
    let me = room.with_state(|state| {
        let me = room.me();
        room.participants(|other| assert!(state.participant(&other.info.id).is_some()));
        me.filter(|_| room.is_joined() && room.closed().is_none())
    });
    assert_eq!(me, Some(id("anna")));
}

#[test]
fn a_device_knows_that_it_is_recorded() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let session = anna.room.with_client(|client| client.session()).unwrap();
    let room = RoomId::new("room").unwrap();
    let told = world
        .server
        .borrow_mut()
        .record(now(), &room, session, true);
    told.unwrap();
    for one in [&anna, &ben] {
        one.wait(&mut world, |event| *event == Event::RecordingChanged(true));
        assert!(one.room.with_state(|state| state.is_recorded()));
    }
}

#[test]
fn floor_and_moderation_are_answered() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let floor = anna.room.request_floor().unwrap();
    let answered = move |event: &Event| {
        let result = Ok(Outcome::Done);
        *event
            == Event::Replied {
                request: floor,
                result,
            }
    };
    anna.wait(&mut world, answered);
    ben.wait(&mut world, |event| {
        *event == Event::FloorChanged(Some(id("anna")))
    });
    // She is no moderator.
    let kick = anna.room.kick(id("ben")).unwrap();
    anna.wait(&mut world, move |event| {
        let result = Err(Refusal::NotPermitted.into());
        *event
            == Event::Replied {
                request: kick,
                result,
            }
    });
}
