use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::room::arbitrary::{any_change, any_id, ids, named, plain, stream};
use crate::room::{
    AttributeKey, AttributeValue, Change, ChangeError, CloseReason, Growing, MAX_ATTRIBUTES,
    Replica, RoomState, StreamKey, StreamKind,
};

/// As many as all participants of these tests may have.
const ATTRIBUTES: usize = 10 * MAX_ATTRIBUTES;

/// One room, one receiver that tracks `N`, and what is on its way between them.
struct World<const N: usize> {
    authority: Authority,
    /// The same room with a log that forgets nothing.
    witness: Authority,
    /// The state at each version; empty if a room is too large to keep them.
    history: Vec<RoomState<Growing>>,
    /// The latest first.
    spoke: Vec<ParticipantId>,
    me: ParticipantId,
    wanted: Vec<ParticipantId>,
    view: View,
    /// Whether the room changed before the view had told all.
    is_behind: bool,
    /// The updates under way, and whether the view was behind.
    pipe: VecDeque<(Told, bool)>,
    /// Participants that came since everything was told: their attributes may be still on their way.
    arrived: BTreeSet<ParticipantId>,
    replica: Replica<N, ATTRIBUTES>,
    /// The participants in the room by the reported changes.
    shown: BTreeSet<ParticipantId>,
}

impl<const N: usize> World<N> {
    fn new(room_limit: usize, log_capacity: usize) -> Self {
        let authority = Authority::new(room_limit, log_capacity);
        Self {
            witness: Authority::new(room_limit, usize::MAX),
            history: vec![authority.state().clone()],
            spoke: Vec::new(),
            me: named("p0"),
            wanted: Vec::new(),
            view: View::new(&authority, u16::try_from(N).unwrap()),
            authority,
            is_behind: false,
            pipe: VecDeque::new(),
            arrived: BTreeSet::new(),
            replica: Replica::default(),
            shown: BTreeSet::new(),
        }
    }

    fn change(&mut self, update: RoomUpdate) {
        let before = self.witness.state().version();
        self.is_behind |= !self.view.is_caught_up(&self.authority);
        let changed = self.witness.change(update.clone());
        assert_eq!(self.authority.change(update.clone()), changed);
        if changed.is_err() {
            return;
        }
        for (version, update) in self.witness.since(before).unwrap() {
            let mut state = self.history.last().cloned();
            if let Some(state) = &mut state {
                state.apply(version, update).unwrap();
            }
            self.history.extend(state);
        }
        if let RoomUpdate::Speaker {
            participant: Some(speaker),
        } = update
            && before != self.witness.state().version()
        {
            self.spoke.retain(|id| *id != speaker);
            self.spoke.insert(0, speaker);
        }
        let state = self.authority.state();
        self.spoke.retain(|id| state.participant(id).is_some());
    }

    /// Puts the next thing to tell on its way, if there is one.
    fn poll(&mut self) -> bool {
        let told = self.view.poll(&self.authority, &self.me, &self.wanted);
        let some = told.is_some();
        self.is_behind &= some;
        self.pipe.extend(told.map(|told| (told, self.is_behind)));
        some
    }

    /// Lets the oldest thing on its way arrive, if there is one.
    fn deliver(&mut self) {
        let Some((told, was_behind)) = self.pipe.pop_front() else {
            return;
        };
        let before = self.replica.version();
        let version = match told {
            Told::SnapshotBegin { version } => {
                self.replica.begin_snapshot(version);
                version
            }
            Told::Update { version, update } => {
                let change = self.replica.apply(version, &update).unwrap();
                let superfluous = self.replica.is_complete() && change == Change::Nothing;
                assert!(was_behind || !superfluous, "{update:?} is known");
                self.show(&update, change);
                if let RoomUpdate::Joined(participant) = update {
                    self.arrived.insert(participant.id);
                }
                version
            }
            Told::SnapshotEnd { version } => {
                let shown = &mut self.shown;
                let ended = self.replica.end_snapshot(version, |id| {
                    assert!(shown.remove(&id), "{id} was not there");
                });
                ended.unwrap();
                version
            }
        };
        assert!(before <= version, "the room went back in time");
        assert!(self.shown.iter().eq(&ids(self.replica.participants())));
        if self.replica.is_complete() && !self.history.is_empty() {
            self.check_against_history();
        }
    }

