//! How often a device's radio has to wake. docs/FIRMWARE.md shows [`TABLE`].

use core::fmt::Write as _;
use std::string::String;

use embassy_time::{Duration, Ticker};
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::Config as ClientConfig;
use parlour_core::server::{Config as Limits, Gather};

use super::sound::tone;
use super::world::{Party, World, mic};
use crate::{AudioCodec, Config};

/// Datagrams of one device in a minute, to two digits. A wake is a moment with datagrams, 5 ms or more after the one
/// before.
const TABLE: &str = "\
| the device, in a minute | sends | receives | wakes of the radio |
|---|---:|---:|---:|
| nobody talks, `keepalive` 4 s (the default) | 15 | 15 | 15 |
| nobody talks, `keepalive` 10 s | 6 | 6 | 6 |
| nobody talks, `keepalive` 30 s | 2 | 2 | 2 |
| one other talks | 30 | 3000 | 3000 |
| two others talk | 30 | 6000 | 6000 |
| two others talk, a window of 10 ms | 30 | 3000 | 3000 |
| three others talk, the device has two slots | 30 | 6000 | 6000 |
| three others talk, a window of 20 ms | 30 | 2300 | 2300 |
| it talks, G.711 | 3000 | 140 | 3000 |
| it talks for 5 s of each 20 | 770 | 51 | 770 |
| it talks and one other talks | 3000 | 3000 | 6000 |
";

/// Others are there at all times, and so do not change it.
#[derive(Clone, Copy, Default)]
struct Scene {
    keepalive: u64,
    gather: u64,
    /// So many others talk.
    talkers: u8,
    talks: bool,
    /// The seconds of talk in each 20 s; all of them if none are said.
    push_to_talk: Option<usize>,
}

/// 20 ms of sound every 20 ms, from a moment of its own; in the first `open` of each thousand.
async fn talk(party_room: crate::Room<'static>, after: Duration, open: usize) {
    let writer = party_room.publish_audio(mic(), AudioCodec::Pcmu, SampleRate::Hz16000);
    let mut writer = writer.unwrap();
    embassy_time::Timer::after(after).await;
    let mut ticks = Ticker::every(Duration::from_millis(20));
    for frame in 0.. {
        ticks.next().await;
        if frame % 1_000 < open {
            writer.write(&tone()).unwrap();
        } else {
            writer.silence();
        }
    }
}

impl Scene {
    /// Its length in seconds, and the step of time in milliseconds. With talk, all seconds are alike; without, nothing
    /// is so urgent.
    fn seconds_and_step(self) -> (u64, u64) {
        match (self.talks || self.talkers > 0, self.push_to_talk) {
            (false, _) => (60, 10),
            (true, Some(_)) => (20, 1),
            (true, None) => (10, 1),
        }
    }

    /// Datagrams sent and received in a minute, and wakes.
    fn minute(self) -> [u64; 3] {
        let gather = match self.gather {
            0 => Limits::default().gather,
            ms => Gather::Always(core::time::Duration::from_millis(ms)),
        };
        let keepalive = core::time::Duration::from_secs(self.keepalive);
        let mut world = World::with_limits(Limits {
            keepalive,
            // As much longer as ours are.
            silence: keepalive * 5 / 2,
            gather,
            ..Limits::default()
        });
        let config = Config {
            client: ClientConfig {
                keepalive,
                ..ClientConfig::default()
            },
            ..Config::default()
        };
        let names = ["device", "ben", "carl", "dora"];
        let parties: std::vec::Vec<Party> = (2..)
            .zip(names.into_iter().take(2 + usize::from(self.talkers)))
            .map(|(last, who)| {
                let party = world.party(last, who, config);
                party.join(&mut world).unwrap();
                party
            })
            .collect();
        let device = parties[0].room;
        if self.talks {
            let open = self.push_to_talk.map_or(1_000, |seconds| seconds * 50);
            world.spawn(talk(device, Duration::from_millis(0), open));
        }
        for (n, talker) in (1..).zip(&parties[1..]).take(self.talkers.into()) {
            world.spawn(talk(talker.room, Duration::from_millis(6 * n), 1_000));
        }
        let (seconds, step) = self.seconds_and_step();
        let counts = || {
            let statistics = device.with_client(|client| client.statistics());
            [statistics.sent.datagrams, statistics.received.datagrams]
        };
        world.pass(Duration::from_secs(2));
        let start = counts();
        let (mut before, mut quiet, mut wakes) = (start, 5, 0);
        for _ in 0..seconds * 1_000 / step {
            world.leap(Duration::from_millis(step));
            let now = counts();
            if now == before {
                quiet += step;
                continue;
            }
            wakes += u64::from(quiet >= 5);
            (before, quiet) = (now, 0);
        }
        [before[0] - start[0], before[1] - start[1], wakes].map(|count| count * 60 / seconds)
    }
}

/// To two digits: what more there is depends on the phases of the clocks.
fn rounded(count: u64) -> u64 {
    let unit = match count {
        0..100 => 1,
        100..1_000 => 10,
        _ => 100,
    };
    (count + unit / 2) / unit * unit
}

#[test]
fn the_radio_wakes_as_often_as_the_guide_says() {
    let silent = |keepalive| Scene {
        keepalive,
        ..Scene::default()
    };
    let talkers = |talkers, gather| Scene {
        talkers,
        gather,
        ..silent(4)
    };
    let mut table = String::new();
    for line in TABLE.lines().take(2) {
        writeln!(table, "{line}").unwrap();
    }
    for (what, scene) in [
        ("nobody talks, `keepalive` 4 s (the default)", silent(4)),
        ("nobody talks, `keepalive` 10 s", silent(10)),
        ("nobody talks, `keepalive` 30 s", silent(30)),
        ("one other talks", talkers(1, 0)),
        ("two others talk", talkers(2, 0)),
        ("two others talk, a window of 10 ms", talkers(2, 10)),
        ("three others talk, the device has two slots", talkers(3, 0)),
        ("three others talk, a window of 20 ms", talkers(3, 20)),
        (
            "it talks, G.711",
            Scene {
                talks: true,
                ..silent(4)
            },
        ),
        (
            "it talks for 5 s of each 20",
            Scene {
                talks: true,
                push_to_talk: Some(5),
                ..silent(4)
            },
        ),
        (
            "it talks and one other talks",
            Scene {
                talks: true,
                ..talkers(1, 0)
            },
        ),
    ] {
        let [sent, received, wakes] = scene.minute().map(rounded);
        writeln!(table, "| {what} | {sent} | {received} | {wakes} |").unwrap();
    }
    std::println!("{table}");
    assert_eq!(table, TABLE);
}
