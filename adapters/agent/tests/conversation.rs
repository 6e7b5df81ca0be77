//! A person and an agent talk.

mod common;

use std::time::Duration;

use common::*;
use parlour_agent::{Address, Agent, AgentEvent, SayError, SpeechEnd, TOPIC, Transcripts};
use parlour_tokio::{Message, ParticipantId, Room, Server};

fn id(who: &str) -> ParticipantId {
    ParticipantId::new(who).unwrap()
}

/// The room of the agent, and anna.
async fn meet(server: &Server) -> (Room, Person) {
    let room = join(server, "room", "agent").await;
    (room, Person::join(server, "room", "anna").await)
}

fn tone(heard: &[Heard]) -> usize {
    heard.iter().map(|heard| heard.ms).sum()
}

#[tokio::test]
async fn a_question_is_answered_and_both_are_transcribed() {
    let server = serve();
    let (room, mut anna) = meet(&server).await;
    let llm = Answers::with("It is noon. Have a good meal!");
    let agent = Agent::pipeline(
        Hears::texts(["what time is it"]),
        llm.clone(),
        Sings::for_ms(1_000),
    );
    let agent = agent.start(room).await.unwrap();
    let mut events = agent.events();
    let mut messages = anna.room.messages();

    anna.hears(500).await;
    anna.says(&question(), 1_500).await;
    let said = async {
        let heard = until(&mut events, |event| match event {
            AgentEvent::Heard { who, text } => Some((who.clone(), text.clone())),
            _ => None,
        });
        assert_eq!(heard.await, (id("anna"), "what time is it".to_owned()));
        until_said(&mut events).await
    };
    let (said, mut heard) = anna.during(said).await;
    let (text, length, interrupted) = said;
    assert_eq!(text, "It is noon. Have a good meal!");
    assert_eq!((length, interrupted), (Duration::from_secs(2), false));
    heard.extend(anna.hears(300).await);
    let tone = tone(&heard);
    assert!((1_900..=2_200).contains(&tone), "{tone} ms are heard");
    assert_eq!(llm.asked(), [["what time is it"]]);

    let mut transcripts = Transcripts::default();
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Some(Message::Received { from, topic, body }) = within(messages.next()).await {
            assert_eq!((from.as_str(), topic.as_str()), ("agent", TOPIC));
            told.extend(transcripts.take(&from, &body));
        }
    }
    let told: Vec<_> = told
        .iter()
        .map(|told| (told.who.as_str(), &*told.text))
        .collect();
    assert_eq!(told, [("anna", "what time is it"), ("agent", &*text)]);
}

#[tokio::test]
async fn an_interruption_silences_the_agent_and_the_rest_was_never_said() {
    let server = serve();
    let (room, mut anna) = meet(&server).await;
    let (stt, llm) = (
        Hears::texts(["tell me all", "stop it"]),
        Answers::with("One two three four. Five six seven."),
    );
    let agent = Agent::pipeline(stt, llm.clone(), Sings::for_ms(4_000));
    let agent = agent.start(room).await.unwrap();
    let mut events = agent.events();

    anna.hears(500).await;
    anna.says(&question(), 1_500).await;
    let speaking = until(&mut events, |event| {
        matches!(event, AgentEvent::Speaking { .. }).then_some(())
    });
    let ((), mut heard) = anna.during(speaking).await;
    heard.extend(anna.hears(1_000).await);
    heard.extend(anna.says(&question(), 2_000).await);
    let (said, more) = anna.during(until_said(&mut events)).await;
    heard.extend(more);
    let (text, length, interrupted) = said;
    assert!(interrupted);
    // What it says was heard is what was heard.
    let tone = Duration::from_millis(tone(&heard) as u64);
    println!("{length:?} are said to be heard, {tone:?} are");
    assert!(
        length.abs_diff(tone) <= Duration::from_millis(60),
        "{length:?} of {tone:?}"
    );
    assert!((1_000..2_000).contains(&length.as_millis()), "{length:?}");
    assert!(
        "One two three four.".starts_with(&text) && text.len() < 19,
        "{text}"
    );

    // The next question comes with what was heard, and no more.
    let (second, _) = anna.during(until_said(&mut events)).await;
    assert_eq!(second.1, Duration::from_secs(8));
    let asked = llm.asked();
    let of_second = ["tell me all", &text, "stop it"].map(str::to_owned);
    assert_eq!(
        asked,
        [
            vec!["tell me all".to_owned()],
            of_second
                .into_iter()
                .filter(|line| !line.is_empty())
                .collect()
        ]
    );
}

