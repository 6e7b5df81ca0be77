//! Drivers of every kind, and drivers that fail.

use core::ops::ControlFlow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec::Vec;

use embassy_time::{Duration, Instant, Timer};
use parlour_core::audio::codec::SampleRate;
use parlour_core::client::Event;

use super::sound::{loudest, tone};
use super::world::{Party, World, mic};
use crate::{
    AudioCodec, AudioIn, AudioOut, Config, Duplex, G711, NoEchoCanceller, RateMismatch, SoundEvent,
    TalkGate, WriteError,
};

const SIX_SECONDS: Duration = Duration::from_secs(6);

/// A driver whose transfer begins when it is awaited: nothing goes on in between.
#[derive(Clone)]
struct OneShot {
    /// The time of a transfer.
    takes: Duration,
    rate: SampleRate,
    /// The ends of its transfers.
    done: Rc<RefCell<Vec<Instant>>>,
    /// Transfers fail.
    broken: Rc<Cell<bool>>,
    /// So do attempts to start it anew.
    dead: Rc<Cell<bool>>,
    /// Transfers begin, and do not end.
    hangs: Rc<Cell<bool>>,
    restarts: Rc<Cell<usize>>,
    loudest: Rc<Cell<i16>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken;

impl OneShot {
    fn new() -> Self {
        Self {
            takes: Duration::from_millis(20),
            rate: SampleRate::Hz16000,
            done: Rc::default(),
            broken: Rc::default(),
            dead: Rc::default(),
            hangs: Rc::default(),
            restarts: Rc::default(),
            loudest: Rc::default(),
        }
    }

    /// It fails, and does not start anew; or it works again.
    fn set_dead(&self, dead: bool) {
        self.dead.set(dead);
        self.broken.set(dead);
    }

    fn frames(&self) -> usize {
        self.done.borrow().len()
    }

    async fn transfer(&self) -> Result<(), Broken> {
        if self.broken.get() {
            return Err(Broken);
        }
        if self.hangs.get() {
            core::future::pending::<()>().await;
        }
        Timer::after(self.takes).await;
        self.done.borrow_mut().push(Instant::now());
        Ok(())
    }

