//! A test's commands to the world.

use std::net::SocketAddr;

use parlour_core::client::{CommandError, Commands as _, RequestFailure};
use parlour_core::rand_core::RngCore as _;
use parlour_core::room::{Codec, RoomId, StreamKey};
use parlour_core::rtp::AudioLevel;
use parlour_core::server::JoinId;
use parlour_core::signal::{Outcome, RequestId};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_record::Server;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::{REFILL, SERVER_ADDRESS, Socket, Way, World, random_lead, run::answer_join};
use crate::camera::{Camera, Filming, SLOTS, Watcher};
use crate::device::Device;
use crate::facts::Speech;
use crate::network::{Datagram, LinkConfig};
use crate::party::{Clock, Handle, Options, Party, Talk};
use crate::tone::Tone;

/// How loud people talk unless said otherwise.
const USUAL: u8 = 30;

impl World {
    /// Starts a device that joins as `name`.
    pub fn join(&mut self, name: &str, options: Options) -> Handle {
        let handle = Handle(self.parties.len());
        let clock = Clock {
            lead: random_lead(&mut self.rng),
            drift: options.drift,
        };
        let address = self.new_address(handle);
        let way = Way::new(&options.addresses, clock.at(self.now));
        let device = self.make_device(name, &options, clock.at(self.now));
        self.parties.push(Party {
            name: name.to_owned(),
            device,
            link: options.link,
            reads_messages: true,
            is_radio_busy: false,
            is_deaf: false,
            unsaid: 0,
            options,
            address,
            way,
            is_on: true,
            clock,
            talks: Vec::new(),
            said: Default::default(),
            events: Vec::new(),
            speech: Speech::default(),
            heard: Vec::new(),
            mixed: Vec::new(),
            seen: Vec::new(),
            messages: Vec::new(),
            cameras: Vec::new(),
            watches: None,
            watchers: Vec::new(),
        });
        handle
    }

    /// Joins, and waits until that has taken effect.
    pub fn joined(&mut self, name: &str, options: Options) -> Handle {
        let handle = self.join(name, options);
        let awaited = format!("{name} has joined and knows the room");
        self.run_until(&awaited, Duration::from_secs(60), |world| {
            world.is_joined(handle) && world.facts(handle).complete
        });
        handle
    }

    fn make_device(&mut self, name: &str, options: &Options, clock: Instant) -> Device {
        let token = options.token(name).to_string();
        let keys = self.keys();
        let host = self.server_address.ip().to_string();
        let ticket = Ticket {
            host: &host,
            port: self.server_address.port(),
            server_key: *keys.public(),
            token: &token,
        };
        let mut rng = ChaCha12Rng::seed_from_u64(self.rng.next_u64());
        let sink = self.sink(&format!("{:03}-{name}", self.parties.len()));
        let mut device = Device::new(options, &ticket, clock, &mut rng, sink);
        for publish in &options.publish {
            device
                .publish(publish.clone())
                .expect("a device takes what it was built for");
        }
        device
    }

    fn new_address(&mut self, handle: Handle) -> SocketAddr {
        self.sockets += 1;
        let address = SocketAddr::from(([192, 0, 2, 1], 10_000 + self.sockets));
        self.addresses.insert(address, handle);
        address
    }

    /// The party, to give it commands.
    pub fn party(&mut self, handle: Handle) -> &mut Party {
        &mut self.parties[handle.0]
    }

    /// The device of the party, to give it commands.
    pub fn device(&mut self, handle: Handle) -> &mut Device {
        &mut self.parties[handle.0].device
    }

    /// Lets the party ask for something, and waits for the answer.
    ///
    /// # Errors
    /// The server's, if it refuses.
    ///
    /// # Panics
    /// If the device does not take the command, or no answer comes within 10 s.
    pub fn ask<I: Into<Option<RequestId>>>(
        &mut self,
        handle: Handle,
        command: impl FnOnce(&mut Device) -> Result<I, CommandError>,
    ) -> Result<Outcome, RequestFailure> {
        let request = command(self.device(handle)).expect("the device takes the command");
        let request = request.into().expect("the device asks the server");
        self.run_until(
            "the request is answered",
            Duration::from_secs(10),
            |world| world.reply(handle, request).is_some(),
        );
        self.reply(handle, request).expect("answered just now")
    }

    /// Lets the party leave.
    pub fn leave(&mut self, handle: Handle) {
        let party = &mut self.parties[handle.0];
        let clock = party.clock(self.now);
        party.device.leave(clock).expect("it is not leaving yet");
    }

