//! The core's client as JavaScript sees it: one participant, for a worker of a page.
//!
//! It has no socket, no clock and no randomness: JavaScript moves the datagrams, says what time it is (`performance.now()`,
//! in milliseconds) and gives a seed. What goes in and comes out are plain values:
//!
//! ```text
//!  datagrams ──► buffer, handleDatagram ──► takeFrames ──► the player's worklet
//!  commands as JSON ──► command ─┐      ┌─► pollEvent, changes, statistics as JSON
//!  payloads of the encoder ──► sendAudio┤
//!  encoded pictures ──────► sendPicture ┴─► pollTransmit, buffer ──► datagrams
//!                                           pollPicture ──► decoders
//! ```
//!
//! The shapes of the JSON are the types in [`command`], [`event`] and [`state`].

pub mod command;
pub mod error;
pub mod event;
mod frames;
pub mod state;
pub mod video;

use std::collections::VecDeque;

use parlour_core::client::{Client, Commands as _, Config, Desktop, Incoming};
use parlour_core::rand_core::{RngCore as _, SeedableRng as _};
use parlour_core::room::Topic;
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::MAX_BODY;
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_core::video::Picture;
use parlour_core::wire::MAX_DATAGRAM;
use rand_chacha::ChaCha20Rng;
use wasm_bindgen::prelude::*;

use crate::command::{Command, Options, stream_key};
use crate::error::Error;
use crate::event::Event;
use crate::state::{Changes, State, Statistics};
use crate::video::{Arrived, Pictures};

/// Lossy messages that wait to be taken; then the oldest makes room.
const MAX_LOSSY: usize = 64;

/// A participant of a room.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Participant {
    client: Box<Client<Desktop>>,
    /// One datagram at a time, in or out.
    buffer: Box<[u8; MAX_DATAGRAM]>,
    frames: Vec<u8>,
    lossy: VecDeque<Message>,
    pictures: Pictures,
    rng: ChaCha20Rng,
    /// The state as it was told last.
    told: State,
    /// Whether nobody was heard when the levels were told last.
    is_quiet: bool,
}

/// An application message from another participant.
#[wasm_bindgen]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    from: String,
    topic: String,
    body: Vec<u8>,
    reliable: bool,
}

#[wasm_bindgen]
impl Message {
    /// The sender.
    #[wasm_bindgen(getter)]
    pub fn from(&self) -> String {
        self.from.clone()
    }

    /// The topic.
    #[wasm_bindgen(getter)]
    pub fn topic(&self) -> String {
        self.topic.clone()
    }

    /// The contents.
    #[wasm_bindgen(getter)]
    pub fn body(&self) -> Vec<u8> {
        self.body.clone()
    }

    /// Whether it came by the reliable way.
    #[wasm_bindgen(getter)]
    pub fn reliable(&self) -> bool {
        self.reliable
    }
}

impl Message {
    fn new(message: &parlour_core::client::Message<'_>, reliable: bool) -> Self {
        Self {
            from: message.from.to_string(),
            topic: message.topic.to_string(),
            body: message.body.to_vec(),
            reliable,
        }
    }
}

/// Milliseconds of `performance.now()`; anything else than a number counts as 0.
fn at(now: f64) -> Instant {
    Instant::from_micros((now * 1_000.0) as u64)
}

impl Participant {
    /// See [`new`](Self::new).
    ///
    /// # Errors
    /// [`Error`] if the ticket, the seed or the options are none.
    pub fn create(ticket: &str, seed: &[u8], options: &str, now: f64) -> Result<Self, Error> {
        let seed: [u8; 32] = seed
            .try_into()
            .map_err(|_| Error::invalid("the seed has 32 bytes"))?;
        let options: Options = serde_json::from_str(options)?;
        let config = Config {
            policy: options.policy.into(),
            slots: options.slots,
            ..Config::default()
        };
        let mut rng = ChaCha20Rng::from_seed(seed);
        let client = Client::new(&Ticket::parse(ticket)?, &config, at(now), &mut rng)?;
        Ok(Self {
            client: Box::new(client),
            buffer: Box::new([0; MAX_DATAGRAM]),
            frames: Vec::new(),
            lossy: VecDeque::new(),
            pictures: Pictures::default(),
            rng,
            told: State::default(),
            is_quiet: true,
        })
    }