    fn start_anew(&self) -> Result<(), Broken> {
        self.restarts.set(self.restarts.get() + 1);
        if self.dead.get() {
            return Err(Broken);
        }
        self.broken.set(false);
        Ok(())
    }
}

impl AudioIn for OneShot {
    type Error = Broken;
    fn sample_rate(&self) -> SampleRate {
        self.rate
    }
    async fn read(&mut self, frame: &mut [i16]) -> Result<(), Broken> {
        frame.copy_from_slice(&tone());
        self.transfer().await
    }
    async fn restart(&mut self) -> Result<(), Broken> {
        self.start_anew()
    }
}

impl AudioOut for OneShot {
    type Error = Broken;
    fn sample_rate(&self) -> SampleRate {
        self.rate
    }
    async fn write(&mut self, frame: &[i16]) -> Result<(), Broken> {
        let peak = frame.iter().copied().max().unwrap();
        self.loudest.set(peak.max(self.loudest.get()));
        self.transfer().await
    }
    async fn restart(&mut self) -> Result<(), Broken> {
        self.start_anew()
    }
}

/// Remembers when it was asked.
#[derive(Clone, Default)]
struct Watched {
    asked: Rc<RefCell<Vec<Instant>>>,
    /// Of each twenty frames it is closed for ten.
    pauses: Rc<Cell<bool>>,
}

impl TalkGate for Watched {
    fn is_open(&mut self, _microphone: &[i16]) -> bool {
        let mut asked = self.asked.borrow_mut();
        asked.push(Instant::now());
        !self.pauses.get() || asked.len() % 20 < 10
    }
}

type Told = Rc<RefCell<Vec<SoundEvent<Broken, Broken>>>>;

/// A telephone in the hands of `party`, and what it was told so far.
struct Telephone {
    microphone: OneShot,
    loudspeaker: OneShot,
    gate: Watched,
    told: Told,
    /// How it ended, if it did.
    ended: Rc<Cell<Option<Result<(), RateMismatch>>>>,
    polls: Rc<Cell<usize>>,
}

/// It is put down when it was told `patience` things.
fn talk(
    world: &mut World,
    party: &Party,
    microphone: OneShot,
    loudspeaker: OneShot,
    patience: usize,
) -> Telephone {
    let gate = Watched::default();
    let (told, ended) = (Told::default(), Rc::new(Cell::new(None)));
    let room = party.room;
    let writer = room.publish_audio(mic(), AudioCodec::Pcmu, SampleRate::Hz16000);
    let mut duplex = Duplex::<_, _, _, _, _, 320> {
        microphone: microphone.clone(),
        loudspeaker: loudspeaker.clone(),
        echo_canceller: NoEchoCanceller,
        gate: gate.clone(),
        writer: writer.unwrap(),
        reader: room.mixed_audio(),
    };
    let (telling, ending) = (told.clone(), ended.clone());
    let polls = world.spawn(async move {
        let result = duplex.run_with(|event| {
            telling.borrow_mut().push(event);
            match telling.borrow().len() < patience {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        ending.set(Some(result.await));
    });
    Telephone {
        microphone,
        loudspeaker,
        gate,
        told,
        ended,
        polls,
    }
}

#[test]
fn drivers_without_a_buffer_lose_no_frame() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    let telephone = talk(
        &mut world,
        &anna,
        OneShot::new(),
        OneShot::new(),
        usize::MAX,
    );
    world.pass(SIX_SECONDS);
    // One more tick is a transfer's, as its end is waited for.
    let (said, heard) = (
        telephone.microphone.frames(),
        telephone.loudspeaker.frames(),
    );
    std::println!("{said} frames said, {heard} heard, of 300");
    assert!((299..=300).contains(&said), "{said}");
    assert!((299..=300).contains(&heard), "{heard}");
    assert_eq!(anna.room.sound_statistics(), Default::default());
    assert!(telephone.told.borrow().is_empty() && telephone.ended.get().is_none());
}

#[test]
fn frames_that_come_late_are_counted_and_told() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    let slow = OneShot {
        takes: Duration::from_millis(40),
        ..OneShot::new()
    };
    let telephone = talk(&mut world, &anna, OneShot::new(), slow, usize::MAX);
    world.pass(SIX_SECONDS);
    assert!((149..=150).contains(&telephone.loudspeaker.frames()));
    let late = anna.room.sound_statistics().late;
    assert!((147..=150).contains(&late), "{late}");
    let told = telephone.told.borrow();
    assert!(
        told.iter()
            .all(|event| *event == SoundEvent::Late { frames: 1 })
    );
    assert_eq!(told.len(), late as usize);
}

#[test]
fn what_the_microphone_has_said_goes_out_in_the_same_moment() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    // A loudspeaker that takes its frame later than the microphone gives one.
    let loudspeaker = OneShot {
        takes: Duration::from_millis(25),
        ..OneShot::new()
    };
    let telephone = talk(&mut world, &anna, OneShot::new(), loudspeaker, usize::MAX);
    world.pass(SIX_SECONDS);
    let said = telephone.microphone.done.borrow();
    let gated = telephone.gate.asked.borrow();
    assert!(said.len() > 200);
    assert_eq!(*said, *gated);
}

#[test]
fn a_microphone_that_fails_is_started_anew_and_the_loudspeaker_plays_on() {
    let mut world = World::new();
    let (anna, ben) = world.two::<G711>();
    let telephone = talk(
        &mut world,
        &anna,
        OneShot::new(),
        OneShot::new(),
        usize::MAX,
    );
    let Telephone {
        microphone,
        loudspeaker,
        told,
        ..
    } = &telephone;
    world.pass(Duration::from_secs(1));
    // Once, as when a ring has overflowed: one frame is lost.
    let (said, heard) = (microphone.frames(), loudspeaker.frames());
    microphone.broken.set(true);
    world.pass(Duration::from_secs(1));
    assert!((48..=50).contains(&(microphone.frames() - said)));
    assert!((49..=50).contains(&(loudspeaker.frames() - heard)));
    assert_eq!(microphone.restarts.get(), 1);
    let once = [
        SoundEvent::MicrophoneFailed(Broken),
        SoundEvent::MicrophoneRecovered,
    ];
    assert_eq!(*told.borrow(), once);

    // For a minute, as when its cable is loose.
    microphone.set_dead(true);
    let heard = loudspeaker.frames();
    world.pass(Duration::from_secs(57));
    assert!(loudest(&mut world, &ben, &anna) > 6_000, "she hears");
    // At once, after 20 ms, and so on; from 2.5 s on every two seconds.
    let restarts = microphone.restarts.get();
    assert!((34..=37).contains(&restarts), "{restarts}");
    world.pass(Duration::from_secs(2));
    let heard = loudspeaker.frames() - heard;
    assert!((2_990..=3_000).contains(&heard), "{heard}");
    microphone.set_dead(false);
    world.pass(Duration::from_secs(2));
    assert_eq!(told.borrow().last(), Some(&SoundEvent::MicrophoneRecovered));
    let said = microphone.frames();
    world.pass(Duration::from_secs(1));
    assert!((49..=50).contains(&(microphone.frames() - said)));
    let counts = anna.room.sound_statistics();
    assert_eq!((counts.late, counts.loudspeaker_failures), (0, 0));
    assert!(telephone.ended.get().is_none());
}

#[test]
fn when_both_have_failed_nothing_spins_and_both_come_back() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    let telephone = talk(
        &mut world,
        &anna,
        OneShot::new(),
        OneShot::new(),
        usize::MAX,
    );
    let Telephone {
        microphone,
        loudspeaker,
        polls,
        ..
    } = &telephone;
    let both = [microphone, loudspeaker];
    for driver in both {
        driver.set_dead(true);
    }
    world.pass(Duration::from_secs(1));
    let before = polls.get();
    world.pass(Duration::from_secs(60));
    let polls = polls.get() - before;
    // One for each 20 ms, and some for the clock's ticks.
    assert!((2_900..=6_200).contains(&polls), "{polls}");
    let counts = anna.room.sound_statistics();
    for failures in [counts.microphone_failures, counts.loudspeaker_failures] {
        assert!((36..=42).contains(&failures), "{failures}");
    }
    both.iter().for_each(|driver| driver.dead.set(false));
    world.pass(Duration::from_secs(3));
    let frames = both.map(OneShot::frames);
    world.pass(Duration::from_secs(1));
    for (driver, before) in both.iter().zip(frames) {
        assert!((49..=50).contains(&(driver.frames() - before)));
    }
}