    /// The server, for the application's operations on it.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the server is running")
    }

    /// The server and its clock.
    pub fn server_and_clock(&mut self) -> (&mut Server, Instant) {
        let clock = self.server_clock();
        (self.server(), clock)
    }

    /// The application tells the session in `room`, if there is one, that it is recorded, or no longer is.
    pub fn set_recorded(&mut self, room: &str, recorded: bool) {
        let room = RoomId::new(room).expect("a name of a room");
        let now = self.server_clock();
        let Some(server) = &mut self.server else {
            return;
        };
        let known = server.room(&room).and_then(|room| room.session);
        if let Some((session, _)) = known {
            let told = server.record(now, &room, session, recorded);
            told.expect("the session goes on");
        }
    }

    /// Lets the party talk into its stream `key` from now on for `time`.
    pub fn talk(&mut self, handle: Handle, key: &str, time: Duration) {
        self.talk_at(handle, key, USUAL, time);
    }

    /// The same, as loud as `level` (-dBov: lower is louder).
    pub fn talk_at(&mut self, handle: Handle, key: &str, level: u8, time: Duration) {
        self.talk_in(Codec::Opus, handle, key, level, time);
    }

    /// The same, in the codec that the stream has.
    pub fn talk_in(&mut self, codec: Codec, handle: Handle, key: &str, level: u8, time: Duration) {
        let key = StreamKey::new(key).expect("a stream key");
        let party = &mut self.parties[handle.0];
        party.said.entry(key.clone()).or_insert_with(|| {
            self.streams += 1;
            (self.streams, 0)
        });
        party.talks.push(Talk {
            key,
            codec,
            level: AudioLevel { voice: true, level },
            tone: None,
            next: self.now,
            until: self.now + time,
        });
    }

    /// Lets the party film into its stream of pictures `key` from now on for `time`.
    pub fn film(&mut self, handle: Handle, key: &str, filming: Filming, time: Duration) {
        let key = StreamKey::new(key).expect("a stream key");
        let cameras = &mut self.parties[handle.0].cameras;
        match cameras.iter_mut().find(|camera| camera.key == key) {
            Some(camera) => camera.film_on(filming, self.now, time),
            None => cameras.push(Camera::new(key, filming, self.now, time)),
        }
    }

    /// Lets the party look at the stream `ssrc` of pictures, if it is subscribed to.
    pub fn watch(&mut self, handle: Handle, ssrc: u32) {
        let watcher = Watcher::new(ssrc, SLOTS);
        self.parties[handle.0].watchers.push(watcher);
    }

    /// Lets the party look at all streams of pictures that come, with room for so many packets of each.
    pub fn watch_all(&mut self, handle: Handle, slots: usize) {
        self.parties[handle.0].watches = Some(slots);
    }

    /// Lets the party film no more into its stream of pictures `key`.
    pub fn stop_filming(&mut self, handle: Handle, key: &StreamKey) {
        let now = self.now;
        let cameras = self.parties[handle.0].cameras.iter_mut();
        for camera in cameras.filter(|camera| camera.key == *key) {
            camera.until = now;
        }
    }

    /// Lets the party sing a tone of `hz` into its stream `key` from now on for `time`: real sound, which
    /// can be decoded and mixed.
    pub fn sing(&mut self, codec: Codec, handle: Handle, key: &str, hz: u32, time: Duration) {
        self.talk_in(codec, handle, key, USUAL, time);
        self.is_sung = true;
        if let Some(talk) = self.parties[handle.0].talks.last_mut() {
            talk.tone = Some(Tone::new(codec, hz));
        }
    }

    /// Lets the party fall silent.
    pub fn hush(&mut self, handle: Handle) {
        self.parties[handle.0].talks.clear();
    }

    /// Cuts the party off the network, or lets it on again.
    pub fn partition(&mut self, handle: Handle, partitioned: bool) {
        self.parties[handle.0].link.partitioned = partitioned;
    }

    /// Gives the party another network.
    pub fn set_link(&mut self, handle: Handle, link: LinkConfig) {
        self.parties[handle.0].link = link;
    }

    /// Changes the party's address, as a NAT does: the device does not notice. Packets to the old one are lost.
    pub fn rebind(&mut self, handle: Handle) -> SocketAddr {
        let address = self.new_address(handle);
        let party = &mut self.parties[handle.0];
        self.addresses.remove(&party.address);
        party.address = address;
        address
    }

    /// Replaces the party's socket, as an application does that changes the network.
    pub fn new_socket(&mut self, handle: Handle) -> SocketAddr {
        let address = self.rebind(handle);
        let party = &mut self.parties[handle.0];
        let clock = party.clock(self.now);
        party.device.network_changed(clock);
        address
    }

    /// Has the party send a ping.
    pub fn ping(&mut self, handle: Handle) {
        let party = &mut self.parties[handle.0];
        let clock = party.clock(self.now);
        party.device.network_changed(clock);
    }

    /// From now on nothing reaches the party; what it sends arrives.
    pub fn deafen(&mut self, handle: Handle) {
        self.parties[handle.0].is_deaf = true;
    }

    /// Packets to the party reach it again.
    pub fn hear_again(&mut self, handle: Handle) {
        self.parties[handle.0].is_deaf = false;
    }

    /// Puts the party to sleep: it does nothing, and nothing reaches it.
    pub fn suspend(&mut self, handle: Handle) {
        let party = &mut self.parties[handle.0];
        party.is_on = false;
        party.talks.clear();
    }

    /// Wakes the party after it `slept`, time that its clock has counted, or not.
    pub fn wake(&mut self, handle: Handle, slept: Duration, counted: bool) {
        let party = &mut self.parties[handle.0];
        party.is_on = true;
        if !counted {
            party.clock.lead -= slept;
        }
    }

    /// Pulls the party's plug: it says nothing more and notices nothing more.
    pub fn power_off(&mut self, handle: Handle) {
        let party = &mut self.parties[handle.0];
        party.is_on = false;
        party.talks.clear();
        self.addresses.remove(&party.address);
    }

    /// Forgets all about a party that is over, but for its place: for worlds with thousands.
    pub fn retire(&mut self, handle: Handle) {
        self.power_off(handle);
        self.forget(handle);
        let party = &mut self.parties[handle.0];
        party.said.clear();
        party.cameras.clear();
        party.watchers.clear();
    }

    /// From now on the server's socket accepts no more than this many datagrams in 20 ms; `None`: all.
    pub fn limit_sending(&mut self, datagrams: Option<usize>) {
        self.socket = datagrams.map(|datagrams| Socket {
            datagrams,
            left: datagrams,
            refilled_at: self.now + REFILL,
        });
    }

    /// Stops the server without a word.
    pub fn crash_server(&mut self) {
        self.server = None;
    }

    /// Starts a server with the same keys, that remembers nothing.
    pub fn start_server(&mut self) {
        self.life += 1;
        self.server_clock.lead = random_lead(&mut self.rng);
        let clock = self.server_clock();
        let keys = self.keys();
        let config = self.server_config.clone();
        let server = match self.sink(&format!("server-{}", self.life)) {
            Some(sink) => Server::recorded(config, keys, clock, &mut self.rng, sink),
            None => Server::new(config, keys, clock, &mut self.rng),
        };
        self.server = Some(server);
    }

    /// Stops the server without a word, and starts it anew.
    pub fn restart_server(&mut self) {
        self.crash_server();
        self.start_server();
    }

    /// Sends the server a datagram from any address.
    pub fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        let to = self.server_address;
        self.send(Datagram {
            from,
            to,
            bytes: bytes.to_vec(),
        });
    }

    /// Sends any datagram from and to anywhere. If it arrives, it counts as sent at `sent_at`: as one that was long under way.
    pub fn inject_datagram(&mut self, sent_at: Instant, datagram: Datagram) {
        self.send_as_of(sent_at, datagram);
    }

    /// Sends the party a datagram as if from the server.
    pub fn inject_to(&mut self, handle: Handle, bytes: &[u8]) {
        let from = self.server_address;
        let to = self.parties[handle.0].address;
        self.send(Datagram {
            from,
            to,
            bytes: bytes.to_vec(),
        });
    }

    /// From now on the embedder takes its time: joins wait for [`answer_held`](Self::answer_held).
    pub fn hold_joins(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Answers the joins that wait, in the order given by `order`, and all later ones at once.
    pub fn answer_held(&mut self, order: impl FnOnce(&mut Vec<(JoinId, String)>)) {
        let mut held = self.held.take().unwrap_or_default();
        order(&mut held);
        let (server, clock) = self.server_and_clock();
        for (join, token) in held {
            let here = SERVER_ADDRESS.parse().expect("an address");
            answer_join(server, clock, here, join, &token);
        }
    }
}