    fn show(&mut self, update: &RoomUpdate, change: Change) {
        let id = update.participant().cloned();
        match change {
            Change::Joined { evicted } => {
                assert!(evicted.is_none_or(|id| self.shown.remove(&id)));
                assert!(self.shown.insert(id.unwrap()));
            }
            Change::Left | Change::Hidden => assert!(self.shown.remove(&id.unwrap())),
            _ => {}
        }
    }

    /// A complete replica shows the room as it was at the replica's version, except for what has changed since.
    fn check_against_history(&self) {
        let version = self.replica.version();
        let then = &self.history[usize::try_from(version.0).unwrap()];
        let later: Vec<_> = self.witness.since(version).unwrap().collect();
        let has_changed = |id| later.iter().any(|(_, it)| it.participant() == Some(id));
        for participant in self.replica.participants() {
            let id = &participant.id;
            if has_changed(id) {
                continue;
            }
            assert_eq!(then.participant(id), Some(participant));
            if !self.arrived.contains(id) {
                assert!(self.replica.attributes(id).eq(then.attributes(id)));
            }
        }
        let is_later = |is: fn(&RoomUpdate) -> bool| later.iter().any(|(_, it)| is(it));
        if !is_later(|it| matches!(it, RoomUpdate::Speaker { .. })) {
            assert_eq!(self.replica.active_speaker(), then.active_speaker());
        }
        if !is_later(|it| matches!(it, RoomUpdate::Floor { .. })) {
            assert_eq!(self.replica.floor(), then.floor());
        }
        if N >= self.authority.room_limit()
            && later.iter().all(|(_, it)| it.participant().is_none())
        {
            assert!(self.replica.participants().eq(then.participants()));
            assert_eq!(self.replica.active_presenter(), then.active_presenter());
        }
    }

    /// The connection is lost with all that is on its way, and then resumed.
    fn reconnect(&mut self) {
        self.pipe.clear();
        self.is_behind = true;
        self.view.resume(self.replica.version_for_resume());
    }

    fn want(&mut self, wanted: Vec<ParticipantId>) {
        self.wanted = wanted;
        self.view.wanted_changed();
    }

    /// Tells and delivers all there is to tell; gives it.
    fn heal(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while self.poll() {
            all.extend(self.pipe.back().map(|(told, _)| told.clone()));
            assert!(all.len() < 10_000, "it never ends");
        }
        while !self.pipe.is_empty() {
            self.deliver();
        }
        self.arrived.clear();
        all
    }

    /// How much a participant matters to the receiver: a lower number, more.
    fn rank(&self, id: &ParticipantId, presenter: Option<&ParticipantId>) -> usize {
        let state = self.authority.state();
        let place = |list: &[ParticipantId]| list.iter().position(|other| other == id);
        if *id == self.me {
            0
        } else if let Some(place) = place(&self.wanted) {
            100 + place
        } else if presenter == Some(id) {
            200
        } else if let Some(place) = place(&self.spoke) {
            300 + place
        } else if !state.participant(id).unwrap().streams.is_empty() {
            400
        } else {
            500
        }
    }