#[tokio::test]
async fn a_backchannel_does_not_break_a_reply() {
    let server = serve();
    let (room, mut anna) = meet(&server).await;
    let agent = Agent::pipeline(
        Hears::texts(["mhm"]),
        Answers::with("?"),
        Sings::for_ms(4_000),
    );
    let agent = agent.start(room).await.unwrap();
    let mut events = agent.events();
    anna.hears(500).await;
    let mut speech = within(agent.say("A long story.")).await.unwrap();
    let mut heard = anna.hears(1_000).await;
    // A syllable.
    heard.extend(anna.says(&question()[..RATE.samples(300)], 1_000).await);
    let (end, more) = anna.during(speech.ended()).await;
    heard.extend(more);
    assert_eq!(
        (end, speech.heard()),
        (SpeechEnd::Whole, Duration::from_secs(4))
    );
    heard.extend(anna.hears(300).await);
    let tone = tone(&heard);
    assert!((3_900..=4_300).contains(&tone), "{tone} ms are heard");
    let mut ducked = 0;
    until(&mut events, |event| {
        ducked += usize::from(matches!(event, AgentEvent::Ducked));
        matches!(event, AgentEvent::Resumed).then_some(())
    })
    .await;
    assert_eq!(ducked, 1);
}

#[tokio::test]
async fn engines_that_fail_do_not_end_an_agent() {
    let server = serve();
    let (room, mut anna) = meet(&server).await;
    let engines: [(&str, std::sync::Arc<Hears>, std::sync::Arc<Answers>); 2] = [
        (
            "gave nothing",
            Hears {
                hangs: true,
                ..Hears::default()
            }
            .into(),
            Answers::with("?"),
        ),
        (
            "panicked",
            Hears::texts(["hello"]),
            Answers {
                panics: true,
                ..Answers::default()
            }
            .into(),
        ),
    ];
    for (error, stt, llm) in engines {
        let agent =
            Agent::pipeline(stt, llm, Sings::for_ms(200)).patience(Duration::from_millis(500));
        let agent = agent.start(room.clone()).await.unwrap();
        let mut events = agent.events();
        anna.hears(500).await;
        anna.says(&question(), 1_500).await;
        let failed = until(&mut events, |event| match event {
            AgentEvent::EngineFailed { error, .. } => Some(error.to_string()),
            _ => None,
        });
        let (failed, _) = anna.during(failed).await;
        assert!(failed.contains(error), "{failed}");
        let mut speech = within(agent.say("I did not hear that.")).await.unwrap();
        let (end, _) = anna.during(speech.ended()).await;
        assert_eq!(end, SpeechEnd::Whole);
        agent.stop().await;
    }
    // One that never ends is cut, and may be cancelled.
    let endless = Sings {
        ms: 0,
        delay: Duration::ZERO,
        endless: true,
    };
    let agent = Agent::pipeline(
        Hears::texts([]),
        Answers::with("?"),
        std::sync::Arc::new(endless),
    );
    let agent = agent.start(room).await.unwrap();
    let mut speech = within(agent.say("Forever.")).await.unwrap();
    anna.hears(500).await;
    speech.cancel().await;
    let (end, _) = anna.during(speech.ended()).await;
    let heard = speech.heard().as_millis();
    assert_eq!(end, SpeechEnd::Broken);
    assert!((100..=700).contains(&heard), "{heard} ms");
}

#[tokio::test]
async fn what_waits_to_be_said_is_bounded() {
    let server = serve();
    let (room, _anna) = meet(&server).await;
    let agent = Agent::pipeline(Hears::texts([]), Answers::with("?"), Sings::for_ms(60_000));
    let agent = agent.start(room).await.unwrap();
    assert_eq!(within(agent.say(" \n")).await.unwrap_err(), SayError::Empty);
    let mut first = within(agent.say("one")).await.unwrap();
    let mut waiting = Vec::new();
    let full = loop {
        match within(agent.say("more")).await {
            Ok(speech) => waiting.push(speech),
            Err(error) => break error,
        }
    };
    assert_eq!((full, waiting.len()), (SayError::Full { max: 16 }, 16));
    let mut last = waiting.pop().unwrap();
    last.cancel().await;
    assert_eq!(
        (within(last.ended()).await, last.heard()),
        (SpeechEnd::Broken, Duration::ZERO)
    );
    drop(agent);
    assert_eq!(within(first.ended()).await, SpeechEnd::Broken);
}

#[tokio::test]
async fn an_agent_answers_to_its_name_and_to_no_agent() {
    let server = serve();
    let (room, mut anna) = meet(&server).await;
    let llm = Answers::with("Yes?");
    let stt = Hears::texts(["what a day", "robo, are you there"]);
    let agent = Agent::pipeline(stt, llm.clone(), Sings::for_ms(400))
        .address(Address::Name("Robo".to_owned()));
    let agent = agent.start(room).await.unwrap();
    let mut events = agent.events();
    // It sings 500 Hz all the time, and is no person.
    let other = join(&server, "room", "other").await;
    let other = Agent::pipeline(Hears::texts([]), Answers::with("?"), Sings::for_ms(20_000))
        .start(other)
        .await
        .unwrap();
    within(other.say("la la la")).await.unwrap();

    anna.hears(500).await;
    anna.says(&question(), 2_500).await;
    anna.says(&question(), 1_500).await;
    let ((text, ..), _) = anna.during(until_said(&mut events)).await;
    assert_eq!(text, "Yes?");
    assert_eq!(llm.asked(), [["what a day", "robo, are you there"]]);
}
