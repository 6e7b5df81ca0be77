//! A participant's work for one frame, and the server's for one tick of a room.

use std::hint::black_box;

use parlour_core::audio::codec::{AudioEncoder, SampleRate};
use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder, MAX_PAYLOAD};
use parlour_core::signal::SubscribePolicy;
use parlour_core::time::Duration;

use crate::Case;
use crate::room::Room;
use crate::sound::speech;

pub const CASES: &[Case] = &[
    Case {
        name: "client/send a frame",
        prepare: |_| {
            let mut room = Room::new(1, 1);
            let mut out = [0; 1_200];
            Box::new(move || {
                room.step();
                room.encode(0);
                let sent = room.clients[0].poll_transmit(room.now, &mut out);
                black_box(sent).expect("it fits").expect("there is a frame");
            })
        },
    },
    Case {
        name: "client/receive a frame",
        prepare: |count| {
            let mut room = Room::new(1, 1);
            let mut datagrams = Vec::new();
            for _ in 0..count {
                room.say(1);
                room.drain(|to, bytes| {
                    if to == 1 {
                        datagrams.push(bytes.to_vec());
                    }
                });
            }
            assert_eq!(datagrams.len() as u64, count);
            let mut datagrams = datagrams.into_iter();
            Box::new(move || {
                let mut datagram = datagrams.next().expect("one for each call");
                let mut frames = 0;
                room.clients[1]
                    .handle_datagram(room.now, &mut datagram, &mut |incoming| {
                        black_box(incoming);
                        frames += 1;
                    })
                    .expect("it is whole");
                assert_eq!(frames, 1);
            })
        },
    },
    Case {
        name: "server/forward 1 talker to 100",
        prepare: |_| forward(1),
    },
    Case {
        name: "server/forward 3 talkers to 100",
        prepare: |_| forward(3),
    },
    Case {
        name: "server/mix 3 talkers for 100 and themselves",
        prepare: |_| mix(SubscribePolicy::Mix),
    },
    Case {
        name: "server/mix 3 talkers for 100 and themselves, PCMU",
        prepare: |_| mix(SubscribePolicy::MixPcmu),
    },
    Case {
        name: "server/join a room of 1000",
        prepare: join,
    },
    Case {
        name: "server/idle poll of 1000 participants",
        prepare: |_| {
            let mut room = Room::new(0, 1_000);
            room.drain(|_, _| {});
            Box::new(move || {
                room.server.handle_timeout(room.now);
                black_box(room.server.poll_timeout());
                room.drain(|_, _| unreachable!("nothing has happened"));
            })
        },
    },
];

/// 500 joins a second: one join takes effect, and the others are told of it and acknowledge. Includes their cost of
/// reading and sealing, but not the handshake.
fn join(count: u64) -> Box<dyn FnMut()> {
    let mut room = Room::new(0, 1_000);
    let mut next = room.knock(count as usize);
    room.drain(|_, _| {});
    Box::new(move || {
        let before = room.server.statistics().joins;
        room.carry_from(next);
        next += 1;
        for told in room.deliver() {
            room.carry_from(told);
        }
        room.now += Duration::from_millis(2);
        room.server.handle_timeout(room.now);
        assert_eq!(room.server.statistics().joins, before + 1);
    })
}

/// Includes the talkers' cost of sealing their frames.
fn forward(talkers: usize) -> Box<dyn FnMut()> {
    let mut room = Room::new(talkers, 100);
    room.drain(|_, _| {});
    Box::new(move || {
        room.say(talkers);
        let mut datagrams = 0;
        room.drain(|_, bytes| {
            black_box(bytes);
            datagrams += 1;
        });
        assert!(datagrams >= 100);
    })
}

/// Talkers that also listen, and speech that can be decoded. Includes the talkers' cost of sealing it.
fn mix(policy: SubscribePolicy) -> Box<dyn FnMut()> {
    let mut encoder =
        FullbandEncoder::new(EncoderConfig::default()).expect("settings that it takes");
    let mut out = [0; MAX_PAYLOAD];
    let frames = speech(SampleRate::Hz16000, 400).into_iter().map(|frame| {
        let encoded = encoder.encode(&frame, &mut out).expect("whole frames");
        encoded.payload(&out).expect("no DTX").to_vec()
    });
    let mut room = Room::with(3, 100, policy, frames.collect());
    // Until the jitter buffers have filled, and all know who speaks.
    for _ in 0..50 {
        room.tick();
        room.say(3);
        room.exchange();
    }
    let before = room.server.statistics().mix_encoded;
    let mut ticks = 0;
    Box::new(move || {
        room.tick();
        room.say(3);
        let mut datagrams = 0;
        room.drain(|_, bytes| {
            black_box(bytes);
            datagrams += 1;
        });
        assert!(datagrams >= 100);
        ticks += 1;
        assert!(room.server.statistics().mix_encoded <= before + 4 * ticks);
    })
}