    /// The replica of a caught-up receiver is what the authority wants it to be.
    fn check_healed(&self) {
        let state = self.authority.state();
        assert!(self.view.is_caught_up(&self.authority));
        assert!(self.replica.is_complete());
        let (tracked, others): (Vec<_>, Vec<_>) = ids(state.participants())
            .into_iter()
            .partition(|id| self.replica.participant(id).is_some());
        // The replica may be at an earlier version if nothing after it concerns it.
        let expected = tracked.iter().filter_map(|id| state.participant(id));
        assert!(self.replica.participants().eq(expected));
        for id in &tracked {
            assert!(self.replica.attributes(id).eq(state.attributes(id)));
        }
        assert_eq!(tracked.len(), N.min(state.participants().len()));
        let presenter = state.active_presenter();
        let worst = tracked.iter().map(|id| self.rank(id, presenter)).max();
        let best = others.iter().map(|id| self.rank(id, presenter)).min();
        if let (Some(worst), Some(best)) = (worst, best) {
            assert!(worst <= best, "tracks {worst} rather than {best}");
        }
        assert_eq!(self.replica.active_speaker(), state.active_speaker());
        assert_eq!(self.replica.floor(), state.floor());
        assert_eq!(self.replica.is_recorded(), state.is_recorded());
        assert_eq!(self.replica.participant_count(), state.participant_count());
        if let Some(presenter) = presenter
            && tracked.contains(presenter)
        {
            assert_eq!(self.replica.active_presenter(), Some(presenter));
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Change(RoomUpdate),
    Poll,
    Deliver,
    Reconnect,
    /// As when the server forgot the view but not the room.
    Renew,
    Want(Vec<ParticipantId>),
    Heal,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => any_change().prop_map(Op::Change),
        10 => Just(Op::Poll),
        8 => Just(Op::Deliver),
        1 => Just(Op::Reconnect),
        1 => Just(Op::Renew),
        1 => prop::collection::vec(any_id(), 0..4).prop_map(Op::Want),
        1 => Just(Op::Heal),
    ]
}

fn run<const N: usize>(room_limit: usize, log_capacity: usize, ops: &[Op]) {
    let mut world = World::<N>::new(room_limit, log_capacity);
    for op in ops.iter().cloned() {
        match op {
            Op::Change(update) => world.change(update),
            Op::Poll => {
                let caught_up = world.view.is_caught_up(&world.authority);
                assert!(!(world.poll() && caught_up), "there was nothing to tell");
            }
            Op::Deliver => world.deliver(),
            Op::Reconnect => world.reconnect(),
            Op::Renew => {
                world.view = View::new(&world.authority, u16::try_from(N).unwrap());
                world.reconnect();
            }
            Op::Want(wanted) => world.want(wanted),
            Op::Heal => {
                world.heal();
                world.check_healed();
            }
        }
    }
    world.heal();
    world.check_healed();
    assert!(!world.poll(), "and then it is quiet");
}

proptest! {
    /// However changes, polls, deliveries, losses and resumes interleave: once all is told and
    /// delivered, the replica is the authority's view for it. (And on the way, whenever the
    /// replica is complete, it shows the room as it once was.)
    #[test]
    fn the_replica_heals(
        capacity in 1..=8_usize,
        room_limit in 1..=9_usize,
        log_capacity in 0..12_usize,
        ops in prop::collection::vec(any_op(), 0..160),
    ) {
        match capacity {
            1 => run::<1>(room_limit, log_capacity, &ops),
            2 => run::<2>(room_limit, log_capacity, &ops),
            3 => run::<3>(room_limit, log_capacity, &ops),
            4 => run::<4>(room_limit, log_capacity, &ops),
            5 => run::<5>(room_limit, log_capacity, &ops),
            6 => run::<6>(room_limit, log_capacity, &ops),
            7 => run::<7>(room_limit, log_capacity, &ops),
            _ => run::<8>(room_limit, log_capacity, &ops),
        }
    }
}

fn speaks(name: &str) -> RoomUpdate {
    RoomUpdate::Speaker {
        participant: Some(named(name)),
    }
}

/// A room where `p0` is joined, and `p1` to `p<others>`, who are told already.
fn crowd<const N: usize>(others: usize, room_limit: usize) -> World<N> {
    let mut world = World::new(room_limit, 64);
    for n in 0..=others {
        world.change(RoomUpdate::Joined(plain(&format!("p{n}"))));
    }
    world.heal();
    world.check_healed();
    world
}

fn names(told: &[Told]) -> Vec<&'static str> {
    let name = |told: &Told| match told {
        Told::SnapshotBegin { .. } => "begin",
        Told::SnapshotEnd { .. } => "end",
        Told::Update { update, .. } => match update {
            RoomUpdate::Joined(_) => "joined",
            RoomUpdate::Left { .. } => "left",
            RoomUpdate::Hidden { .. } => "hidden",
            RoomUpdate::Censored { .. } => "censored",
            RoomUpdate::Speaker { .. } => "speaker",
            RoomUpdate::Floor { .. } => "floor",
            RoomUpdate::Count { .. } => "count",
            RoomUpdate::Recorded { .. } => "recorded",
            RoomUpdate::Attribute { .. } => "attribute",
            _ => "other",
        },
    };
    told.iter().map(name).collect()
}

