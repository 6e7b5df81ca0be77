//! Cameras over ways that carry less than they film: sound goes first, then as many pictures as fit.

use std::fmt;

use parlour_core::client::Commands as _;
use parlour_core::server;
use parlour_core::signal::Outcome;
use parlour_core::time::{Duration, Instant};
use parlour_world::{Bottleneck, Filming, Handle, LinkConfig, Options, World, camera};

use crate::{key, ms, s, stream};

/// A way of 20 ms in each direction, on which datagrams wait for 300 ms at most.
const fn narrow(bits_per_second: u32) -> LinkConfig {
    LinkConfig {
        delay: ms(20),
        bottleneck: Some(Bottleneck {
            bits_per_second,
            queue: ms(300),
        }),
        ..LinkConfig::GOOD
    }
}

const WAY: LinkConfig = LinkConfig {
    delay: ms(20),
    ..LinkConfig::GOOD
};

/// Anna talks and films what Ben hears and watches.
struct Scene {
    world: World,
    anna: Handle,
    ben: Handle,
    began: Instant,
}

impl Scene {
    fn new(name: &'static str, filming: Filming) -> Self {
        Self::with_seed(name, filming, 1)
    }

    fn with_seed(name: &'static str, filming: Filming, seed: u64) -> Self {
        let mut world = World::with_seed(name, server::Config::default(), seed);
        let anna = Options {
            publish: vec![parlour_world::microphone("mic"), camera("camera")],
            ..Options::default().over(WAY)
        };
        let anna = world.joined("anna", anna);
        let ben = world.joined("ben", Options::default().over(WAY));
        let of_anna = stream("anna", "camera");
        let subscribed = world.ask(ben, |device| device.subscribe(&of_anna));
        assert_eq!(subscribed, Ok(Outcome::Done));
        let ssrc = world.device(anna).published_ssrc(&key("camera")).unwrap();
        world.watch(ben, ssrc);
        world.film(anna, "camera", filming, s(600));
        world.talk(anna, "mic", s(600));
        let began = world.now();
        Self {
            world,
            anna,
            ben,
            began,
        }
    }

    /// Lets time pass, and says what of it Ben saw and heard.
    fn run(&mut self, time: Duration) -> Noticed {
        let from = self.world.now();
        let filmed = self.world.cameras(self.anna)[0].taken;
        self.world.run_for(time);
        let filmed = self.world.cameras(self.anna)[0].taken - filmed;
        let shown: Vec<Instant> = self.world.watchers(self.ben)[0]
            .shown
            .iter()
            .filter(|shown| shown.at >= from)
            .map(|shown| shown.at)
            .collect();
        let mut times = vec![from];
        times.extend(&shown);
        times.push(self.world.now());
        let pauses = times.array_windows();
        let pauses = pauses.map(|[one, next]| next.saturating_duration_since(*one));
        let heard = self.world.heard(self.ben).iter();
        let heard = heard.filter(|frame| frame.at >= from);
        let mut late: Vec<Duration> = heard.map(|frame| frame.latency()).collect();
        late.sort_unstable();
        let expected = time.as_millis() as usize / 20;
        Noticed {
            at: from.saturating_duration_since(self.began),
            shown: shown.len() as f64 / f64::from(filmed.max(1)),
            rate: shown.len() as f64 / time.as_secs_f64(),
            pauses: pauses.collect(),
            lost: 1.0 - late.len() as f64 / expected as f64,
            p95: late[late.len() * 95 / 100],
            p99: late[late.len() * 99 / 100],
        }
    }
}

struct Noticed {
    at: Duration,
    /// The share of pictures filmed that were seen, and how many in a second.
    shown: f64,
    rate: f64,
    pauses: Vec<Duration>,
    /// The share of sound that did not come, and how late the rest was.
    lost: f64,
    p95: Duration,
    p99: Duration,
}

