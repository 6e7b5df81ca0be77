use proptest::prelude::*;

use super::*;

/// A conversation in virtual time, told in steps of 20 ms.
struct Talk {
    turns: TurnTaking,
    ms: u64,
    heard: Duration,
}

fn id(who: &str) -> ParticipantId {
    ParticipantId::new(who).unwrap()
}

impl Talk {
    fn new() -> Self {
        Self {
            turns: TurnTaking::new(Config::default()),
            ms: 1_000,
            heard: Duration::ZERO,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.ms * 1_000)
    }

    fn actions(&mut self) -> Vec<Action> {
        core::iter::from_fn(|| self.turns.poll_action()).collect()
    }

    /// These speak for `ms`, everybody else is silent, and the reply is heard while the agent speaks.
    fn voices(&mut self, who: &[&str], ms: u64) -> Vec<Action> {
        let mut done = Vec::new();
        for _ in 0..ms / 20 {
            for name in ["anna", "ben"] {
                let now = self.now();
                self.turns.handle_voice(now, &id(name), who.contains(&name));
            }
            if let Phase::Speaking(reply) = self.turns.phase {
                self.heard += Duration::from_millis(20);
                self.turns.handle_heard(self.now(), reply.epoch, self.heard);
            }
            done.extend(self.actions());
            self.ms += 20;
        }
        done
    }

    fn silence(&mut self, ms: u64) -> Vec<Action> {
        self.voices(&[], ms)
    }

    fn words(&mut self, who: &str, is_final: bool) -> Vec<Action> {
        self.turns.handle_transcript(self.now(), &id(who), is_final);
        self.actions()
    }

    /// Anna asks something, and the agent begins to reply.
    fn replying() -> (Self, Epoch) {
        let mut talk = Self::new();
        talk.voices(&["anna"], 1_000);
        let epoch = end_of(&talk.silence(1_000));
        talk.turns.handle_reply(talk.now(), epoch, Reply::Ready);
        assert_eq!(talk.actions(), [Action::Speak { epoch }]);
        talk.silence(1_000);
        (talk, epoch)
    }
}

fn end_of(actions: &[Action]) -> Epoch {
    match actions {
        [Action::EndOfTurn { epoch, .. }] => *epoch,
        other => panic!("no end of a turn: {other:?}"),
    }
}

#[test]
fn a_turn_ends_after_a_pause_that_depends_on_the_words() {
    for (words, pause) in [(None, 800), (Some(true), 500), (Some(false), 3_000)] {
        let mut talk = Talk::new();
        let who = id("anna");
        assert_eq!(
            talk.voices(&["anna"], 1_000),
            [Action::StartListening { who }]
        );
        if let Some(is_final) = words {
            assert_eq!(talk.words("anna", is_final), []);
        }
        // The last voice was 20 ms ago.
        assert_eq!(talk.silence(pause - 20), [], "{words:?}");
        end_of(&talk.silence(20));
        assert_eq!(talk.turns.state(), State::Thinking);
    }
}

#[test]
fn a_breath_does_not_end_a_turn_and_words_after_final_ones_wait_again() {
    let mut talk = Talk::new();
    talk.voices(&["anna"], 600);
    talk.words("anna", true);
    assert_eq!(talk.silence(400), []);
    assert_eq!(talk.voices(&["anna"], 600), []);
    assert_eq!(talk.silence(760), [], "the final words were those before");
    end_of(&talk.silence(40));
}

#[test]
fn two_who_speak_at_once_have_one_turn() {
    let mut talk = Talk::new();
    talk.voices(&["ben"], 400);
    let who = id("anna");
    assert_eq!(
        talk.voices(&["anna", "ben"], 400),
        [Action::StartListening { who }]
    );
    assert_eq!(
        talk.voices(&["anna"], 2_000),
        [],
        "ben has ended, anna has not"
    );
    let ended = talk.silence(1_000);
    assert!(matches!(&ended[..], [Action::EndOfTurn { who, .. }] if *who == id("ben")));
}

#[test]
fn whoever_goes_on_while_the_agent_thinks_has_the_same_turn_again() {
    let mut talk = Talk::new();
    talk.voices(&["anna"], 1_000);
    let epoch = end_of(&talk.silence(1_000));
    let (who, heard) = (id("anna"), Duration::ZERO);
    assert_eq!(
        talk.voices(&["anna"], 200),
        [
            Action::StartListening { who },
            Action::CancelReply { epoch, heard }
        ]
    );
    talk.turns.handle_reply(talk.now(), epoch, Reply::Ready);
    assert_eq!(talk.actions(), [], "the reply comes too late");
    assert!(end_of(&talk.silence(1_000)) > epoch);
}