fn attribute(name: &str, key: &str, value: &str) -> RoomUpdate {
    RoomUpdate::Attribute {
        participant: named(name),
        key: AttributeKey::new(key).unwrap(),
        value: AttributeValue::new(value).unwrap(),
    }
}

/// A receiver that tracks two of three, to whom `p2`, with three attributes, is about to be shown instead of `p1`.
fn about_to_see_attributes() -> World<2> {
    let mut world = crowd::<2>(2, 3);
    assert!(world.replica.participant(&named("p2")).is_none());
    for key in ["a", "b", "c"] {
        world.change(attribute("p2", key, "old"));
    }
    world.heal();
    world.want(vec![named("p2")]);
    world
}

#[test]
fn attributes_follow_who_comes_into_view_and_none_is_told_twice() {
    let mut world = about_to_see_attributes();
    for expected in ["hidden", "joined", "attribute"] {
        assert!(!world.view.is_caught_up(&world.authority));
        assert!(world.poll());
        let told = [world.pipe.back().cloned().unwrap().0];
        assert_eq!(names(&told), [expected]);
    }
    assert!(
        !world.view.is_caught_up(&world.authority),
        "two are to come"
    );
    // One that was told, one that is to be told, and one that then need not be.
    world.change(attribute("p2", "a", "new"));
    world.change(attribute("p2", "b", "new"));
    world.change(attribute("p2", "c", ""));
    assert_eq!(names(&world.heal()), ["attribute", "attribute"]);
    world.check_healed();
}

#[test]
fn attributes_that_a_lost_connection_left_untold_come_with_the_snapshot() {
    let mut world = about_to_see_attributes();
    for _ in 0..3 {
        assert!(world.poll());
    }
    world.reconnect();
    let told = world.heal();
    let expected = [
        "begin",
        "joined",
        "joined",
        "attribute",
        "attribute",
        "attribute",
        "count",
        "speaker",
        "floor",
        "end",
    ];
    let mut sorted = names(&told);
    assert_eq!(sorted.first(), Some(&"begin"));
    assert_ne!(sorted.get(1), Some(&"attribute"), "nobody is described yet");
    sorted.sort_unstable();
    let mut all = expected;
    all.sort_unstable();
    assert_eq!(sorted, all);
    world.check_healed();
}

#[test]
fn a_small_device_follows_a_crowd_of_a_thousand() {
    let mut world = World::<8>::new(1000, 256);
    world.history.clear();
    for n in 0..1000 {
        world.change(RoomUpdate::Joined(plain(&format!("p{n}"))));
    }
    let full = RoomUpdate::Joined(plain("late"));
    assert_eq!(world.authority.change(full), Err(ChangeError::RoomFull));

    let told = world.heal();
    world.check_healed();
    assert_eq!(told.len(), 8 + 5, "begin, speaker, floor, count, end");
    assert_eq!(world.replica.participant_count(), 1000);
    assert!(world.replica.participant(&named("p0")).is_some());

    // The speaker and the presenter appear, whatever the crowd does meanwhile.
    let screen = stream("screen", StreamKind::Screen, 1);
    world.change(RoomUpdate::Published {
        participant: named("p999"),
        stream: screen,
    });
    for n in 400..600 {
        world.change(speaks(&format!("p{n}")));
        world.change(RoomUpdate::Censored {
            participant: named(&format!("p{}", n + 200)),
            censored: true,
        });
        world.change(RoomUpdate::Left {
            participant: named(&format!("p{}", n - 300)),
            reason: CloseReason::Left,
        });
        world.heal();
        world.check_healed();
        let speaker = world.replica.active_speaker().unwrap();
        assert!(world.replica.participant(speaker).is_some());
    }
    assert_eq!(world.replica.active_presenter(), Some(&named("p999")));
    assert_eq!(world.replica.participant_count(), 800);
}

