//! Random meetings through the real server. The journal alone tells what the tables hold, at any moment.
//!
//! `PARLOUR_MEETINGS=17..30` plays the meetings of other seeds; a meeting that fails prints its seed and its steps. The steps
//! follow from the seed, but the moments at which packets arrive do not.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use common::relay::Relay;
use common::tables::History;
use common::*;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use parlour_tokio::{AudioOptions, AudioWriter, JoinOptions, Room, SampleRate, TransportChoice};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

/// The meetings that are played if nobody says otherwise.
const SEEDS: Range<u64> = 1..5;

/// A client has so long for each step: what it waits for may never come.
const STEP: Duration = Duration::from_secs(1);

const ROOMS: [&str; 2] = ["kitchen", "hall"];
/// The last of them comes at the end only.
const PEOPLE: [&str; 5] = ["anna", "ben", "carol", "dan", "eva"];
const GRANTS: [&[&str]; 5] = [
    &["participant"],
    &["participant"],
    &["subscribe"],
    &["participant", "moderator"],
    &[],
];

/// Somebody in a room, by their places in the lists above.
type Who = (usize, usize);

#[derive(Debug, Clone)]
enum Step {
    Join(Who, usize),
    /// Something that concerns the n-th of those that have joined, counted round and round.
    Of(usize, Deed),
    Ban(Who),
    Unban(Who),
    KickAll(usize),
    End(usize),
    Settings(usize, Value),
    Admit(usize),
    Delete(usize),
}

#[derive(Debug, Clone)]
enum Deed {
    Leave,
    /// As a device does that loses its power.
    Vanish,
    /// Its packets are lost from here until the end of the meeting, when it may come back.
    Cut,
    Publish(bool),
    Unpublish,
    Mute(bool),
    Attribute(&'static str),
    Floor(bool),
    Kick(bool),
    Censor(bool),
    Grant(usize),
    Stop,
    Revoke,
}

fn step() -> impl Strategy<Value = Step> {
    let room = || prop_oneof![3 => Just(0_usize), 1 => Just(1_usize)];
    let who = || (room(), 0..PEOPLE.len() - 1);
    let settings = prop_oneof![
        Just(json!({})),
        Just(json!({"title": "Green", "attributes": {"floor": "2"}})),
        Just(json!({"lobby": true})),
        Just(json!({"max_participants": 2})),
        Just(json!({"on_duplicate": "refuse"})),
        Just(json!({"state": "disabled"})),
        Just(json!({"empty_timeout_s": 1})),
    ];
    prop_oneof![
        16 => (who(), 0..GRANTS.len()).prop_map(|(who, grants)| Step::Join(who, grants)),
        30 => (0..8_usize, deed()).prop_map(|(nth, deed)| Step::Of(nth, deed)),
        1 => who().prop_map(Step::Ban),
        2 => who().prop_map(Step::Unban),
        1 => room().prop_map(Step::KickAll),
        1 => room().prop_map(Step::End),
        3 => (room(), settings).prop_map(|(room, settings)| Step::Settings(room, settings)),
        2 => room().prop_map(Step::Admit),
        1 => room().prop_map(Step::Delete),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => Just(Deed::Leave),
        1 => Just(Deed::Vanish),
        2 => Just(Deed::Cut),
        9 => any::<bool>().prop_map(Deed::Publish),
        2 => Just(Deed::Unpublish),
        4 => any::<bool>().prop_map(Deed::Mute),
        2 => prop_oneof![Just("up"), Just("")].prop_map(Deed::Attribute),
        1 => any::<bool>().prop_map(Deed::Floor),
        2 => any::<bool>().prop_map(Deed::Kick),
        3 => any::<bool>().prop_map(Deed::Censor),
        2 => (0..GRANTS.len()).prop_map(Deed::Grant),
        2 => Just(Deed::Stop),
        1 => Just(Deed::Revoke),
    ]
}

/// One who is, or was, in a room.
struct Guest {
    room: Room,
    streams: Vec<AudioWriter>,
    relay: Relay,
}

struct Meeting {
    api: Api,
    guests: BTreeMap<Who, Guest>,
    cut: Vec<Who>,
}

impl Meeting {
    /// Plays one step. Many are refused, as the meeting stands then: that is part of it.
    async fn play(&mut self, step: &Step) {
        let room = |room: &usize, rest: &str| format!("/v1/rooms/{}{rest}", ROOMS[*room]);
        let ban = |who: &Who| room(&who.0, &format!("/bans/{}", PEOPLE[who.1]));
        let (method, path, body) = match step {
            Step::Join(who, grants) => {
                self.join(*who, GRANTS[*grants]).await;
                return;
            }
            Step::Of(nth, deed) => {
                (self.guests).retain(|_, guest| guest.room.closed().now_or_never().is_none());
                let who = self
                    .guests
                    .keys()
                    .nth(nth % self.guests.len().max(1))
                    .copied();
                if let Some(who) = who {
                    self.play_of(who, deed).await;
                }
                return;
            }
            Step::KickAll(room) => {
                let all = json!({"participants": "all", "keep_out": false});
                self.in_session(Method::POST, *room, "/kick", all).await;
                return;
            }
            Step::End(room) => {
                self.in_session(Method::POST, *room, "/end", Value::Null)
                    .await;
                return;
            }
            Step::Ban(who) => (Method::PUT, ban(who), json!({"reason": "shouts"})),
            Step::Unban(who) => (Method::DELETE, ban(who), Value::Null),
            Step::Settings(of, settings) => (Method::PUT, room(of, ""), settings.clone()),
            Step::Admit(of) => (
                Method::POST,
                room(of, "/lobby/admit"),
                json!({"participants": "all"}),
            ),
            Step::Delete(of) => (Method::DELETE, room(of, ""), Value::Null),
        };
        self.api.call(method, &path, body).await;
    }

