//! A server that holds the true keys without a server's manners.

use std::collections::VecDeque;

use parlour_core::room::Version;
use parlour_core::secure::{KeyPair, ResponderHandshake, Transport};
use parlour_core::signal::{Join, LossyRequest, Request, RequestId, decode};
use parlour_core::wire::{ConnectionId, Frame, Frames, MAX_DATAGRAM, Packet};
use parlour_fuzz::sealed;
use rand_chacha::ChaCha12Rng;

/// One association with the client, seen from the server's end.
pub(super) struct Villain {
    /// SSRC of the client's first slot.
    pub(super) slot_ssrc: u32,
    /// The version of the room that it told last.
    pub(super) version: Version,
    /// Requests that it has not answered.
    pub(super) requests: VecDeque<RequestId>,
    keys: KeyPair,
    /// Of the last Hello.
    handshake: Option<(ConnectionId, ResponderHandshake)>,
    association: Option<(Transport, ConnectionId)>,
    server_id: ConnectionId,
    sequence: u16,
    expected: u16,
    pong: Option<u32>,
}

impl Villain {
    /// SSRC of the client's first slot, as every Joined has it.
    pub(super) const SLOT_SSRC: u32 = 100;

    pub(super) fn new(keys: KeyPair) -> Self {
        Self {
            slot_ssrc: Self::SLOT_SSRC,
            version: Version(0),
            requests: VecDeque::new(),
            keys,
            handshake: None,
            association: None,
            server_id: ConnectionId(0),
            sequence: 0,
            expected: 0,
            pong: None,
        }
    }

    /// A Welcome with `payload` inside; `None` if nobody said hello.
    pub(super) fn welcome(&mut self, payload: &[u8], rng: &mut ChaCha12Rng) -> Option<Vec<u8>> {
        let (client_id, handshake) = self.handshake.as_ref()?;
        self.server_id = ConnectionId(self.server_id.0 + 1);
        let mut noise = [0; MAX_DATAGRAM];
        let answered = handshake.answer(rng, self.server_id, payload, &mut noise);
        let (len, transport) = answered.expect("an answer fits");
        self.association = Some((transport, *client_id));
        Some(encode(&Packet::Welcome {
            client_id: *client_id,
            noise: &noise[..len],
        }))
    }

    /// Retry, another version, or Reset, with the right ids and tokens if `how` says so.
    pub(super) fn stateless(&self, how: u8, byte: u8) -> Vec<u8> {
        let is_right = how & 0x80 == 0;
        let client_id = match (&self.handshake, is_right) {
            (Some((client_id, _)), true) => *client_id,
            _ => ConnectionId(byte.into()),
        };
        match how & 3 {
            0 => encode(&Packet::Retry {
                client_id,
                cookie: &[byte; 16],
            }),
            1 => encode(&Packet::VersionMismatch {
                client_id,
                supported: byte.max(2),
            }),
            2 => encode(&Packet::Reset {
                server_id: self.server_id,
                token: &[if is_right { 3 } else { byte }; 16],
            }),
            _ => encode(&Packet::Reset {
                server_id: ConnectionId(byte.into()),
                token: &[3; 16],
            }),
        }
    }

    /// The number of the next signal. A hostile server does not care whether it is acknowledged.
    pub(super) fn next_signal(&mut self) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }

    /// Frames that acknowledge everything received.
    pub(super) fn acknowledgement(&mut self) -> Vec<Frame<'static>> {
        let mut frames = vec![Frame::Ack {
            next: self.expected,
        }];
        frames.extend(self.pong.take().map(|nonce| Frame::Pong { nonce }));
        frames
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

    /// Takes in what the client sent, which has to be well formed.
    pub(super) fn receive(&mut self, datagram: &[u8]) {
        match Packet::parse(datagram).expect("what a client sends is a packet") {
            Packet::Hello {
                client_id, noise, ..
            } => self.hello(client_id, noise),
            Packet::Data { .. } => self.data(datagram),
            other => panic!("a client sent {other:?}"),
        }
    }

    fn hello(&mut self, client_id: ConnectionId, noise: &[u8]) {
        let mut payload = [0; MAX_DATAGRAM];
        let read = ResponderHandshake::read(&self.keys, client_id, noise, &mut payload);
        let (handshake, payload) = read.expect("the client's Hello is for this key");
        let join = decode::<Join<'_>>(payload).expect("the client's wish decodes");
        if join.resume.is_none() {
            (self.sequence, self.expected) = (0, 0);
            self.version = Version(0);
            self.requests.clear();
        }
        self.handshake = Some((client_id, handshake));
    }

    fn data(&mut self, datagram: &[u8]) {
        let Some((transport, _)) = &mut self.association else {
            return;
        };
        let mut datagram = datagram.to_vec();
        // A packet sealed for an earlier connection is lost.
        let Ok(opened) = transport.open(&mut datagram) else {
            return;
        };
        let plaintext = opened.plaintext.to_vec();
        for frame in Frames::new(&plaintext) {
            match frame.expect("the client's frames are whole") {
                Frame::Ping { nonce } => self.pong = Some(nonce),
                Frame::Signal { sequence, message } => {
                    let request = decode::<Request<'_>>(message);
                    let request = request.expect("the client's requests decode");
                    if sequence == self.expected {
                        self.expected = sequence.wrapping_add(1);
                        self.requests.push_back(request.id);
                    }
                }
                Frame::Message(message) => {
                    decode::<LossyRequest<'_>>(message).expect("the client's messages decode");
                }
                _ => {}
            }
        }
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len()];
    packet.encode(&mut bytes).expect("it fits");
    bytes
}