/// The figure of docs/AGENTS.md: backchannels of all lengths up to half a second, with what a detector adds.
#[test]
fn backchannels_are_false_interruptions() {
    let lengths = (80..=500).step_by(20).map(|ms| ms + 120);
    let (mut resumed, mut all) = (0, 0);
    for length in lengths {
        let (mut talk, epoch) = Talk::replying();
        let before = talk.heard;
        let who = id("ben");
        let ducked = talk.voices(&["ben"], length);
        assert_eq!(
            ducked,
            [Action::StartListening { who }, Action::Duck { epoch }]
        );
        // The frame in which the voice began is not heard any more.
        assert_eq!(talk.heard, before);
        all += 1;
        resumed += usize::from(talk.silence(200) == [Action::Resume { epoch }]);
        assert_eq!(talk.turns.state(), State::Speaking);
        // The next one is another.
        talk.silence(1_000);
        let who = id("ben");
        let again = talk.voices(&["ben"], 100);
        assert_eq!(
            again,
            [Action::StartListening { who }, Action::Duck { epoch }]
        );
    }
    println!("{resumed} of {all} backchannels are false interruptions, and the reply goes on");
    assert_eq!(resumed, all);
}

#[test]
fn a_long_voice_or_final_words_interrupt() {
    let (mut talk, epoch) = Talk::replying();
    let heard = talk.heard;
    let done = talk.voices(&["ben"], 700);
    assert_eq!(
        done[1..],
        [Action::Duck { epoch }, Action::CancelReply { epoch, heard }]
    );
    assert_eq!(talk.turns.state(), State::Listening);

    let (mut talk, epoch) = Talk::replying();
    let heard = talk.heard;
    talk.voices(&["ben"], 300);
    assert_eq!(
        talk.words("ben", true),
        [Action::CancelReply { epoch, heard }]
    );
    end_of(&talk.silence(520));

    // "Stop" is short, and recognized late: the reply has gone on.
    let (mut talk, epoch) = Talk::replying();
    talk.voices(&["ben"], 300);
    assert_eq!(talk.silence(300), [Action::Resume { epoch }]);
    let heard = talk.heard;
    let late = talk.words("ben", true);
    assert_eq!(late[0], Action::CancelReply { epoch, heard });
    assert!(end_of(&late[1..]) > epoch);
}

#[test]
fn an_engine_that_hangs_is_given_up() {
    let mut talk = Talk::new();
    talk.voices(&["anna"], 1_000);
    let epoch = end_of(&talk.silence(800));
    let heard = Duration::ZERO;
    assert_eq!(talk.silence(14_960), []);
    assert_eq!(talk.silence(60), [Action::CancelReply { epoch, heard }]);
    assert_eq!(talk.turns.state(), State::Idle);

    // In the middle of a reply.
    let (mut talk, epoch) = Talk::replying();
    assert_eq!(talk.silence(60_000), [], "it is heard all the time");
    let heard = talk.heard;
    talk.ms += 15_000;
    talk.turns.handle_timeout(talk.now());
    assert_eq!(talk.actions(), [Action::CancelReply { epoch, heard }]);
}

#[test]
fn the_agent_says_something_by_itself_only_when_idle() {
    let mut talk = Talk::new();
    talk.voices(&["anna"], 100);
    assert_eq!(talk.turns.begin_reply(talk.now()), None);
    let epoch = end_of(&talk.silence(1_000));
    talk.turns.handle_reply(talk.now(), epoch, Reply::Ended);
    let epoch = talk.turns.begin_reply(talk.now()).unwrap();
    talk.turns.handle_reply(talk.now(), epoch, Reply::Ready);
    assert_eq!(talk.actions(), [Action::Speak { epoch }]);
    talk.turns.cancel_reply(talk.now());
    let heard = Duration::ZERO;
    assert_eq!(talk.actions(), [Action::CancelReply { epoch, heard }]);
    assert_eq!(talk.turns.state(), State::Idle);
}

#[test]
fn releasing_the_floor_ends_the_turn_at_once() {
    let mut talk = Talk::new();
    talk.voices(&["anna"], 300);
    talk.turns.handle_release(talk.now());
    let done = talk.actions();
    end_of(&done);

    let (mut talk, epoch) = Talk::replying();
    talk.voices(&["ben"], 100);
    talk.turns.handle_release(talk.now());
    let heard = talk.heard;
    let done = talk.actions();
    assert_eq!(done[0], Action::CancelReply { epoch, heard });
    end_of(&done[1..]);
}

#[derive(Debug, Clone)]
enum Input {
    Voice(u8, bool),
    Words(u8, bool),
    Left(u8),
    Release,
    Reply(u64, Reply),
    Heard(u64, u64),
    Say,
    Cancel,
    Timeout,
}