    /// Plays what concerns one guest.
    async fn play_of(&mut self, who: Who, deed: &Deed) {
        let id = PEOPLE[who.1];
        let Some(guest) = self.guests.get_mut(&who) else {
            return;
        };
        // A client that was removed refuses to do anything; one that was cut off may wait for ever.
        let done = timeout(STEP, async {
            match deed {
                Deed::Leave => guest.room.leave().await,
                Deed::Vanish | Deed::Cut => guest.relay.cut(true),
                Deed::Publish(muted) => {
                    let key = format!("mic{}", guest.streams.len());
                    let options = AudioOptions {
                        muted: *muted,
                        ..AudioOptions::opus_voice(SampleRate::Hz16000)
                    };
                    let published = guest.room.publish_audio(&key, options).await;
                    guest.streams.extend(published);
                }
                Deed::Unpublish => drop(guest.streams.pop()),
                Deed::Mute(muted) => {
                    if let Some(stream) = guest.streams.last() {
                        let _ = stream.set_muted(*muted).await;
                    }
                }
                Deed::Attribute(value) => drop(guest.room.set_attribute("hand", value).await),
                Deed::Floor(true) => drop(guest.room.request_floor().await),
                Deed::Floor(false) => drop(guest.room.release_floor().await),
                _ => {}
            }
        });
        let _ = done.await;
        let only = json!({"participants": [id]});
        let (method, what, body) = match deed {
            Deed::Leave | Deed::Vanish => {
                self.guests.remove(&who);
                return;
            }
            Deed::Cut => {
                self.cut.push(who);
                return;
            }
            Deed::Revoke => {
                let revoke = format!("/v1/rooms/{}/tokens/revoke", ROOMS[who.0]);
                self.api
                    .call(Method::POST, &revoke, json!({"participant": id}))
                    .await;
                return;
            }
            Deed::Kick(keep_out) => (
                Method::POST,
                "/kick".to_owned(),
                json!({"participants": [id], "keep_out": keep_out}),
            ),
            Deed::Censor(true) => (Method::POST, "/censor".to_owned(), only),
            Deed::Censor(false) => (Method::POST, "/uncensor".to_owned(), only),
            Deed::Grant(grants) => {
                let change = json!({"grants": GRANTS[*grants], "attributes": {"from": "above"}});
                (Method::PATCH, format!("/participants/{id}"), change)
            }
            Deed::Stop => (
                Method::DELETE,
                format!("/participants/{id}/streams/mic0"),
                Value::Null,
            ),
            _ => return,
        };
        self.in_session(method, who.0, &what, body).await;
    }

    /// Joins, also if the participant is in that room already: then it comes a second time.
    async fn join(&mut self, who: Who, grants: &[&str]) {
        let (room, participant) = (ROOMS[who.0], PEOPLE[who.1]);
        let body = json!({"participant": participant, "name": participant.to_uppercase(), "grants": grants});
        let tokens = format!("/v1/rooms/{room}/tokens");
        let (_, minted) = self.api.call(Method::POST, &tokens, body).await;
        let Some(ticket) = minted["ticket"].as_str() else {
            return;
        };
        let relay = Relay::to(ticket).await;
        let options = JoinOptions {
            transport: TransportChoice::Udp,
            wait_in_lobby: false,
            timeout: STEP,
            ..JoinOptions::default()
        };
        if let Ok(room) = Room::join_with(&relay.ticket, options).await {
            let streams = Vec::new();
            self.guests.insert(
                who,
                Guest {
                    room,
                    streams,
                    relay,
                },
            );
        }
    }

