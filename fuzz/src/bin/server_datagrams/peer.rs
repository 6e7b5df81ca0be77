//! A peer that holds a participant's keys without its manners.

use parlour_core::secure::{InitiatorHandshake, PublicKey, Transport};
use parlour_core::server::Path;
use parlour_core::signal::{Answer, Joined, ServerMessage, decode};
use parlour_core::wire::{ConnectionId, Frame, Frames, MAX_DATAGRAM, Packet};
use parlour_fuzz::sealed;
use rand_chacha::ChaCha12Rng;

/// One association with the server, seen from the client's end.
pub(super) struct Peer {
    /// Its usual path.
    pub(super) home: Path,
    /// The last Hello.
    pub(super) hello: Vec<u8>,
    /// The path by which the Welcome with its keys arrived.
    pub(super) welcomed_at: Option<Path>,
    /// The secret of the last Joined.
    pub(super) ticket: Option<[u8; 24]>,
    /// SSRCs of its streams, as far as it was told.
    pub(super) streams: Vec<u32>,
    /// SSRC of its first slot.
    pub(super) slot_ssrc: u32,
    /// The signal that it expects next.
    pub(super) expected: u16,
    /// The nonce of a ping that it has not answered.
    pub(super) pong: Option<u32>,
    client_id: ConnectionId,
    cookie: Option<[u8; 16]>,
    handshake: Option<InitiatorHandshake>,
    association: Option<(Transport, ConnectionId)>,
    sequence: u16,
}

impl Peer {
    pub(super) fn new(home: Path) -> Self {
        Self {
            home,
            hello: Vec::new(),
            welcomed_at: None,
            ticket: None,
            streams: Vec::new(),
            slot_ssrc: 0,
            expected: 0,
            pong: None,
            client_id: ConnectionId(0),
            cookie: None,
            handshake: None,
            association: None,
            sequence: 0,
        }
    }

    /// A new Hello with `payload` inside, and with the cookie of a Retry if there was one.
    pub(super) fn greet(
        &mut self,
        server: &PublicKey,
        id: u8,
        payload: &[u8],
        rng: &mut ChaCha12Rng,
    ) -> Vec<u8> {
        self.client_id = ConnectionId(id.into());
        let mut noise = [0; MAX_DATAGRAM];
        let started = InitiatorHandshake::start(server, self.client_id, rng, payload, &mut noise);
        let (handshake, len) = started.expect("a join fits");
        self.handshake = Some(handshake);
        let packet = Packet::Hello {
            client_id: self.client_id,
            cookie: self.cookie.as_ref(),
            noise: &noise[..len],
        };
        self.hello = encode(&packet);
        self.hello.clone()
    }

    /// The number of the next signal.
    pub(super) fn next_signal(&mut self) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }

    /// A Data packet with these frames; `None` without keys.
    pub(super) fn seal(&mut self, frames: &[Frame<'_>]) -> Option<Vec<u8>> {
        self.seal_bytes(&sealed::plaintext(frames)?)
    }

    /// A Data packet with these bytes for frames; `None` without keys.
    pub(super) fn seal_bytes(&mut self, plaintext: &[u8]) -> Option<Vec<u8>> {
        let (transport, receiver) = self.association.as_mut()?;
        Some(sealed::datagram(transport, *receiver, plaintext))
    }

    /// Takes in what the server sent to `to`, if it is for this peer.
    pub(super) fn receive(&mut self, to: Path, datagram: &[u8]) {
        match Packet::parse(datagram) {
            Ok(Packet::Retry { client_id, cookie }) if client_id == self.client_id => {
                self.cookie = Some(*cookie);
            }
            Ok(Packet::Welcome { client_id, noise }) if client_id == self.client_id => {
                self.welcome(to, noise);
            }
            Ok(Packet::Data { .. }) => self.data(datagram),
            _ => {}
        }
    }

    fn welcome(&mut self, to: Path, noise: &[u8]) {
        let Some(handshake) = &self.handshake else {
            return;
        };
        let mut payload = [0; MAX_DATAGRAM];
        let Ok(welcomed) = handshake.finish(noise, &mut payload) else {
            return;
        };
        let answer = decode::<Answer>(welcomed.payload).expect("the server's answer decodes");
        self.association = Some((welcomed.transport, welcomed.server_id));
        self.welcomed_at = Some(to);
        self.handshake = None;
        match answer {
            Answer::Joined(joined) => {
                if !joined.resumed {
                    (self.sequence, self.expected) = (0, 0);
                }
                self.joined(&joined);
            }
            _ => (self.sequence, self.expected) = (0, 0),
        }
    }

    fn joined(&mut self, joined: &Joined) {
        self.ticket = Some(*joined.resume_ticket);
        self.slot_ssrc = joined.slot_ssrc;
        self.streams = joined.streams.iter().filter_map(|ssrc| ssrc.ok()).collect();
    }

    fn data(&mut self, datagram: &[u8]) {
        let Some((transport, _)) = &mut self.association else {
            return;
        };
        let mut datagram = datagram.to_vec();
        let Ok(opened) = transport.open(&mut datagram) else {
            return;
        };
        let plaintext = opened.plaintext.to_vec();
        for frame in Frames::new(&plaintext) {
            match frame.expect("the server's frames are whole") {
                Frame::Ping { nonce } => self.pong = Some(nonce),
                Frame::Signal { sequence, message } => {
                    let message = decode::<ServerMessage<'_>>(message);
                    let message = message.expect("the server's messages decode");
                    if sequence == self.expected {
                        self.expected = sequence.wrapping_add(1);
                        self.told(&message);
                    }
                }
                _ => {}
            }
        }
    }

    fn told(&mut self, message: &ServerMessage<'_>) {
        use parlour_core::signal::Outcome;
        match message {
            ServerMessage::Admitted(joined) => self.joined(joined),
            ServerMessage::Reply {
                result: Ok(Outcome::Published { ssrc }),
                ..
            } => self.streams.push(*ssrc),
            _ => {}
        }
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len()];
    packet.encode(&mut bytes).expect("it fits");
    bytes
}