impl Noticed {
    fn longest(&self) -> Duration {
        self.pauses.iter().copied().max().unwrap()
    }
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "from {:?}: {:.1} % of pictures, {:.1}/s, longest pause {:?}; sound: {:.2} % lost, 95 % within {:?}, 99 % {:?}",
            self.at,
            self.shown * 100.0,
            self.rate,
            self.longest(),
            self.lost * 100.0,
            self.p95,
            self.p99
        )
    }
}

/// What is noticed at first, and once both ends know the way, which is as narrow as this between the server and Ben.
fn watched_over(bits_per_second: u32) -> [Noticed; 2] {
    let mut scene = Scene::new("watched_over", Filming::default());
    scene.world.set_link(scene.ben, narrow(bits_per_second));
    let noticed = [scene.run(s(5)), scene.run(s(40))];
    println!("down, {bits_per_second}: {}", noticed[0]);
    println!("down, {bits_per_second}: {}", noticed[1]);
    noticed
}

/// The same between Anna and the server.
fn filmed_over(bits_per_second: u32) -> [Noticed; 2] {
    let mut scene = Scene::new("filmed_over", Filming::default());
    scene.world.set_link(scene.anna, narrow(bits_per_second));
    let noticed = [scene.run(s(5)), scene.run(s(40))];
    println!("up, {bits_per_second}: {}", noticed[0]);
    println!("up, {bits_per_second}: {}", noticed[1]);
    noticed
}

#[test]
fn a_way_that_carries_all_is_not_thinned() {
    for noticed in [watched_over(2_000_000), filmed_over(2_000_000)] {
        let [_, later] = noticed;
        assert_eq!(later.shown, 1.0);
        assert!(later.lost.abs() < 0.001 && later.p99 <= ms(50));
    }
}

#[test]
fn a_watcher_behind_a_narrow_way_sees_fewer_pictures_and_hears_all() {
    let [first, later] = watched_over(466_000);
    assert!(first.lost <= 0.05, "{}", first.lost);
    assert!(later.rate >= 7.0 && later.longest() <= ms(500));
    assert!(later.lost <= 0.001 && later.p95 <= ms(150));
}

#[test]
fn a_watcher_whose_way_carries_no_pictures_hears_all() {
    for rate in [200_000, 100_000] {
        let [_, later] = watched_over(rate);
        assert!(later.lost <= 0.005, "{}", later.lost);
        assert!(later.rate <= 1.0, "{} pictures a second", later.rate);
    }
}

#[test]
fn who_films_over_a_narrow_way_films_less_and_is_heard() {
    for rate in [466_000, 233_000, 200_000] {
        let [_, later] = filmed_over(rate);
        assert!(later.rate >= 29.0 && later.longest() <= ms(100));
        assert!(later.lost <= 0.002 && later.p95 <= ms(120));
    }
}

#[test]
fn a_way_that_becomes_narrow_and_wide_again_is_followed() {
    let filming = Filming {
        bits_per_second: 1_500_000,
        key_len: 40_000,
        ..Filming::default()
    };
    let mut scene = Scene::new(
        "a_way_that_becomes_narrow_and_wide_again_is_followed",
        filming,
    );
    scene.world.set_link(scene.ben, narrow(3_000_000));
    println!("3 Mb/s: {}", scene.run(s(10)));
    scene.world.set_link(scene.ben, narrow(600_000));
    let fall = scene.run(s(2));
    println!("0.6 Mb/s: {fall}");
    let narrow_way = scene.run(s(18));
    println!("0.6 Mb/s: {narrow_way}");
    scene.world.set_link(scene.ben, narrow(3_000_000));
    println!("3 Mb/s: {}", scene.run(s(15)));
    let wide = scene.run(s(10));
    println!("3 Mb/s: {wide}");
    assert!(fall.lost * 2.0 <= 1.0, "{} of 2 s of sound", fall.lost);
    assert!(narrow_way.lost <= 0.001 && narrow_way.p95 <= ms(147));
    assert_eq!(wide.shown, 1.0);
}
