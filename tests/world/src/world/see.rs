//! A test's views of the world.

use std::net::SocketAddr;

use parlour_core::client::{CloseCause, Event, RequestFailure};
use parlour_core::room::{Grants, ParticipantId, RoomId, Waiting};
use parlour_core::server;
use parlour_core::signal::{Outcome, RequestId};
use parlour_core::time::{Duration, Instant};

use super::World;
use crate::camera::{Camera, Watcher};
use crate::device::Device;
use crate::facts::Facts;
use crate::network::Datagram;
use crate::party::{Handle, Heard, Mixed, Received, Seen};

/// A datagram that was sent, whether or not it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// The time of sending.
    pub at: Instant,
    /// The datagram, with its sender and receiver.
    pub datagram: Datagram,
    /// The network lost it.
    pub is_lost: bool,
}

impl World {
    /// The world's time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time on the party's own clock.
    pub fn clock(&self, handle: Handle) -> Instant {
        self.parties[handle.0].clock(self.now)
    }

    /// The server's address.
    pub fn server_address(&self) -> SocketAddr {
        self.server_address
    }

    /// The party's address.
    pub fn address(&self, handle: Handle) -> SocketAddr {
        self.parties[handle.0].address
    }

    /// The party's participant id.
    pub fn id(&self, handle: Handle) -> ParticipantId {
        self.parties[handle.0].id()
    }

    /// The party's events, and their times.
    pub fn events(&self, handle: Handle) -> &[(Instant, Event)] {
        &self.parties[handle.0].events
    }

    /// Whether the party received such an event.
    pub fn saw(&self, handle: Handle, which: impl Fn(&Event) -> bool) -> bool {
        self.count_seen(handle, which) > 0
    }

    /// How often the party was told such a thing.
    pub fn count_seen(&self, handle: Handle, which: impl Fn(&Event) -> bool) -> usize {
        let events = self.parties[handle.0].events.iter();
        events.filter(|(_, event)| which(event)).count()
    }