    /// Does something in the session of a room, if there is one.
    async fn in_session(&self, method: Method, room: usize, what: &str, body: Value) {
        let room = format!("/v1/rooms/{}", ROOMS[room]);
        let (_, room) = self.api.call(Method::GET, &room, Value::Null).await;
        if let Some(session) = room["active_session"].as_str() {
            let path = format!("/v1/sessions/{session}{what}");
            self.api.call(method, &path, body).await;
        }
    }

    /// Compares journal and tables in the middle of what goes on.
    async fn look(&self) -> Result<(), String> {
        History::read(&self.api.config).await.check(false)
    }

    /// Waits until something is told of the last one.
    async fn told_of_the_last(&self, kind: &str) {
        let is_of_it = |told: &Value| told["participant"] == PEOPLE[LAST.1];
        let events = format!("/v1/events?type={kind}");
        (self.api)
            .until(&events, |events| events.iter().any(is_of_it))
            .await;
    }

    /// Plays a meeting from its beginning until the server has ended.
    async fn whole(home: &Home, steps: &[Step]) -> Result<History, String> {
        let mut meeting = Self {
            api: home.serve().await,
            guests: BTreeMap::new(),
            cut: Vec::new(),
        };
        for step in steps.iter().chain(&last_steps()) {
            meeting.play(step).await;
            meeting.look().await?;
        }
        for deed in LAST_DEEDS {
            meeting.play_of(LAST, &deed).await;
            meeting.look().await?;
        }
        meeting.told_of_the_last("participant.reconnecting").await;
        meeting.look().await?;
        // Every other one of those that were cut off comes back, and the last one in any case.
        for who in meeting.cut.iter().rev().step_by(2) {
            if let Some(guest) = meeting.guests.get(who) {
                guest.relay.cut(false);
            }
        }
        meeting.told_of_the_last("participant.resumed").await;
        meeting.look().await?;
        let config = meeting.api.config.clone();
        meeting.api.stop().await;
        let history = History::read(&config).await;
        history.check(true)?;
        Ok(history)
    }
}

/// However the meeting went, somebody comes at its end, does most of what one can do, and is missed for a while.
const LAST: Who = (0, PEOPLE.len() - 1);
const LAST_DEEDS: [Deed; 12] = [
    Deed::Publish(false),
    Deed::Publish(true),
    Deed::Unpublish,
    Deed::Mute(true),
    Deed::Mute(false),
    Deed::Mute(true),
    Deed::Attribute("up"),
    Deed::Censor(true),
    Deed::Censor(false),
    Deed::Censor(true),
    Deed::Grant(0),
    Deed::Cut,
];

fn last_steps() -> [Step; 6] {
    [
        Step::Settings(1, json!({"title": "Hall"})),
        Step::Ban((1, 0)),
        Step::Unban((1, 0)),
        Step::Delete(1),
        Step::Settings(0, json!({})),
        Step::Join(LAST, 0),
    ]
}

fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var("PARLOUR_MEETINGS") else {
        return SEEDS;
    };
    let (first, end) = seeds
        .split_once("..")
        .expect("PARLOUR_MEETINGS is FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

fn steps(seed: u64) -> Vec<Step> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let steps = prop::collection::vec(step(), 60..100);
    steps.new_tree(&mut runner).unwrap().current()
}

/// All at once, as most of their time is silence.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_tells_all_that_the_tables_hold() {
    let mut homes = Vec::new();
    for seed in seeds() {
        homes.extend(Home::all().await.into_iter().map(|home| (seed, home)));
    }
    let meetings = homes.iter().map(async |(seed, home)| {
        let steps = steps(*seed);
        let played = Meeting::whole(home, &steps).await;
        played.unwrap_or_else(|wrong| panic!("seed {seed}\n{steps:#?}\n{wrong}"))
    });
    let histories = join_all(meetings).await;
    // The meetings are not empty: each kind of fact is in some of them.
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for told in histories.iter().flat_map(|history| &history.journal) {
        *count.entry(&told.kind).or_default() += 1;
    }
    println!("{count:?}");
    for kind in [
        "room.created",
        "room.updated",
        "room.deleted",
        "participant.joined",
        "participant.left",
        "participant.reconnecting",
        "participant.resumed",
        "participant.censored",
        "participant.uncensored",
        "participant.grants_changed",
        "participant.attribute_changed",
        "participant.banned",
        "participant.unbanned",
        "tokens.revoked",
        "stream.published",
        "stream.unpublished",
        "stream.muted",
        "stream.unmuted",
        "session.started",
        "session.ended",
    ] {
        assert!(count.contains_key(kind), "no {kind} in {count:?}");
    }
}
