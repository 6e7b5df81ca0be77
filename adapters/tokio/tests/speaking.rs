//! Speaking and presence of participants, as values and events, over real UDP on this machine.

mod common;

use common::*;
use parlour_tokio::{AudioOptions, AudioWriter, Event, Room, RoomEvent, SampleRate, Server};

async fn microphone(room: &Room) -> AudioWriter {
    within(room.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap()
}

/// Lets `mic` sing until `wanted` likes an event.
async fn sing_until<T>(
    mic: &mut AudioWriter,
    room: &Room,
    mut wanted: impl FnMut(Event) -> Option<T>,
) -> T {
    let mut events = room.events();
    let mut tone = Tone::new(440.0);
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    within(async {
        loop {
            tokio::select! {
                event = events.next() => {
                    if let Some(found) = wanted(event.expect("the room is closed")) {
                        return found;
                    }
                }
                _ = ticks.tick() => mic.write(&tone.frame()).unwrap(),
            }
        }
    })
    .await
}

fn is_started(event: &Event, who: &str) -> bool {
    let participant = id(who);
    *event == Event::Room(RoomEvent::SpeakingStarted { participant })
}

fn stopped(who: &str) -> RoomEvent {
    RoomEvent::SpeakingStopped {
        participant: id(who),
    }
}

#[tokio::test]
async fn speech_begins_and_ends_for_each_participant() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut mic = microphone(&anna).await;
    sing_until(&mut mic, &ben, |event| {
        is_started(&event, "anna").then_some(())
    })
    .await;
    let speaker = ben.participant(&id("anna")).unwrap();
    assert!(speaker.speaking);
    // A sine of 10,000 is 13 dB below the loudest.
    let level = speaker.level.unwrap();
    assert!((-15..=-11).contains(&level), "{level} dBov");
    assert!(!anna.participant(&id("anna")).unwrap().speaking);

    let mut events = ben.events();
    until_room(&mut events, stopped("anna")).await;
    let silent = ben.participant(&id("anna")).unwrap();
    assert_eq!((silent.speaking, silent.level), (false, None));

    // A participant that joins while another speaks is told so.
    let mut tone = Tone::new(440.0);
    let joined = tokio::spawn(async move {
        let cleo = join(&server, "room", "cleo").await;
        (server, cleo)
    });
    while !joined.is_finished() {
        mic.write(&tone.frame()).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (_server, cleo): (Server, Room) = joined.await.unwrap();
    sing_until(&mut mic, &cleo, |event| {
        is_started(&event, "anna").then_some(())
    })
    .await;
    // Muted in mid-word, she has stopped at once.
    let mut events = cleo.events();
    within(mic.set_muted(true)).await.unwrap();
    until_room(&mut events, stopped("anna")).await;
}

#[tokio::test]
async fn who_is_there_already_is_told_as_present_and_seen_as_a_value() {
    let server = serve();
    let anna = join(&server, "room", "anna").await;
    let mic = microphone(&anna).await;
    within(anna.set_attribute("hand", "up")).await.unwrap();
    let ben = join(&server, "room", "ben").await;
    let mut events = ben.events();
    let present = until(&mut events, |event| match event {
        Event::Room(RoomEvent::ParticipantJoined {
            participant,
            present,
        }) => Some((participant, present)),
        _ => None,
    })
    .await;
    assert_eq!(present, (id("anna"), true));
    until_room(&mut events, RoomEvent::Synchronized).await;
    let others = ben.participants();
    assert_eq!(others.len(), 1, "not oneself");
    let other = &others[0];
    assert_eq!((&other.id, other.name.as_str()), (&id("anna"), ""));
    assert_eq!(other.streams[0].key, *mic.key());
    assert_eq!(other.streams[0].kind, parlour_tokio::StreamKind::Audio);
    let hand = other.attributes.iter().next().unwrap();
    assert_eq!((hand.0.as_str(), hand.1.as_bytes()), ("hand", &b"up"[..]));
    assert!(!other.censored && !other.speaking && other.level.is_none());
    assert_eq!(ben.participant(&id("ben")).unwrap().id, id("ben"));
    assert_eq!(ben.participant(&id("nobody")), None);

    let cleo = join(&server, "room", "cleo").await;
    let newcomer = until(&mut events, |event| match event {
        Event::Room(RoomEvent::ParticipantJoined {
            participant,
            present,
        }) => Some((participant, present)),
        _ => None,
    })
    .await;
    assert_eq!(newcomer, (id("cleo"), false));
    drop(cleo);
}

#[tokio::test]
async fn a_look_at_the_state_may_ask_the_room() {
    let server = serve();
    let (anna, _ben) = meet(&server).await;
    let asking = tokio::task::spawn_blocking(move || {
        anna.with_state(|state| {
            let me = anna.me().expect("she is in the room");
            let same = anna.with_state(|again| again.participant_count());
            assert_eq!(same, state.participant_count());
            anna.participant(&me).map(|participant| participant.id)
        })
    });
    assert_eq!(within(asking).await.unwrap(), Some(id("anna")));
}

#[tokio::test]
async fn audio_options_take_any_rate() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    for hz in [8_000, 16_000, 24_000, 32_000, 44_100, 48_000] {
        let rate = SampleRate::from_hz(hz).unwrap();
        let mut mic = within(anna.publish_audio("mic", AudioOptions::opus(rate)))
            .await
            .unwrap();
        let mut heard = ben.mixed_audio(rate).unwrap();
        let (mut samples, mut last) = (0_u32, Vec::new());
        let mut pcm = vec![0; rate.samples(20)];
        within(async {
            loop {
                let tone: Vec<i16> = (samples..samples + pcm.len() as u32)
                    .map(|n| {
                        let phase = f64::from(n % hz) * 1_000.0 / f64::from(hz);
                        ((phase * std::f64::consts::TAU).sin() * 10_000.0) as i16
                    })
                    .collect();
                samples += pcm.len() as u32;
                mic.write(&tone).unwrap();
                heard.next_frame(&mut pcm).await;
                last.extend_from_slice(&pcm);
                let excess = last.len().saturating_sub(5 * pcm.len());
                last.drain(..excess);
                // 1 kHz at this rate stands where another tone would at 48 kHz.
                let seen_as = 1_000.0 * f64::from(RATE.hz()) / f64::from(hz);
                if last.len() == 5 * pcm.len() && amplitude(&last, seen_as) > 3_000.0 {
                    return;
                }
            }
        })
        .await;
    }
}
