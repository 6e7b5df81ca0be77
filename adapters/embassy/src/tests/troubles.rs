//! Everything that a user, a network or a server can do wrong.

use embassy_futures::poll_once;
use embassy_time::Duration;
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::{CloseCause, CommandError, Event, ReconnectCause};
use parlour_core::signal::JoinRefusal;
use parlour_core::ticket::{Ticket, TicketError};
use std::convert::Infallible;
use std::string::String;

use super::world::{PORT, Party, World, mic};
use crate::{
    AlwaysOpen, AudioCodec, AudioIn, AudioOut, Config, Duplex, DuplexError, G711, JoinError,
    NoEchoCanceller, PublishError, RateMismatch, SetupError, WriteError,
};

#[test]
fn a_link_that_is_never_up_is_said_to_be() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    world.set_link(&anna, false);
    assert_eq!(anna.join(&mut world), Err(JoinError::NoNetwork));
    world.set_link(&anna, true);
    assert_eq!(anna.join(&mut world), Ok(()));
}

#[test]
fn a_link_that_comes_up_in_time_will_do() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    world.set_link(&anna, false);
    let room = anna.room;
    let polls = world.spawn(async move { room.join().await.unwrap() });
    world.pass(Duration::from_secs(5));
    assert!(!anna.room.is_joined() && polls.get() > 0);
    world.set_link(&anna, true);
    world.pass(Duration::from_secs(1));
    assert!(anna.room.is_joined());
}

#[test]
fn a_server_that_does_not_answer_is_said_not_to() {
    let mut world = World::new();
    let nobody = world.party_with(2, "anna", "10.0.0.99", PORT, Config::default());
    let closed = world.party_with(3, "ben", "10.0.0.1", 9, Config::default());
    assert_eq!(nobody.join(&mut world), Err(JoinError::NoAnswer));
    assert_eq!(closed.join(&mut world), Err(JoinError::NoAnswer));
}

#[test]
fn a_server_that_stops_answering_is_an_event_and_its_return_another() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    anna.join(&mut world).unwrap();
    while anna.next_event().is_some() {}
    world.set_server_reachable(false);
    let event = anna.wait(&mut world, |event| matches!(event, Event::Reconnecting(_)));
    assert_eq!(event, Event::Reconnecting(ReconnectCause::Silence));
    assert!(!anna.room.is_joined() && anna.room.closed().is_none());
    // Sound that nobody takes is no error, and nobody waits for it.
    let rate = SampleRate::Hz16000;
    let mut writer = anna
        .room
        .publish_audio(mic(), AudioCodec::Pcmu, rate)
        .unwrap();
    assert_eq!(writer.write(&[0; 320]), Ok(()));
    // It tries on, without haste: every two seconds, give or take.
    let sent = |anna: &Party| {
        anna.room
            .with_client(|client| client.statistics().sent.datagrams)
    };
    let before = sent(&anna);
    world.pass(Duration::from_secs(600));
    let tries = sent(&anna) - before;
    assert!((300..=450).contains(&tries), "{tries}");
    world.set_server_reachable(true);
    anna.wait(&mut world, |event| matches!(event, Event::Joined { .. }));
}

#[test]
fn a_malformed_ticket_is_an_error_at_every_place_that_takes_one() {
    let mut world = World::new();
    for (text, error) in [
        ("", TicketError::Scheme),
        ("https://10.0.0.1", TicketError::Scheme),
        ("parlour://10.0.0.1/key#token", TicketError::Address),
        ("parlour://10.0.0.1:7900/key#token", TicketError::Key),
        ("parlour://10.0.0.1:7900/key", TicketError::Token),
    ] {
        assert_eq!(Ticket::parse(text).unwrap_err(), error, "{text}");
    }
    for (token, error) in [
        (String::new(), TicketError::Token),
        ("x".repeat(10_000), TicketError::TokenTooLong),
    ] {
        let ticket = world.ticket("10.0.0.1", PORT, &token);
        let made = world.try_party::<G711>(2, ticket, Config::default());
        assert_eq!(made.err(), Some(SetupError::Ticket(error)));

        let ben = world.party(3, "ben", Config::default());
        ben.join(&mut world).unwrap();
        let room = ben.room;
        room.set_ticket(ticket);
        world.run(async move { room.leave().await });
        assert_eq!(ben.join(&mut world), Err(JoinError::Ticket(error)));
        room.set_ticket(world.ticket("10.0.0.1", PORT, "ben"));
        assert_eq!(ben.join(&mut world), Ok(()));
    }
}

#[test]
fn who_may_not_publish_is_told_so() {
    let mut world = World::new();
    let anna = world.party(2, "listener", Config::default());
    let rate = SampleRate::Hz16000;
    let writer = anna.room.publish_audio(mic(), AudioCodec::Pcmu, rate);
    let mut writer = writer.unwrap();
    anna.join(&mut world).unwrap();
    anna.wait(&mut world, |event| {
        matches!(event, Event::PublishRefused { .. })
    });
    assert_eq!(writer.write(&[0; 320]), Err(WriteError::NotPublished));
}

