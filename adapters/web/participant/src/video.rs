//! Pictures as JavaScript has them: encoded ones that it gives to be sent, and complete ones that it decodes.

use std::fmt;

use parlour_core::client::{Client, Desktop, Pictures as _, SendError};
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::RtpPacket;
use parlour_core::signal::StreamRef;
use parlour_core::time::Instant;
use parlour_core::video::{
    Feedback, MAX_PICTURE, MAX_PICTURE_PACKETS, Picture, PictureReceiver, PictureSender, SendSlot,
    Slot,
};
use wasm_bindgen::prelude::*;

use crate::error::name_of;

/// Packets of a camera that are kept, or put together: 500 ms of 1.5 Mb/s, and a key picture.
const CAMERA_PACKETS: usize = 512;
/// Those of a screen: any picture.
const SCREEN_PACKETS: usize = MAX_PICTURE_PACKETS as usize;

/// A picture that has come, for a decoder.
#[wasm_bindgen]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    codec: Codec,
    key: bool,
    discardable: bool,
    /// In units of 1/90,000 s.
    timestamp: u64,
    bytes: Vec<u8>,
}

#[wasm_bindgen]
impl Arrived {
    /// As in the state of a stream.
    #[wasm_bindgen(getter)]
    pub fn codec(&self) -> String {
        name_of(self.codec)
    }

    /// A decoder can begin here.
    #[wasm_bindgen(getter, js_name = isKey)]
    pub fn is_key(&self) -> bool {
        self.key
    }

    /// No other picture needs it.
    #[wasm_bindgen(getter, js_name = isDiscardable)]
    pub fn is_discardable(&self) -> bool {
        self.discardable
    }

    /// When it was taken, in microseconds of its publisher's clock.
    #[wasm_bindgen(getter)]
    pub fn timestamp(&self) -> f64 {
        self.timestamp as f64 / 0.09
    }

    /// What the decoder takes.
    #[wasm_bindgen(getter)]
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

/// A stream of one's own.
struct Film {
    key: StreamKey,
    sender: PictureSender<Vec<SendSlot>>,
    /// The client does not take its packets now: muted, or without a connection.
    is_held: bool,
}

/// A stream of another participant.
struct View {
    /// As JavaScript calls it.
    id: u32,
    stream: StreamRef,
    /// The flow that the receiver is for.
    ssrc: Option<u32>,
    slots: usize,
    receiver: PictureReceiver<Vec<Slot>>,
}

/// All pictures of a participant.
#[derive(Default)]
pub(crate) struct Pictures {
    films: Vec<Film>,
    views: Vec<View>,
    /// One picture at a time; there once something is watched.
    out: Vec<u8>,
}

impl fmt::Debug for Pictures {
    /// Not what is seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pictures")
            .field("films", &self.films.len())
            .field("views", &self.views.len())
            .finish_non_exhaustive()
    }
}

impl Pictures {
    /// Begins to send the stream `key`, which makes so many bits per second. Numbers start at `seed`.
    pub(crate) fn open(&mut self, key: StreamKey, codec: Codec, rate: u32, large: bool, seed: u16) {
        self.close(&key);
        let slots = vec![SendSlot::EMPTY; packets(large)];
        let mut sender = PictureSender::new(codec, seed, slots);
        sender.set_rate(rate);
        self.films.push(Film {
            key,
            sender,
            is_held: false,
        });
    }

    pub(crate) fn close(&mut self, key: &StreamKey) {
        self.films.retain(|film| film.key != *key);
    }

    fn film(&mut self, key: &StreamKey) -> Option<&mut Film> {
        self.films.iter_mut().find(|film| film.key == *key)
    }

    /// Whether the picture will be sent.
    pub(crate) fn send(&mut self, now: Instant, key: &StreamKey, picture: &Picture<'_>) -> bool {
        self.film(key)
            .is_some_and(|film| film.sender.send(now, picture).is_ok())
    }

    pub(crate) fn take_key_wanted(&mut self, now: Instant, key: &StreamKey) -> bool {
        self.film(key)
            .is_some_and(|film| film.sender.take_key_wanted(now, 0))
    }

