//! Pictures from one participant to another.

use super::*;

/// A VP8 frame as far as the header tells, 5 packets long.
fn picture(is_key: bool, number: u8) -> Vec<u8> {
    let mut bytes = vec![number; 4_500];
    match is_key {
        true => bytes[..10].copy_from_slice(&[0x10, 0, 0, 0x9D, 0x01, 0x2A, 64, 0, 64, 0]),
        false => bytes[0] = 0x11,
    }
    bytes
}

struct Film {
    world: World,
    anna: usize,
    ben: usize,
    timestamp: u32,
}

impl Film {
    fn new() -> Self {
        let mut world = World::new();
        let (anna, ben) = (world.join("anna"), world.join("ben"));
        let publish =
            json!({ "type": "publishPictures", "key": "camera", "kind": "video", "codec": "vp8" });
        world.command(anna, publish).unwrap();
        let participant = &mut world.nodes[anna].participant;
        participant.film("camera", "vp8", 700_000, false).unwrap();
        world.run(100);
        let mut film = Self {
            world,
            anna,
            ben,
            timestamp: 4_000_000_000,
        };
        film.watch();
        film
    }

    fn watch(&mut self) {
        let watcher = &mut self.world.nodes[self.ben].participant;
        watcher.view(7, "anna", "camera", false).unwrap();
        let stream = json!({ "participant": "anna", "key": "camera" });
        let subscribe = json!({ "type": "subscribe", "stream": stream });
        self.world.command(self.ben, subscribe).unwrap();
        self.world.run(100);
    }

    /// Sends a picture, and gives what is seen of it after so many ms.
    fn send(&mut self, bytes: &[u8], ms: u32) -> Vec<Arrived> {
        self.timestamp = self.timestamp.wrapping_add(3_000);
        let now = self.world.now;
        let publisher = &mut self.world.nodes[self.anna].participant;
        publisher.send_picture(now, "camera", self.timestamp, 0, false, bytes);
        self.world.run(ms);
        let watcher = &mut self.world.nodes[self.ben].participant;
        std::iter::from_fn(|| watcher.poll_picture(self.world.now, 7)).collect()
    }

    fn is_key_wanted(&mut self) -> bool {
        let publisher = &mut self.world.nodes[self.anna].participant;
        publisher.take_key_wanted(self.world.now, "camera")
    }
}

#[test]
fn pictures_come_as_they_were_sent() {
    let mut film = Film::new();
    let mut times = Vec::new();
    for number in 0..20 {
        let bytes = picture(number == 0, number);
        let seen = film.send(&bytes, 120);
        let [arrived] = &seen[..] else {
            panic!("{number}: {}", seen.len());
        };
        assert_eq!(
            (arrived.codec(), arrived.is_key(), arrived.bytes()),
            ("vp8".to_owned(), number == 0, bytes)
        );
        times.push(arrived.timestamp());
    }
    let steps = times.windows(2).map(|pair| (pair[1] - pair[0]).round());
    assert!(steps.into_iter().all(|step| step == 33_333.0), "{times:?}");
}

#[test]
fn who_comes_later_asks_for_a_key_picture_and_so_does_a_decoder_that_failed() {
    let mut film = Film::new();
    film.send(&picture(true, 0), 120);
    film.world.nodes[film.ben].participant.unwatch(7);
    film.world.run(500);
    film.is_key_wanted();
    film.watch();
    assert!(film.send(&picture(false, 1), 300).is_empty());
    film.world.run(200);
    assert!(film.is_key_wanted());
    assert_eq!(film.send(&picture(true, 2), 120).len(), 1);
    film.world.run(500);
    // A request that crossed the key picture.
    film.is_key_wanted();
    film.world.nodes[film.ben].participant.request_key(7);
    // It is asked for when the next picture is looked for.
    assert!(film.send(&picture(false, 3), 100).is_empty());
    film.world.run(400);
    assert!(film.is_key_wanted());
}

#[test]
fn nothing_is_due_while_a_stream_is_muted() {
    let mut film = Film::new();
    film.send(&picture(true, 0), 120);
    let mute = json!({ "type": "setMuted", "key": "camera", "muted": true });
    film.world.command(film.anna, mute).unwrap();
    assert!(film.send(&picture(false, 1), 200).is_empty());
    let now = film.world.now;
    let publisher = &mut film.world.nodes[film.anna].participant;
    assert_eq!(publisher.poll_transmit(now), 0);
    assert!(publisher.poll_timeout() > now);
    assert!(!publisher.is_busy("camera", true));
    publisher.close_pictures("camera");
    assert!(!publisher.send_picture(now, "camera", 0, 0, false, &picture(true, 2)));
}

#[test]
fn what_is_no_codec_or_no_name_is_refused() {
    let mut film = Film::new();
    let publisher = &mut film.world.nodes[film.anna].participant;
    let code = |result: Result<(), Error>| result.unwrap_err().code;
    assert_eq!(
        code(publisher.film("camera", "opus", 1, false)),
        "invalidArgument"
    );
    assert_eq!(code(publisher.film("", "vp8", 1, false)), "invalidArgument");
    assert_eq!(
        code(publisher.view(1, "", "camera", false)),
        "invalidArgument"
    );
}