#[test]
fn a_driver_that_hangs_is_started_anew_and_the_other_goes_on() {
    for microphone_hangs in [true, false] {
        let mut world = World::new();
        let (anna, _ben) = world.two::<G711>();
        let telephone = talk(
            &mut world,
            &anna,
            OneShot::new(),
            OneShot::new(),
            usize::MAX,
        );
        let both = [&telephone.microphone, &telephone.loudspeaker];
        let ([stuck, other], stalled, recovered) = match microphone_hangs {
            true => (
                both,
                SoundEvent::MicrophoneStalled,
                SoundEvent::MicrophoneRecovered,
            ),
            false => (
                [both[1], both[0]],
                SoundEvent::LoudspeakerStalled,
                SoundEvent::LoudspeakerRecovered,
            ),
        };
        world.pass(Duration::from_secs(1));
        stuck.hangs.set(true);
        let before = other.frames();
        world.pass(Duration::from_secs(60));
        // In the end, 300 ms of each 2.3 s are lost.
        let frames = other.frames() - before;
        assert!((2_500..=2_700).contains(&frames), "{frames}");
        let counts = anna.room.sound_statistics();
        let failures = counts.microphone_failures + counts.loudspeaker_failures;
        assert!((28..=34).contains(&failures), "{failures}");
        let told = telephone.told.borrow().clone();
        let stalls = told.iter().filter(|event| **event == stalled).count();
        assert_eq!(stalls, failures as usize);
        assert!(!told.contains(&recovered));

        stuck.hangs.set(false);
        world.pass(Duration::from_secs(3));
        assert!(telephone.told.borrow().contains(&recovered));
        let before = stuck.frames();
        world.pass(Duration::from_secs(1));
        assert!((49..=50).contains(&(stuck.frames() - before)));
        assert!(telephone.ended.get().is_none());
    }
}

#[test]
fn who_may_not_publish_hears_and_is_told_once() {
    let mut world = World::new();
    let listener = world.party(2, "listener", Config::default());
    let ben = world.party(3, "ben", Config::default());
    let telephone = talk(
        &mut world,
        &listener,
        OneShot::new(),
        OneShot::new(),
        usize::MAX,
    );
    // As a button does: each time it is pressed, the cause is the same.
    telephone.gate.pauses.set(true);
    listener.join(&mut world).unwrap();
    listener.wait(&mut world, |event| {
        matches!(event, Event::PublishRefused { .. })
    });
    ben.join(&mut world).unwrap();
    loudest(&mut world, &ben, &ben);
    world.pass(SIX_SECONDS);
    assert!(telephone.loudspeaker.loudest.get() > 6_000);
    assert_eq!(
        *telephone.told.borrow(),
        [SoundEvent::NotSent(WriteError::NotPublished)]
    );
    assert!(listener.room.sound_statistics().not_sent > 40);
}

#[test]
fn a_telephone_ends_when_it_is_told_to() {
    let mut world = World::new();
    let (anna, _ben) = world.two::<G711>();
    let microphone = OneShot::new();
    microphone.set_dead(true);
    let telephone = talk(&mut world, &anna, microphone, OneShot::new(), 5);
    world.pass(Duration::from_secs(10));
    assert_eq!(telephone.ended.get(), Some(Ok(())));
    assert_eq!(anna.room.sound_statistics().microphone_failures, 5);

    let wrong = OneShot {
        rate: SampleRate::Hz8000,
        ..OneShot::new()
    };
    let telephone = talk(&mut world, &anna, wrong, OneShot::new(), usize::MAX);
    world.pass(Duration::from_millis(1));
    assert_eq!(telephone.ended.get(), Some(Err(RateMismatch)));
}