    /// How much the encoder of a stream is to make now, in bits per second; 0 if there is no such stream.
    pub(crate) fn wanted_rate(&mut self, key: &StreamKey) -> u32 {
        self.film(key).map_or(0, |film| film.sender.wanted_rate())
    }

    /// Whether something of a stream waits to be sent; without `any`, whether no picture more may wait.
    pub(crate) fn is_busy(&mut self, key: &StreamKey, any: bool) -> bool {
        self.film(key).is_some_and(|film| {
            film.sender.is_busy() || (any && film.sender.poll_timeout().is_some())
        })
    }

    pub(crate) fn handle_feedback(
        &mut self,
        now: Instant,
        key: &StreamKey,
        feedback: Feedback<'_>,
    ) {
        if let Some(film) = self.film(key) {
            film.sender.handle_feedback(now, feedback);
        }
    }

    /// Watches a stream; `id` is its name from now on.
    pub(crate) fn watch(&mut self, id: u32, stream: StreamRef, large: bool) {
        self.unwatch(id);
        self.out.resize(MAX_PICTURE, 0);
        let slots = packets(large);
        self.views.push(View {
            id,
            stream,
            ssrc: None,
            slots,
            receiver: receiver(slots),
        });
    }

    pub(crate) fn unwatch(&mut self, id: u32) {
        self.views.retain(|view| view.id != id);
        if self.views.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Looks anew which flows the watched streams have. To be called when the room's state has changed.
    pub(crate) fn resolve(&mut self, client: &Client<Desktop>) {
        for view in &mut self.views {
            let participant = client.state().participant(&view.stream.participant);
            let mut streams = participant.iter().flat_map(|one| &one.streams);
            let ssrc = streams
                .find(|stream| stream.key == view.stream.key)
                .map(|stream| stream.ssrc);
            if ssrc != view.ssrc {
                view.ssrc = ssrc;
                view.receiver = receiver(view.slots);
            }
        }
    }

    pub(crate) fn handle_packet(&mut self, now: Instant, packet: &RtpPacket<'_>) {
        let ssrc = Some(packet.ssrc());
        if let Some(view) = self.views.iter_mut().find(|view| view.ssrc == ssrc) {
            // What is refused helps no picture.
            let _ = view.receiver.handle_packet(now, packet);
        }
    }

    /// The next picture of a stream that is watched.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        id: u32,
        client: &mut Client<Desktop>,
    ) -> Option<Arrived> {
        let view = self.views.iter_mut().find(|view| view.id == id)?;
        let picture = view.receiver.poll_picture(now, &mut self.out).ok();
        let arrived = picture.flatten().map(|picture| Arrived {
            codec: picture.codec,
            key: picture.key,
            discardable: picture.discardable,
            timestamp: picture.timestamp,
            bytes: picture.bytes.to_vec(),
        });
        if let (None, Some(ssrc)) = (&arrived, view.ssrc) {
            client.send_feedback(now, ssrc, &mut view.receiver);
        }
        arrived
    }

    /// The decoder of a watched stream has failed.
    pub(crate) fn request_key(&mut self, id: u32) {
        if let Some(view) = self.views.iter_mut().find(|view| view.id == id) {
            view.receiver.request_key();
        }
    }

    /// Gives the client the packets that are due.
    pub(crate) fn transmit(&mut self, now: Instant, client: &mut Client<Desktop>) {
        for Film {
            key,
            sender,
            is_held,
        } in &mut self.films
        {
            let sent = client.send_pictures(now, key, sender);
            *is_held = sent.is_err();
            if sent == Err(SendError::Muted) {
                sender.clear();
            }
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let films = self.films.iter().filter(|film| !film.is_held);
        let sending = films.filter_map(|film| film.sender.poll_timeout());
        let views = self.views.iter().filter(|view| view.ssrc.is_some());
        let receiving = views.filter_map(|view| view.receiver.poll_timeout());
        sending.chain(receiving).min()
    }
}

fn packets(large: bool) -> usize {
    if large {
        SCREEN_PACKETS
    } else {
        CAMERA_PACKETS
    }
}

fn receiver(slots: usize) -> PictureReceiver<Vec<Slot>> {
    PictureReceiver::new(vec![Slot::EMPTY; slots])
}