#[test]
fn a_change_of_speaker_moves_no_more_than_two() {
    let mut world = crowd::<4>(20, 100);
    for name in ["p11", "p12", "p13"] {
        world.change(speaks(name));
    }
    world.heal();
    // Among those who spoke lately, nobody moves.
    for name in ["p11", "p13", "p12", "p11"] {
        world.change(speaks(name));
        assert_eq!(names(&world.heal()), ["speaker"], "{name}");
    }
    world.change(speaks("p14"));
    let told = world.heal();
    assert_eq!(names(&told), ["speaker", "hidden", "joined"]);
    let hidden = RoomUpdate::Hidden {
        participant: named("p13"),
    };
    assert!(matches!(&told[1], Told::Update { update, .. } if *update == hidden));
}

#[test]
fn whoever_is_wanted_comes_before_whoever_speaks() {
    let mut world = crowd::<3>(20, 100);
    world.change(speaks("p7"));
    world.change(speaks("p8"));
    world.want(vec![named("nobody"), named("p9")]);
    world.heal();
    world.check_healed();
    let tracked = ids(world.replica.participants());
    assert_eq!(tracked, [named("p0"), named("p8"), named("p9")]);
    world.want(Vec::new());
    assert_eq!(names(&world.heal()), ["hidden", "joined"]);
}

#[test]
fn the_crowd_beyond_the_tracked_is_only_counted() {
    let mut world = crowd::<4>(20, 100);
    let left = RoomUpdate::Left {
        participant: named("p20"),
        reason: CloseReason::Left,
    };
    let untracked = named("p19");
    assert!(world.replica.participant(&untracked).is_none());
    world.change(RoomUpdate::Censored {
        participant: untracked,
        censored: true,
    });
    assert_eq!(world.heal(), []);
    world.change(left);
    assert_eq!(names(&world.heal()), ["count"]);
}

#[test]
fn another_takes_the_place_of_whoever_left() {
    let mut world = crowd::<4>(20, 100);
    let leaver = ids(world.replica.participants()).pop().unwrap();
    world.change(RoomUpdate::Left {
        participant: leaver,
        reason: CloseReason::Kicked,
    });
    assert_eq!(names(&world.heal()), ["left", "joined", "count"]);
    world.check_healed();
}

#[test]
fn among_equals_whoever_is_tracked_stays() {
    let mic = |name: &str, ssrc| RoomUpdate::Published {
        participant: named(name),
        stream: stream("mic", StreamKind::Audio, ssrc),
    };
    let mut world = World::<4>::new(100, 64);
    for name in ["p0", "x1", "x2", "x3"] {
        world.change(RoomUpdate::Joined(plain(name)));
    }
    world.change(mic("x3", 1));
    world.heal();
    for name in ["a1", "a2", "a3"] {
        world.change(RoomUpdate::Joined(plain(name)));
    }
    assert_eq!(
        names(&world.heal()),
        ["count"],
        "the ids are lower: so what"
    );
    world.change(mic("a1", 2));
    world.change(mic("a2", 3));
    world.heal();
    let before = ids(world.replica.participants());
    assert_eq!(
        before,
        ["a1", "a2", "p0", "x3"].map(named),
        "publishers matter"
    );
    world.change(mic("a3", 4));
    assert_eq!(world.heal(), [], "but no more than other publishers");
}

#[test]
fn the_most_important_come_first() {
    let mut world = World::<3>::new(100, 64);
    world.me = named("me");
    for name in ["a", "b", "c", "me"] {
        world.change(RoomUpdate::Joined(plain(name)));
    }
    world.change(speaks("b"));
    world.want(vec![named("c")]);
    let joined = |told: Told| match told {
        Told::Update {
            update: RoomUpdate::Joined(participant),
            ..
        } => Some(participant.id),
        _ => None,
    };
    let shown: Vec<_> = world.heal().into_iter().filter_map(joined).collect();
    assert_eq!(shown, ["me", "c", "b"].map(named));
}

#[test]
fn a_dialogue_does_not_push_out_whoever_spoke_before() {
    let mut world = crowd::<4>(20, 100);
    for name in ["p11", "p12", "p13"] {
        world.change(speaks(name));
    }
    for _ in 0..40 {
        world.change(speaks("p12"));
        world.change(speaks("p13"));
    }
    world.heal();
    world.check_healed();
    assert!(world.replica.participant(&named("p11")).is_some());
}