#[test]
fn an_address_that_never_comes_is_no_network() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    world.take_address(&anna);
    assert_eq!(anna.join(&mut world), Err(JoinError::NoNetwork));
}

#[test]
fn a_name_that_nobody_has_is_said_to_be_unknown() {
    let mut world = World::new();
    let anna = world.party_with(2, "anna", "nowhere.test", PORT, Config::default());
    assert_eq!(anna.join(&mut world), Err(JoinError::UnknownHost));
}

#[test]
fn of_a_names_addresses_all_are_tried_and_the_name_is_asked_again() {
    // A second for the address that does not answer, or two until the name may be asked for again, and up to one more in
    // which smoltcp does not send after it has looked for a neighbour in vain.
    for (name, most) in [("two.test", 2_500), ("moves.test", 3_500)] {
        let mut world = World::new();
        let anna = world.party_with(2, "anna", name, PORT, Config::default());
        let began = embassy_time::Instant::now();
        assert_eq!(anna.join(&mut world), Ok(()), "{name}");
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(1), "{name}: {took:?}");
        assert!(took < Duration::from_millis(most), "{name}: {took:?}");
    }
}

#[test]
fn an_address_that_this_build_does_not_have_is_said_to_be_unreachable() {
    let mut world = World::new();
    let anna = world.party_with(2, "anna", "2001:db8::1", PORT, Config::default());
    let expected = if cfg!(feature = "proto-ipv6") {
        JoinError::NoAnswer
    } else {
        JoinError::Unreachable
    };
    assert_eq!(anna.join(&mut world), Err(expected));
}

#[test]
fn a_token_that_is_refused_is_an_error_and_leaving_is_none() {
    let mut world = World::new();
    let anna = world.party(2, "bad", Config::default());
    let refused = CloseCause::Refused(JoinRefusal::InvalidToken);
    assert_eq!(anna.join(&mut world), Err(JoinError::Closed(refused)));
    let room = anna.room;
    world.run(async move { room.leave().await });
}

#[test]
fn leaving_ends_also_when_the_server_is_gone() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    anna.join(&mut world).unwrap();
    world.set_link(&anna, false);
    let room = anna.room;
    world.run(async move { room.leave().await });
    assert!(anna.room.closed().is_some());
}

#[test]
fn a_dropped_join_goes_on() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    let room = anna.room;
    world.run(async move {
        assert!(poll_once(room.join()).is_pending());
    });
    world.pass(Duration::from_secs(1));
    assert!(anna.room.is_joined());
    assert_eq!(anna.join(&mut world), Ok(()), "at once");
}

#[test]
fn too_much_pcm_and_a_second_stream_are_errors() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    let rate = SampleRate::Hz48000;
    let mut writer = anna
        .room
        .publish_audio(mic(), AudioCodec::Pcmu, rate)
        .unwrap();
    let second = parlour_core::room::StreamKey::new("second").unwrap();
    assert_eq!(
        anna.room
            .publish_audio(second, AudioCodec::Pcmu, rate)
            .unwrap_err(),
        PublishError::Command(CommandError::TooManyStreams)
    );
    assert_eq!(
        writer.write(&[0; 4_801]),
        Err(WriteError::PieceTooLong { max: 4_800 })
    );
    assert_eq!(writer.write(&[0; 960]), Ok(()), "not joined: dropped");
    drop(writer);
    anna.room
        .publish_audio(mic(), AudioCodec::Pcmu, rate)
        .unwrap();
}

struct File(SampleRate);

impl AudioIn for File {
    type Error = Infallible;
    fn sample_rate(&self) -> SampleRate {
        self.0
    }
    async fn read(&mut self, frame: &mut [i16]) -> Result<(), Infallible> {
        frame.fill(1_000);
        Ok(())
    }
}

impl AudioOut for File {
    type Error = Infallible;
    fn sample_rate(&self) -> SampleRate {
        self.0
    }
    async fn write(&mut self, _frame: &[i16]) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn parts_of_different_rates_do_not_talk() {
    let mut world = World::new();
    let anna = world.party(2, "anna", Config::default());
    let room = anna.room;
    for (microphone, good) in [(SampleRate::Hz16000, true), (SampleRate::Hz48000, false)] {
        let stepped = world.run(async move {
            let mut duplex = Duplex::<_, _, _, _, _, 320> {
                microphone: File(microphone),
                loudspeaker: File(SampleRate::Hz16000),
                echo_canceller: NoEchoCanceller,
                gate: AlwaysOpen,
                writer: (room.publish_audio(mic(), AudioCodec::Pcmu, SampleRate::Hz16000)).unwrap(),
                reader: room.mixed_audio(),
            };
            duplex.step().await
        });
        assert_eq!(stepped.is_ok(), good);
        assert!(good || stepped == Err(DuplexError::SampleRate(RateMismatch)));
    }
}
