//! A participant's work for one frame, and the server's for one tick of a room.

use std::hint::black_box;

use crate::Case;
use crate::room::Room;

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

/// With what it costs the talkers to seal their frames.
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