fn inputs() -> impl Strategy<Value = Vec<(u64, Input)>> {
    let who = 0..3_u8;
    let reply = prop_oneof![Just(Reply::Ready), Just(Reply::Ended)];
    // Of the present epoch, and of earlier ones.
    let back = prop_oneof![4 => Just(0_u64), 1 => 1..3_u64];
    let input = prop_oneof![
        6 => (who.clone(), any::<bool>()).prop_map(|(who, is)| Input::Voice(who, is)),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, is)| Input::Words(who, is)),
        1 => who.prop_map(Input::Left),
        1 => Just(Input::Release),
        4 => (back.clone(), reply).prop_map(|(back, reply)| Input::Reply(back, reply)),
        3 => (back, 0..5_000_u64).prop_map(|(back, ms)| Input::Heard(back, ms)),
        1 => Just(Input::Say),
        1 => Just(Input::Cancel),
        1 => Just(Input::Timeout),
    ];
    let later = prop_oneof![8 => 0..100_u64, 2 => 100..2_000_u64, 1 => 2_000..40_000_u64];
    prop::collection::vec((later, input), 0..120)
}

/// The one who obeys: what it may be told depends on what it was told.
#[derive(Debug, Default)]
struct Obeys {
    listening: Vec<ParticipantId>,
    newest: Option<Epoch>,
    /// The reply that may be spoken, or is.
    open: Option<Epoch>,
    speaks: bool,
    ducked: bool,
    /// The reply that it has just told to be over.
    ended: Option<Epoch>,
}

impl Obeys {
    fn begin(&mut self, epoch: Epoch) {
        self.end();
        assert!(self.newest.is_none_or(|newest| newest < epoch), "old epoch");
        assert_eq!(self.open, None, "two replies at a time");
        (self.newest, self.open) = (Some(epoch), Some(epoch));
        (self.speaks, self.ducked) = (false, false);
    }

    fn end(&mut self) {
        if self.ended.take() == self.open {
            self.open = None;
        }
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::StartListening { who } => {
                assert!(!self.listening.contains(&who), "twice");
                self.listening.push(who);
            }
            Action::EndOfTurn { epoch, .. } => {
                self.listening.clear();
                self.begin(epoch);
            }
            Action::Speak { epoch } => {
                assert_eq!(self.open, Some(epoch));
                assert!(!self.speaks, "twice");
                self.speaks = true;
            }
            Action::Duck { epoch } => {
                assert_eq!(self.open, Some(epoch));
                assert!(self.speaks && !self.ducked);
                self.ducked = true;
            }
            Action::Resume { epoch } => {
                self.listening.clear();
                assert_eq!(self.open, Some(epoch));
                assert!(self.speaks && self.ducked);
                self.ducked = false;
            }
            Action::CancelReply { epoch, .. } => {
                assert_eq!(self.open, Some(epoch), "what is over is cancelled");
                self.open = None;
            }
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_inputs(inputs in inputs()) {
        let config = Config::default();
        let mut turns = TurnTaking::new(config);
        let mut obeys = Obeys::default();
        let names = ["anna", "ben", "cleo"].map(id);
        let mut ms = 0;
        for (later, input) in inputs {
            ms += later;
            let now = Instant::from_micros(ms * 1_000);
            let of = |epochs_ago: u64| Epoch(turns.last.0.saturating_sub(epochs_ago));
            match input {
                Input::Voice(who, is) => turns.handle_voice(now, &names[usize::from(who)], is),
                Input::Words(who, is) => turns.handle_transcript(now, &names[usize::from(who)], is),
                Input::Left(who) => turns.handle_left(now, &names[usize::from(who)]),
                Input::Release => turns.handle_release(now),
                Input::Heard(ago, heard) => {
                    let epoch = of(ago);
                    turns.handle_heard(now, epoch, Duration::from_millis(heard));
                }
                Input::Cancel => turns.cancel_reply(now),
                Input::Timeout => turns.handle_timeout(now),
                Input::Reply(ago, reply) => {
                    let epoch = of(ago);
                    turns.handle_reply(now, epoch, reply);
                    obeys.ended = (reply == Reply::Ended).then_some(epoch);
                }
                Input::Say => {
                    let said = turns.begin_reply(now);
                    while let Some(action) = turns.poll_action() {
                        obeys.obey(action);
                    }
                    if let Some(epoch) = said {
                        obeys.listening.clear();
                        obeys.begin(epoch);
                    }
                }
            }
            while let Some(action) = turns.poll_action() {
                obeys.obey(action);
            }
            if obeys.ended.is_some() {
                obeys.end();
            }
            // The two agree, and there is a reply exactly in the states that have one.
            let has_reply = !matches!(turns.state(), State::Idle | State::Listening);
            prop_assert_eq!(has_reply, obeys.open.is_some());
            prop_assert_eq!(turns.state() == State::Interrupted, has_reply && obeys.ducked);
            prop_assert!(turns.poll_timeout().is_none_or(|at| at > now), "{:?}", turns);
        }
        // Left alone, it comes to rest in a bounded time.
        let now = Instant::from_micros(ms * 1_000);
        let bound = now + STALE + config.pause_open + config.backchannel + config.patience;
        while let Some(at) = turns.poll_timeout() {
            prop_assert!(at <= bound, "{:?}", turns);
            turns.handle_timeout(at);
            while let Some(action) = turns.poll_action() {
                obeys.obey(action);
            }
        }
        prop_assert_eq!(turns.state(), State::Idle);
        prop_assert_eq!(obeys.open, None);
    }
}