#[test]
fn a_resumed_receiver_gets_what_it_missed_or_a_snapshot() {
    let censor = |name: &str| RoomUpdate::Censored {
        participant: named(name),
        censored: true,
    };
    let mut world = crowd::<8>(3, 8);
    world.change(censor("p1"));
    world.change(censor("p2"));
    assert!(world.poll() && world.poll(), "sent, and lost");
    world.reconnect();
    assert_eq!(names(&world.heal()), ["censored", "censored"]);

    for n in 0..64 {
        world.change(attribute("p1", &format!("k{n}"), "v"));
        world.change(attribute("p1", &format!("k{n}"), ""));
    }
    world.change(censor("p3"));
    assert_eq!(
        names(&world.heal()),
        [
            "begin", "joined", "joined", "joined", "joined", "speaker", "floor", "end"
        ]
    );
    world.check_healed();

    // A version that the room never had.
    world.view.resume(Some(Version(1 << 40)));
    assert!(matches!(
        world.view.poll(&world.authority, &world.me, []),
        Some(Told::SnapshotBegin { .. })
    ));

    let mut capped = crowd::<2>(3, 8);
    capped.reconnect();
    assert_eq!(names(&capped.heal())[0], "begin");
    capped.check_healed();
}

/// A publisher with as many streams as there is room for.
fn publisher() -> World<8> {
    let mut world = crowd::<8>(1, 8);
    for (ssrc, key) in (1..).zip(["a", "b", "c", "d"]) {
        world.change(published(key, ssrc));
    }
    world.heal();
    world
}

fn published(key: &str, ssrc: u32) -> RoomUpdate {
    RoomUpdate::Published {
        participant: named("p0"),
        stream: stream(key, StreamKind::Audio, ssrc),
    }
}

fn unpublished(key: &str) -> RoomUpdate {
    RoomUpdate::Unpublished {
        participant: named("p0"),
        key: StreamKey::new(key).unwrap(),
    }
}

#[test]
fn ones_own_streams_that_are_exchanged_at_once_fit_in_at_each_step() {
    for resumes in [false, true] {
        let mut world = publisher();
        for update in [
            unpublished("a"),
            published("e", 5),
            unpublished("b"),
            published("a", 6),
        ] {
            world.change(update);
        }
        if resumes {
            world.reconnect();
        }
        world.heal();
        world.check_healed();
    }
}

#[test]
fn the_end_of_ones_own_stream_is_told_though_it_was_never_shown() {
    for resumes in [false, true] {
        let mut world = crowd::<8>(1, 8);
        world.change(published("a", 1));
        world.change(unpublished("a"));
        if resumes {
            world.reconnect();
        }
        let version = world.authority.state().version();
        let update = unpublished("a");
        assert_eq!(world.heal(), [Told::Update { version, update }]);
        // Of one that is published anew only that is told.
        for update in [published("b", 2), unpublished("b"), published("b", 3)] {
            world.change(update);
        }
        if resumes {
            world.reconnect();
        }
        let version = world.authority.state().version();
        let update = published("b", 3);
        assert_eq!(world.heal(), [Told::Update { version, update }]);
        world.check_healed();
    }
}

#[test]
fn changes_during_a_snapshot_fit_in() {
    let mut world = World::<8>::new(8, 64);
    for name in ["b", "d", "f"] {
        world.change(RoomUpdate::Joined(plain(name)));
    }
    for _ in 0..3 {
        assert!(world.poll(), "begin, b, d");
    }
    for name in ["a", "c", "e", "g"] {
        world.change(RoomUpdate::Joined(plain(name)));
    }
    for name in ["b", "f"] {
        world.change(RoomUpdate::Left {
            participant: named(name),
            reason: CloseReason::Left,
        });
    }
    // a and c come as changes, because the snapshot is past them; e and g as parts of it.
    assert_eq!(
        names(&world.heal()),
        [
            "joined", "joined", "left", "joined", "joined", "speaker", "floor", "end"
        ]
    );
    world.check_healed();
}