    /// See [`handle_datagram`](Self::handle_datagram).
    pub fn take(&mut self, now: f64, len: usize) -> bool {
        let (frames, lossy) = (&mut self.frames, &mut self.lossy);
        let pictures = &mut self.pictures;
        let Some(datagram) = self.buffer.get_mut(..len) else {
            return false;
        };
        let mut receive = |incoming: Incoming<'_>| match incoming {
            Incoming::Audio { slot, frame } => frames::pack(slot, &frame, frames),
            Incoming::Message(message) => {
                if lossy.len() == MAX_LOSSY {
                    lossy.pop_front();
                }
                lossy.push_back(Message::new(&message, false));
            }
            Incoming::Media(packet) => pictures.handle_packet(at(now), &packet),
            Incoming::Feedback { key, feedback } => {
                pictures.handle_feedback(at(now), key, feedback);
            }
        };
        self.client
            .handle_datagram(at(now), datagram, &mut receive)
            .is_ok()
    }

    /// See [`command`](Self::command).
    ///
    /// # Errors
    /// [`Error`] if it is no command, or one that the client does not take now.
    pub fn execute(&mut self, now: f64, command: &str) -> Result<Option<u16>, Error> {
        let command: Command = serde_json::from_str(command)?;
        command.execute(&mut self.client, at(now))
    }

    /// See [`send_message`](Self::send_message).
    ///
    /// # Errors
    /// [`Error`] if a name is none, the body is too long, or there is no session.
    pub fn tell(
        &mut self,
        to: &[String],
        topic: &str,
        body: &[u8],
        reliable: bool,
    ) -> Result<Option<u16>, Error> {
        let to = command::recipients(to)?;
        let topic = Topic::new(topic).map_err(|error| Error::named("topic", error))?;
        if reliable {
            let request = self.client.send_message(&to, &topic, body)?;
            return Ok(Some(request.0));
        }
        self.client.send_lossy_message(&to, &topic, body)?;
        Ok(None)
    }

    /// See [`send_audio`](Self::send_audio).
    ///
    /// # Errors
    /// [`Error`] if the client does not send it.
    pub fn speak(
        &mut self,
        now: f64,
        key: &str,
        timestamp: u32,
        level: u8,
        payload: &[u8],
    ) -> Result<(), Error> {
        let key = stream_key(key)?;
        let level = AudioLevel { voice: true, level };
        self.client
            .send_audio(at(now), &key, timestamp, level, payload)?;
        Ok(())
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.client.poll_event()?;
        self.pictures.resolve(&self.client);
        Some(Event::from(event))
    }

    /// See [`watch`](Self::watch).
    ///
    /// # Errors
    /// [`Error`] if a name is none.
    pub fn view(
        &mut self,
        id: u32,
        participant: &str,
        key: &str,
        large: bool,
    ) -> Result<(), Error> {
        let stream = command::stream(participant, key)?;
        self.pictures.watch(id, stream, large);
        self.pictures.resolve(&self.client);
        Ok(())
    }

    /// See [`open_pictures`](Self::open_pictures).
    ///
    /// # Errors
    /// [`Error`] if the key or the codec is none.
    pub fn film(&mut self, key: &str, codec: &str, rate: u32, large: bool) -> Result<(), Error> {
        let codec = command::codec(codec)?;
        let seed = self.rng.next_u32() as u16;
        self.pictures
            .open(stream_key(key)?, codec, rate, large, seed);
        Ok(())
    }

    /// The state now.
    pub fn current(&self) -> State {
        State::of(&self.client)
    }

    /// See [`changes`](Self::changes).
    pub fn changed(&mut self) -> Changes {
        let now = self.current();
        let changes = Changes::between(&self.told, &now);
        self.told = now;
        changes
    }
}

#[wasm_bindgen]
impl Participant {
    /// A participant that will join with `ticket`. `seed` has 32 random bytes on which all secrecy rests; `options` are
    /// [`Options`].
    #[wasm_bindgen(constructor)]
    pub fn new(ticket: &str, seed: &[u8], options: &str, now: f64) -> Result<Participant, JsValue> {
        Self::create(ticket, seed, options, now).map_err(thrown)
    }

    /// Where datagrams go in and come out, 1,200 bytes.
    pub fn buffer(&self) -> *const u8 {
        self.buffer.as_ptr()
    }

