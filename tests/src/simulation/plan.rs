//! The plan of a meeting: data, made before anything runs.

use std::collections::BTreeSet;
use std::fmt;

use parlour_core::room::Codec;
use parlour_core::signal::SubscribePolicy;
use parlour_core::time::Duration;

use crate::network::LinkConfig;
use crate::party::Options;

/// A meeting: the people, and the steps with their times.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From which all of it was made, and from which the network's accidents follow.
    pub seed: u64,
    /// The time in which steps happen. Then the network heals, and everything is checked once more.
    pub length: Duration,
    /// Most participants in a room.
    pub room_limit: usize,
    /// The server mixes for participants that ask for it.
    pub mixes: bool,
    /// People have cameras.
    pub films: bool,
    /// How microphones are coded.
    pub codec: Codec,
    /// By how many millionths the server's clock runs fast.
    pub server_drift: u32,
    /// The people, each with the options that it joins with.
    pub people: Vec<Options>,
    /// The steps, in the order of time.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its place in the whole plan, whatever was left out.
    pub number: usize,
    /// The time of the step.
    pub at: Duration,
    /// The operation.
    pub op: Op,
}

/// The operations. People are numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// One joins, unless it is there.
    Join(usize),
    /// One leaves.
    Leave(usize),
    /// One loses its power.
    Crash(usize),
    /// One talks for a time, so loud (-dBov).
    Talk(usize, Duration, u8),
    /// One mutes its microphone, or unmutes it.
    Mute(usize, bool),
    /// One publishes its microphone.
    Publish(usize),
    /// One no longer publishes it.
    Unpublish(usize),
    /// One shares its screen, or no longer does.
    Screen(usize, bool),
    /// One turns its camera on, and films for a time.
    Film(usize, Duration),
    /// One turns its camera off.
    CameraOff(usize),
    /// One wants to see another's camera, or not.
    Watch(usize, usize, bool),
    /// One wants to hear another, or not.
    Subscribe(usize, usize, bool),
    /// One chooses whom to hear.
    Policy(usize, SubscribePolicy),
    /// One pins another, or nobody.
    Pin(usize, Option<usize>),
    /// One writes to all, reliably or not.
    Message(usize, bool),
    /// One asks for the floor, or gives it back.
    Floor(usize, bool),
    /// One removes another.
    Kick(usize, usize),
    /// One silences another, or lifts that.
    Censor(usize, usize, bool),
    /// One participant admits another that waits, or turns it away.
    Admit(usize, usize, bool),
    /// One ends the session for all.
    EndSession(usize),
    /// One shows a newer token.
    Refresh(usize),
    /// One is cut off the network for a time.
    Partition(usize, Duration),
    /// Only short datagrams get through to and from one for a time.
    NarrowPath(usize, Duration, usize),
    /// One's network changes.
    Link(usize, Box<LinkConfig>),
    /// One's address changes without its notice.
    Rebind(usize),
    /// One changes its socket.
    NewSocket(usize),
    /// One's radio takes nothing for a time.
    BusyRadio(usize, Duration),
    /// One's device sleeps for a time, which its clock counts or not.
    Sleep(usize, Duration, bool),
    /// All are cut off the network for a time, and come back at once.
    Storm(Duration),
    /// Nothing gets to or from the first or second address of the server for a time.
    CutAddress(usize, Duration),
    /// The server goes down without a word, and comes back after a time.
    Restart(Duration),
    /// An attacker repeats this many recorded datagrams, from their original addresses.
    Replay(u32),
    /// An attacker releases this many datagrams that it held back.
    Release(u32),
    /// An attacker sends this many recorded datagrams from other addresses.
    Spoof(u32),
    /// The same from where they came, with a few bits of each flipped.
    Flip(u32),
    /// An attacker sends this many recorded and made-up Hellos from other addresses.
    Hellos(u32),
    /// The application records the session of the green room, or no longer does.
    Record(bool),
}

impl Op {
    /// The people concerned.
    pub fn people(&self) -> Vec<usize> {
        match *self {
            Self::Join(one)
            | Self::Leave(one)
            | Self::Crash(one)
            | Self::Talk(one, ..)
            | Self::Mute(one, _)
            | Self::Publish(one)
            | Self::Unpublish(one)
            | Self::Screen(one, _)
            | Self::Film(one, _)
            | Self::CameraOff(one)
            | Self::Policy(one, _)
            | Self::Pin(one, None)
            | Self::Message(one, _)
            | Self::Floor(one, _)
            | Self::EndSession(one)
            | Self::Refresh(one)
            | Self::Partition(one, _)
            | Self::NarrowPath(one, ..)
            | Self::Link(one, _)
            | Self::Rebind(one)
            | Self::NewSocket(one)
            | Self::BusyRadio(one, _)
            | Self::Sleep(one, ..) => vec![one],
            Self::Subscribe(one, other, _)
            | Self::Watch(one, other, _)
            | Self::Pin(one, Some(other))
            | Self::Kick(one, other)
            | Self::Censor(one, other, _)
            | Self::Admit(one, other, _) => vec![one, other],
            Self::Storm(_)
            | Self::CutAddress(..)
            | Self::Restart(_)
            | Self::Replay(_)
            | Self::Release(_)
            | Self::Spoof(_)
            | Self::Flip(_)
            | Self::Hellos(_)
            | Self::Record(_) => Vec::new(),
        }
    }
}

/// A part of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these people; `None`: all.
    pub people: Option<BTreeSet<usize>>,
    /// Only these steps; `None`: all.
    pub keep: Option<BTreeSet<usize>>,
    /// Only until then.
    pub until: Option<Duration>,
}

impl Plan {
    /// The part that `selection` names. People keep their numbers.
    #[must_use]
    pub fn select(&self, selection: &Selection) -> Self {
        let mut plan = self.clone();
        plan.length = selection
            .until
            .map_or(self.length, |until| until.min(self.length));
        let chosen = |of: &Option<BTreeSet<usize>>, number: usize| {
            of.as_ref().is_none_or(|chosen| chosen.contains(&number))
        };
        plan.steps.retain(|step| {
            step.at <= plan.length
                && chosen(&selection.keep, step.number)
                && (step.op.people().iter()).all(|one| chosen(&selection.people, *one))
        });
        plan
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        write!(f, "{:>5} {at:>9.3} s  {:?}", self.number, self.op)
    }
}

impl fmt::Display for Selection {
    /// As arguments of the command `simulate`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |of: &BTreeSet<usize>| {
            let numbers: Vec<_> = of.iter().map(ToString::to_string).collect();
            numbers.join(",")
        };
        if let Some(people) = &self.people {
            write!(f, " --people {}", list(people))?;
        }
        if let Some(keep) = &self.keep {
            write!(f, " --keep {}", list(keep))?;
        }
        if let Some(until) = self.until {
            write!(f, " --until {}", until.as_secs_f64())?;
        }
        Ok(())
    }
}
