//! Time: due work happens, then the clock jumps to the next timeout.

use std::net::SocketAddr;

use parlour_core::client::Incoming;
use parlour_core::server::{Event, Path};
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;

use super::{REFILL, Socket, World};
use crate::camera::Watcher;
use crate::network::{Arrival, Datagram};
use crate::party::{Handle, Heard, Mixed, Received, Seen};
use crate::token::{self, Token};
use crate::voice::{FRAME, Utterance};

/// Datagrams that the server takes before it gives any out, as one that receives in batches does.
const BATCH: usize = 64;
/// Rounds of inputs and outputs at one instant before the world counts as not coming to rest.
const MAX_ROUNDS: u32 = 1_000;
/// Instants in a second of the world before it counts as not coming to rest.
const MAX_STEPS_PER_SECOND: u32 = 50_000;

impl World {
    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run(end, |_| false);
    }

    /// Lets time pass until `condition` holds.
    ///
    /// # Panics
    /// If it does not hold within `limit`; `awaited` says what was waited for.
    pub fn run_until(
        &mut self,
        awaited: &str,
        limit: Duration,
        condition: impl FnMut(&mut Self) -> bool,
    ) {
        let end = self.now + limit;
        assert!(
            self.run(end, condition),
            "waited {limit:?} in vain until {awaited}\n{}",
            self.describe()
        );
    }

    fn run(&mut self, end: Instant, mut condition: impl FnMut(&mut Self) -> bool) -> bool {
        let mut second = self.now;
        let mut steps = 0;
        loop {
            self.settle();
            if condition(self) {
                return true;
            }
            let next = self.next().filter(|next| *next <= end);
            self.now = next.unwrap_or(end);
            if next.is_none() {
                return false;
            }
            steps += 1;
            if self.now.saturating_duration_since(second) >= Duration::from_secs(1) {
                (second, steps) = (self.now, 0);
            }
            assert!(steps < MAX_STEPS_PER_SECOND, "time hardly advances");
        }
    }

    /// The time of the next work.
    fn next(&self) -> Option<Instant> {
        let server = self
            .server
            .as_ref()
            .and_then(|server| server.poll_timeout());
        let server = server.map(|timeout| self.server_clock.world_time(timeout));
        // Its output has to wait, and its timers can.
        let server = server.map(|timeout| match self.full_socket() {
            Some(socket) => timeout.max(socket.refilled_at),
            None => timeout,
        });
        let parties = self.parties.iter();
        parties
            .flat_map(|party| [party.poll_timeout(), party.next_talk()])
            .flatten()
            .chain(server)
            .chain(self.network.next_arrival())
            .map(|next| next.max(self.now))
            .min()
    }

    fn full_socket(&self) -> Option<&Socket> {
        self.socket.as_ref().filter(|socket| socket.left == 0)
    }

    /// Does all that is due now.
    pub(super) fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            self.drain();
            let mut is_quiet = !self.say();
            for _ in 0..BATCH {
                let Some(arrival) = self.network.poll_arrival(self.now) else {
                    break;
                };
                is_quiet = false;
                self.deliver(arrival);
            }
            is_quiet &= !self.fire_timers();
            if is_quiet {
                return;
            }
        }
        panic!("the ends do not come to rest\n{}", self.describe());
    }

    fn fire_timers(&mut self) -> bool {
        let mut fired = false;
        for index in 0..self.parties.len() {
            let party = &mut self.parties[index];
            if party.poll_timeout().is_some_and(|due| due <= self.now) {
                let clock = party.clock(self.now);
                party.device.handle_timeout(clock);
                self.look(Handle(index));
                fired = true;
            }
        }
        let clock = self.server_clock();
        let waits = self.full_socket().is_some();
        if let Some(server) = &mut self.server
            && !waits
            && server.poll_timeout().is_some_and(|due| due <= clock)
        {
            server.handle_timeout(clock);
            fired = true;
        }
        fired
    }

    /// Takes all output that there is.
    pub(super) fn drain(&mut self) {
        for index in 0..self.parties.len() {
            self.drain_party(Handle(index));
        }
        self.drain_server();
    }

    fn drain_party(&mut self, handle: Handle) {
        let now = self.now;
        if self.parties.get(handle.0).is_some_and(|party| party.is_on) {
            self.follow_route(handle);
        }
        let Some(party) = self.parties.get_mut(handle.0).filter(|party| party.is_on) else {
            return;
        };
        let clock = party.clock(now);
        let mut out = [0; MAX_DATAGRAM];
        let mut sent = Vec::new();
        while !party.is_radio_busy
            && let Some(len) = party.transmit(clock, &mut out)
        {
            assert!(sent.len() < 1_000, "{} sends without end", party.name);
            sent.push(Datagram {
                from: party.address,
                to: party.target().unwrap_or_else(|| {
                    let redirect = party.device.redirected_to();
                    let to = redirect.map(|to| to.addresses(self.server_address));
                    to.and_then(|to| to.first().copied())
                        .unwrap_or(self.server_address)
                }),
                bytes: out[..len].to_vec(),
            });
        }
        while let Some(event) = party.device.poll_event() {
            party.route_told(clock, &event);
            party.speech.check(&event);
            match &self.observer {
                Some(observer) => observer.borrow_mut().told(handle, now, &event),
                None => party.events.push((now, event)),
            }
        }
        if party.reads_messages {
            let mut body = [0; MAX_DATAGRAM];
            while let Some(message) = party
                .device
                .poll_message(&mut body)
                .expect("the buffer holds a body")
            {
                party.messages.push(Received {
                    at: now,
                    lossy: false,
                    from: message.from,
                    topic: message.topic,
                    body: message.body.to_vec(),
                });
            }
        }
        for datagram in sent {
            self.tell(|observer| observer.sent(now, &datagram));
            self.send(datagram);
        }
    }

    fn drain_server(&mut self) {
        self.take_server_events(self.server_address);
        let clock = self.server_clock();
        let Some(mut server) = self.server.take() else {
            return;
        };
        let mut left = self.refill_socket();
        let mut out = [0; MAX_DATAGRAM];
        let mut sent = 0;
        while left > 0
            && let Some(transmit) = server
                .poll_transmit(clock, &mut out)
                .expect("the buffer holds a datagram")
        {
            sent += 1;
            left -= 1;
            assert!(sent < 20_000, "the server sends without end");
            let Path::Udp { remote: to, .. } = transmit.to else {
                // No party of this world has that stream: a test that expects one does not read it.
                continue;
            };
            let from = self.reached.get(&to).copied();
            let datagram = Datagram {
                from: from.unwrap_or(self.server_address),
                to,
                bytes: out[..transmit.len].to_vec(),
            };
            self.tell(|observer| observer.sent(self.now, &datagram));
            self.send(datagram);
        }
        if let Some(socket) = &mut self.socket {
            socket.left = left;
        }
        self.tell(|observer| observer.served(self.now, &server));
        self.server = Some(server);
    }

    /// The number of datagrams that the server's socket accepts now.
    fn refill_socket(&mut self) -> usize {
        let Some(socket) = &mut self.socket else {
            return usize::MAX;
        };
        if socket.refilled_at <= self.now {
            socket.left = socket.datagrams;
            socket.refilled_at = self.now + REFILL;
        }
        socket.left
    }

    /// Answers what the server asks its embedder; `here` is the address at which it was reached.
    fn take_server_events(&mut self, here: SocketAddr) {
        let clock = self.server_clock();
        let Some(server) = &mut self.server else {
            return;
        };
        while let Some(event) = server.poll_event() {
            match &event {
                Event::JoinRequested { join, token, .. } => match &mut self.held {
                    Some(held) => held.push((*join, token.to_string())),
                    None => answer_join(server, clock, here, *join, token),
                },
                Event::RefreshRequested { refresh, token, .. } => {
                    let answer = token::verify(token).map_err(drop);
                    let _ = server.refresh(clock, *refresh, answer);
                }
                _ => {}
            }
            match &self.observer {
                Some(observer) => observer.borrow_mut().served_event(self.now, &event),
                None => self.server_events.push((self.now, event)),
            }
        }
    }

    /// Sends a datagram over the link of whichever party is at one of its ends.
    pub(super) fn send(&mut self, datagram: Datagram) {
        self.send_as_of(self.now, datagram);
    }

    pub(super) fn send_as_of(&mut self, sent_at: Instant, datagram: Datagram) {
        assert!(
            datagram.bytes.len() <= MAX_DATAGRAM,
            "a datagram of {} bytes",
            datagram.bytes.len()
        );
        let party = if self.is_server(datagram.from) {
            datagram.to
        } else {
            datagram.from
        };
        let link = self.addresses.get(&party);
        let link = link.and_then(|handle| self.parties.get(handle.0));
        let mut link = link.map_or(crate::network::LinkConfig::GOOD, |party| party.link);
        link.partitioned |= self.cut.contains(&datagram.from) || self.cut.contains(&datagram.to);
        let is_new = sent_at == self.now;
        let copy = is_new.then(|| datagram.clone());
        let is_under_way = self.network.send_as_of(sent_at, self.now, &link, datagram);
        if let Some(copy) = copy {
            self.record(copy, !is_under_way);
        }
    }

    fn is_server(&self, address: SocketAddr) -> bool {
        address == self.server_address || self.other_addresses.contains(&address)
    }

    fn deliver(&mut self, arrival: Arrival) {
        let Arrival {
            sent_at,
            mut datagram,
        } = arrival;
        if self.is_server(datagram.to) {
            self.tell(|observer| observer.arrived(self.now, &datagram));
            let clock = self.server_clock();
            if let Some(server) = &mut self.server {
                let from = Path::udp(datagram.from);
                // Dropped datagrams are counted by the server. One that somebody repeats changes no path.
                let taken = server.handle_datagram(clock, from, &mut datagram.bytes);
                let reached = self.reached.entry(datagram.from).or_insert(datagram.to);
                if taken.is_ok() {
                    *reached = datagram.to;
                }
            }
            self.take_server_events(datagram.to);
            return;
        }
        let handle = self.addresses.get(&datagram.to).copied();
        let Some(handle) = handle.filter(|handle| self.parties[handle.0].is_on) else {
            if self.observer.is_none() {
                self.strays.push((self.now, datagram));
            }
            return;
        };
        self.tell(|observer| observer.arrived(self.now, &datagram));
        let now = self.now;
        let party = &mut self.parties[handle.0];
        if party.is_deaf || !party.takes_from(datagram.from) {
            return;
        }
        let clock = party.clock(now);
        let mut heard = Vec::new();
        let mut mixed = Vec::new();
        let (seen, messages) = (&mut party.seen, &mut party.messages);
        let (cameras, watchers) = (&mut party.cameras, &mut party.watchers);
        let watches = party.watches;
        let mut came = Vec::new();
        let _ = party
            .device
            .handle_datagram(clock, &mut datagram.bytes, &mut |incoming| match incoming {
                Incoming::Audio { slot, frame } => {
                    let Some(said) = Utterance::decode(frame.codec, frame.payload) else {
                        mixed.push(Mixed {
                            at: now,
                            slot,
                            sequence: frame.sequence,
                            timestamp: frame.timestamp,
                            marker: frame.marker,
                            contributors: frame.contributors.iter().collect(),
                            codec: frame.codec,
                            payload: frame.payload.to_vec(),
                        });
                        return;
                    };
                    heard.push(Heard {
                        at: now,
                        slot,
                        sequence: frame.sequence,
                        timestamp: frame.timestamp,
                        ssrc: frame.speaker.expect("a slot's packet says whose it is"),
                        marker: frame.marker,
                        said,
                    });
                }
                Incoming::Media(packet) => {
                    let ssrc = packet.ssrc();
                    came.push(ssrc);
                    let is_known = watchers.iter().any(|watcher| watcher.ssrc == ssrc);
                    if let Some(slots) = watches.filter(|_| !is_known) {
                        watchers.push(Watcher::new(ssrc, slots));
                    }
                    let mut watchers = watchers.iter_mut();
                    match watchers.find(|watcher| watcher.ssrc == ssrc) {
                        Some(watcher) => watcher.handle_packet(clock, &packet),
                        None => seen.push(Seen {
                            at: now,
                            ssrc,
                            sequence: packet.sequence(),
                            timestamp: packet.timestamp(),
                            payload: packet.payload().to_vec(),
                        }),
                    }
                }
                Incoming::Feedback { key, feedback } => {
                    if let Some(camera) = cameras.iter_mut().find(|camera| camera.key == *key) {
                        camera.handle_feedback(clock, feedback);
                    }
                }
                Incoming::Message(message) => messages.push(Received {
                    at: now,
                    lossy: true,
                    from: message.from,
                    topic: message.topic,
                    body: message.body.to_vec(),
                }),
            });
        party.route_answered(clock);
        if let Some(observer) = &self.observer {
            for ssrc in came {
                observer.borrow_mut().seen(handle, now, sent_at, ssrc);
            }
        }
        self.look(handle);
        for frame in heard {
            self.hear(handle, sent_at, frame);
        }
        for frame in mixed {
            self.hear_mix(handle, sent_at, frame);
        }
        // Events and answers are taken at once, as an embedder does between two datagrams.
        self.drain_party(handle);
    }

    /// Lets the party look at what it can decode now.
    fn look(&mut self, handle: Handle) {
        let party = &mut self.parties[handle.0];
        let clock = party.clock(self.now);
        for watcher in &mut party.watchers {
            let count = watcher.watch(self.now, clock, &mut party.device);
            if let Some(observer) = &self.observer {
                let new = watcher.shown.len() - count;
                for shown in &watcher.shown[new..] {
                    observer.borrow_mut().shown(handle, watcher.ssrc, shown);
                }
            }
        }
    }

    fn hear(&mut self, handle: Handle, sent_at: Instant, frame: Heard) {
        let said = frame.said;
        let voice = (said.talker, said.stream);
        let name = &self.parties[handle.0].name;
        let talker = &self.parties[usize::from(said.talker)].name;
        assert!(name != talker, "{name} hears itself");
        let known = self.voices.entry((self.life, frame.ssrc)).or_insert(voice);
        assert_eq!(*known, voice, "{name} hears {talker} under another's SSRC");
        if let Some(observer) = &self.observer {
            return observer.borrow_mut().heard(handle, sent_at, &frame);
        }
        let party = &mut self.parties[handle.0];
        let again = party.heard.iter().rev().take(200).any(|h| h.said == said);
        assert!(!again, "{} hears {said:?} twice", party.name);
        party.heard.push(frame);
    }

    fn hear_mix(&mut self, handle: Handle, sent_at: Instant, frame: Mixed) {
        let is_mixed = self.server_config.mix.is_some();
        assert!(is_mixed || self.is_sung, "nothing else is said here");
        match &self.observer {
            Some(observer) => observer.borrow_mut().heard_mix(handle, sent_at, &frame),
            None => self.parties[handle.0].mixed.push(frame),
        }
    }

    /// Lets every talker send its due frames.
    fn say(&mut self) -> bool {
        let now = self.now;
        let mut spoke = false;
        for (index, party) in self.parties.iter_mut().enumerate() {
            let clock = party.clock(now);
            for talk in &mut party.talks {
                while talk.next <= now {
                    spoke = true;
                    let (stream, number) = party
                        .said
                        .get_mut(&talk.key)
                        .expect("counted when the talk began");
                    let said = Utterance {
                        talker: index as u16,
                        stream: *stream,
                        number: *number,
                        said_at: talk.next.as_micros(),
                    };
                    *number += 1;
                    let rate = u64::from(talk.codec.clock_rate());
                    let timestamp = talk.next.as_micros() * rate / 1_000_000;
                    let payload = match &mut talk.tone {
                        Some(tone) => tone.next_frame(),
                        None => said.encode(talk.codec),
                    };
                    let taken = party.device.send_audio(
                        clock,
                        &talk.key,
                        timestamp as u32,
                        talk.level,
                        &payload,
                    );
                    if taken.is_err() {
                        party.unsaid += 1;
                    }
                    talk.next += FRAME;
                }
            }
            party.talks.retain(|talk| talk.next < talk.until);
            for camera in &mut party.cameras {
                while camera.next <= now && camera.next < camera.until {
                    spoke = true;
                    camera.film(now, clock);
                }
            }
        }
        spoke
    }
}

pub(super) fn answer_join(
    server: &mut parlour_record::Server,
    clock: Instant,
    here: SocketAddr,
    join: parlour_core::server::JoinId,
    token: &str,
) {
    let elsewhere = Token::parse(token).and_then(|token| token.redirect);
    // The server itself tells the participant of an obstacle.
    let _ = match (elsewhere, token::verify(token)) {
        (Some(there), _) if !there.addresses(here).contains(&here) => {
            server.redirect(clock, join, there).is_ok()
        }
        (_, Ok(admission)) => server.admit(clock, join, admission).is_ok(),
        (_, Err(refusal)) => server.refuse(clock, join, refusal).is_ok(),
    };
}