    /// Takes in the datagram of `len` bytes in the buffer; false: dropped.
    #[wasm_bindgen(js_name = handleDatagram)]
    pub fn handle_datagram(&mut self, now: f64, len: usize) -> bool {
        self.take(now, len)
    }

    /// The frames of sound that came since the last call, one after the other: slot, payload type, marker and a zero (`u8`
    /// each); duration, speaker, length (`u32`); sequence number, timestamp (`f64`); payload. All in little-endian order.
    #[wasm_bindgen(js_name = takeFrames)]
    pub fn take_frames(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.frames)
    }

    /// Does what is due.
    #[wasm_bindgen(js_name = handleTimeout)]
    pub fn handle_timeout(&mut self, now: f64) {
        self.client.handle_timeout(at(now));
    }

    /// Says that datagrams take another way from now on, or that the network came back.
    #[wasm_bindgen(js_name = networkChanged)]
    pub fn network_changed(&mut self, now: f64) {
        self.client.network_changed(at(now));
    }

    /// Bytes of the next datagram, which is then in the buffer; 0: there is none now.
    #[wasm_bindgen(js_name = pollTransmit)]
    pub fn poll_transmit(&mut self, now: f64) -> usize {
        self.pictures.transmit(at(now), &mut self.client);
        let written = self.client.poll_transmit(at(now), &mut self.buffer[..]);
        written.ok().flatten().unwrap_or(0)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), on the clock of `now`; infinity: never.
    #[wasm_bindgen(js_name = pollTimeout)]
    pub fn poll_timeout(&self) -> f64 {
        let due = [self.client.poll_timeout(), self.pictures.poll_timeout()];
        let due = due.into_iter().flatten().min();
        due.map_or(f64::INFINITY, |at| at.as_micros() as f64 / 1_000.0)
    }

    /// The next [`Event`].
    #[wasm_bindgen(js_name = pollEvent)]
    pub fn poll_event(&mut self) -> Option<String> {
        self.next_event().map(|event| json(&event))
    }

    /// The next message.
    #[wasm_bindgen(js_name = pollMessage)]
    pub fn poll_message(&mut self) -> Option<Message> {
        let mut body = [0; MAX_BODY];
        if let Ok(Some(message)) = self.client.poll_message(&mut body) {
            return Some(Message::new(&message, true));
        }
        self.lossy.pop_front()
    }

    /// Gives a [`Command`]. The number of the request, if it has an answer: an event `replied` has it, too.
    pub fn command(&mut self, now: f64, command: &str) -> Result<Option<u16>, JsValue> {
        self.execute(now, command).map_err(thrown)
    }

    /// Sends a message to those named, or to all others if none is named. The number of the request, if it is a reliable one.
    #[wasm_bindgen(js_name = sendMessage)]
    pub fn send_message(
        &mut self,
        to: Vec<String>,
        topic: &str,
        body: &[u8],
        reliable: bool,
    ) -> Result<Option<u16>, JsValue> {
        self.tell(&to, topic, body, reliable).map_err(thrown)
    }

    /// Sends one frame of Opus, whose first sample has number `timestamp` at 48 kHz, and a loudness in −dBov.
    #[wasm_bindgen(js_name = sendAudio)]
    pub fn send_audio(
        &mut self,
        now: f64,
        key: &str,
        timestamp: u32,
        level: u8,
        payload: &[u8],
    ) -> Result<(), JsValue> {
        self.speak(now, key, timestamp, level, payload)
            .map_err(thrown)
    }

    /// Begins to send the pictures of the stream `key`, which is published, of `h264` or `vp8`, at so many bits per second.
    /// Those of a screen are `large`.
    #[wasm_bindgen(js_name = openPictures)]
    pub fn open_pictures(
        &mut self,
        key: &str,
        codec: &str,
        rate: u32,
        large: bool,
    ) -> Result<(), JsValue> {
        self.film(key, codec, rate, large).map_err(thrown)
    }

    /// Sends no more pictures of it.
    #[wasm_bindgen(js_name = closePictures)]
    pub fn close_pictures(&mut self, key: &str) {
        if let Ok(key) = stream_key(key) {
            self.pictures.close(&key);
        }
    }

    /// Sends an encoded picture, taken at `timestamp` in units of 1/90,000 s. False: it is left out.
    #[wasm_bindgen(js_name = sendPicture)]
    pub fn send_picture(
        &mut self,
        now: f64,
        key: &str,
        timestamp: u32,
        temporal_layer: u8,
        discardable: bool,
        bytes: &[u8],
    ) -> bool {
        let picture = Picture {
            bytes,
            timestamp,
            discardable,
            temporal_layer,
            layer: 0,
        };
        stream_key(key).is_ok_and(|key| self.pictures.send(at(now), &key, &picture))
    }

    /// Whether the next picture has to be a key picture: true once for each that is needed.
    #[wasm_bindgen(js_name = takeKeyWanted)]
    pub fn take_key_wanted(&mut self, now: f64, key: &str) -> bool {
        stream_key(key).is_ok_and(|key| self.pictures.take_key_wanted(at(now), &key))
    }

    /// How much the encoder of a stream is to make now, in bits per second, by what the way to the server carries; 0 if there is no
    /// such stream.
    #[wasm_bindgen(js_name = wantedRate)]
    pub fn wanted_rate(&mut self, key: &str) -> u32 {
        stream_key(key).map_or(0, |key| self.pictures.wanted_rate(&key))
    }

    /// Whether so many pictures wait to be sent that the next one is not to be encoded; with `any`, whether one does.
    #[wasm_bindgen(js_name = isBusy)]
    pub fn is_busy(&mut self, key: &str, any: bool) -> bool {
        stream_key(key).is_ok_and(|key| self.pictures.is_busy(&key, any))
    }

    /// Puts the pictures of a stream together, which is subscribed to; `id` names it from now on. Those of a screen are `large`.
    pub fn watch(
        &mut self,
        id: u32,
        participant: &str,
        key: &str,
        large: bool,
    ) -> Result<(), JsValue> {
        self.view(id, participant, key, large).map_err(thrown)
    }

    /// Ends that.
    pub fn unwatch(&mut self, id: u32) {
        self.pictures.unwatch(id);
    }

    /// The next picture that a decoder can take. To be called until there is none, when something has come or is due.
    #[wasm_bindgen(js_name = pollPicture)]
    pub fn poll_picture(&mut self, now: f64, id: u32) -> Option<Arrived> {
        self.pictures.poll(at(now), id, &mut self.client)
    }

    /// Says that the decoder has failed: the next picture is a key picture.
    #[wasm_bindgen(js_name = requestKey)]
    pub fn request_key(&mut self, id: u32) {
        self.pictures.request_key(id);
    }

    /// The [`Changes`] of the state since the last call; at first, since nothing was known.
    pub fn changes(&mut self) -> String {
        json(&self.changed())
    }

    /// How loud those heard now are, as an object of dBov, with `own` for this participant's microphone; nothing while all
    /// are quiet, but the first time.
    pub fn levels(&mut self, now: f64, own: u8) -> Option<String> {
        let levels = state::levels(&self.client, at(now), own);
        let was_quiet = std::mem::replace(&mut self.is_quiet, levels.is_empty());
        (!was_quiet || !self.is_quiet).then(|| json(&levels))
    }

    /// The [`Statistics`].
    pub fn statistics(&self) -> String {
        json(&Statistics::of(&self.client))
    }

    /// Share of this end's packets that the server lately missed, in 1/256; −1: not known.
    #[wasm_bindgen(js_name = uplinkLoss)]
    pub fn uplink_loss(&self) -> i32 {
        self.client.statistics().uplink_loss.map_or(-1, i32::from)
    }
}

/// What JavaScript catches: an [`Error`] as JSON.
fn thrown(error: Error) -> JsValue {
    JsValue::from_str(&json(&error))
}

fn json(value: &impl serde::Serialize) -> String {
    // Strings, numbers and maps with texts for keys: nothing of that fails.
    serde_json::to_string(value).unwrap_or_default()
}

/// The address of a ticket's server, as `host:port`, for the page to find its website.
#[wasm_bindgen(js_name = addressOf)]
pub fn address_of(ticket: &str) -> Result<String, JsValue> {
    let ticket = Ticket::parse(ticket).map_err(|error| thrown(error.into()))?;
    let host = match ticket.host.contains(':') {
        true => format!("[{}]", ticket.host),
        false => ticket.host.to_owned(),
    };
    Ok(format!("{host}:{}", ticket.port))
}

#[cfg(test)]
mod tests;