    /// The result of the party's request; `None` if it is not known yet.
    ///
    /// # Panics
    /// If it was answered more than once.
    pub fn reply(
        &self,
        handle: Handle,
        request: RequestId,
    ) -> Option<Result<Outcome, RequestFailure>> {
        let mut replies = self
            .events(handle)
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Replied {
                    request: of,
                    result,
                } if *of == request => Some(*result),
                _ => None,
            });
        let reply = replies.next();
        assert_eq!(replies.next(), None, "answered twice");
        reply
    }

    /// Whether the party's device has power.
    pub fn is_on(&self, handle: Handle) -> bool {
        self.parties[handle.0].is_on
    }

    /// The reason that it is over for the party; `None` while it is not.
    pub fn closed(&self, handle: Handle) -> Option<CloseCause> {
        self.parties[handle.0].device.closed()
    }

    /// Forgets what the party was told, heard, saw and read so far.
    pub fn forget(&mut self, handle: Handle) {
        let party = &mut self.parties[handle.0];
        party.events.clear();
        party.heard.clear();
        party.mixed.clear();
        party.seen.clear();
        party.messages.clear();
    }

    /// Forgets what all parties saw and read so far.
    pub fn forget_messages(&mut self) {
        for party in &mut self.parties {
            party.seen.clear();
            party.messages.clear();
        }
    }

    /// The server's events, and their times.
    pub fn server_events(&self) -> &[(Instant, server::Event)] {
        &self.server_events
    }

    /// Frames of a mix that the party heard.
    pub fn mixed(&self, handle: Handle) -> &[Mixed] {
        &self.parties[handle.0].mixed
    }

    /// Frames of sound that the party heard.
    pub fn heard(&self, handle: Handle) -> &[Heard] {
        &self.parties[handle.0].heard
    }

    /// The numbers of the frames that `listener` heard from `talker`, in the order of arrival.
    pub fn heard_from(&self, listener: Handle, talker: Handle) -> Vec<u32> {
        let heard = self.heard(listener).iter();
        heard
            .filter(|frame| frame.talker() == talker)
            .map(|frame| frame.said.number)
            .collect()
    }

    /// Packets of video and screens that the party received.
    pub fn seen(&self, handle: Handle) -> &[Seen] {
        &self.parties[handle.0].seen
    }

    /// What the party saw of each stream that it looks at.
    pub fn watchers(&self, handle: Handle) -> &[Watcher] {
        &self.parties[handle.0].watchers
    }

    /// The party's cameras.
    pub fn cameras(&self, handle: Handle) -> &[Camera] {
        &self.parties[handle.0].cameras
    }

    /// Application messages that the party read.
    pub fn messages(&self, handle: Handle) -> &[Received] {
        &self.parties[handle.0].messages
    }

    /// Whether the party is in the session, as far as its device knows.
    pub fn is_joined(&self, handle: Handle) -> bool {
        self.parties[handle.0].device.is_joined()
    }

    /// The party's device, to look at.
    pub fn device_of(&self, handle: Handle) -> &Device {
        &self.parties[handle.0].device
    }

    /// The server, to look at, if it is running.
    pub fn running_server(&self) -> Option<&parlour_core::server::Server> {
        self.server.as_deref()
    }

    /// The contents of the party's replica.
    pub fn facts(&self, handle: Handle) -> Facts {
        self.parties[handle.0].device.facts()
    }

    /// The server's state of `room`; `None` if there is no session.
    pub fn authority(&self, room: &str) -> Option<Facts> {
        let room = RoomId::new(room).expect("a room id");
        let view = self.server.as_ref()?.room(&room)?;
        view.session.map(|(_, state)| Facts::of(state))
    }

    /// The ids of those in `room`, as the server says.
    pub fn present(&self, room: &str) -> Vec<String> {
        let facts = self.authority(room);
        let participants = facts.into_iter().flat_map(|facts| facts.participants);
        participants.map(|(id, _)| id.as_str().to_owned()).collect()
    }

    /// The waiting participants, as far as the party may know.
    pub fn waiting_for(&self, handle: Handle) -> Vec<Waiting> {
        let party = &self.parties[handle.0];
        let room = RoomId::new(&party.options.room).expect("a room id");
        let may_know = party.device.grants().contains(Grants::ADMIT);
        let server = self.server.as_ref().filter(|_| may_know);
        let waiting = server.into_iter().flat_map(|server| server.waiting(&room));
        waiting.cloned().collect()
    }

    /// Whether the party knows of the lobby as much as the server intends.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check_lobby(&self, handle: Handle) -> Result<(), String> {
        let party = &self.parties[handle.0];
        let waiting = self.waiting_for(handle);
        let known = party.device.lobby();
        let first = waiting.iter().take(party.device.places_for_waiting());
        if known.waiting.iter().eq(first) && known.count as usize == waiting.len() {
            return Ok(());
        }
        Err(format!("{}: {known:#?}\nlobby: {waiting:#?}", party.id()))
    }

    /// Whether the party's replica, and its knowledge of the lobby, are as the server intends.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check_replica(&self, handle: Handle) -> Result<(), String> {
        self.check_room(handle)?;
        self.check_lobby(handle)
    }

    /// Whether the party's replica is as the server intends.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check_room(&self, handle: Handle) -> Result<(), String> {
        let party = &self.parties[handle.0];
        let authority = self
            .authority(&party.options.room)
            .ok_or("there is no session")?;
        let capacity = party.device.capacity();
        party
            .device
            .facts()
            .check_against(&authority, &party.id(), capacity)
    }

    /// Lets up to `limit` pass until all of `handles` see the room as the server does.
    ///
    /// # Panics
    /// If they do not.
    pub fn run_until_agreed(&mut self, handles: &[Handle], limit: Duration) {
        let check = |world: &Self| {
            let mut checks = handles.iter().map(|handle| world.check_replica(*handle));
            checks.find_map(Result::err)
        };
        let end = self.now + limit;
        while let Some(wrong) = check(self) {
            assert!(self.now < end, "no agreement within {limit:?}: {wrong}");
            self.run_for(Duration::from_millis(50));
        }
    }

    /// The datagrams sent so far, the latest 50,000 of them at most.
    pub fn history(&self) -> &[Crossing] {
        &self.history
    }

    /// Forgets them.
    pub fn forget_history(&mut self) {
        self.history.clear();
    }

    pub(super) fn record(&mut self, datagram: Datagram, is_lost: bool) {
        if self.history.len() >= self.history_limit {
            self.history.drain(..self.history_limit / 2);
        }
        self.history.push(Crossing {
            at: self.now,
            datagram,
            is_lost,
        });
    }

    /// Datagrams that arrived where nobody is.
    pub fn strays(&self) -> &[(Instant, Datagram)] {
        &self.strays
    }

    /// The state of things, for people who read why a test failed.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("at {} µs:\n", self.now.as_micros());
        for party in &self.parties {
            let events = party.events.iter().rev().take(12);
            let events: Vec<_> = events
                .map(|(at, event)| format!("      {:>10} {event:?}", at.as_micros()))
                .collect();
            text += &format!(
                "  {} joined: {} heard: {} unsaid: {} next: {:?}\n{}\n",
                party.name,
                party.device.is_joined(),
                party.heard.len(),
                party.unsaid,
                party.poll_timeout().map(Instant::as_micros),
                events.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        let next = self.server.as_ref().map(|server| server.poll_timeout());
        text += &format!("  server next: {next:?}, {:?}\n", self.server_clock);
        let events = self.server_events.iter().rev().take(12).rev();
        for (at, event) in events {
            text += &format!("      {:>10} {event:?}\n", at.as_micros());
        }
        text
    }
}
